import {
  ConfigError,
  flag,
  logLevel,
  parseMetricsAddress,
  parseDatabaseUrl,
  readConfig,
  refuseDevelopment,
  text,
  whole,
  type ListenAddress,
  type LogLevel,
} from '@scrivener/runtime';
import { z } from 'zod';

/**
 * The projector shares the server's settings and variables (`NOTARY_SERVER_STORAGE_DB_URL`), for it
 * works on the server's database; what concerns others in that file is ignored, `debug` among it: both
 * may run on one machine, which has one port for that.
 */
export const projectorSettings = z.object({
  storage: z
    .object({
      backend: text('postgres').describe('`postgres`'),
      db_url: text().meta({
        description:
          'URL of the server’s database, `postgres://…`, or `host=… user=…`; TLS by `sslmode` (`require` and `verify-ca` are taken for `verify-full`), `sslrootcert`, `sslcert`, `sslkey`',
        url: true,
      }),
    })
    .prefault({}),
  history: z
    .object({
      undelete_window: whole(30, { min: 0, max: 36_500 }).describe(
        'days after a deletion in which `undelete` takes it back; 0: never',
      ),
    })
    .prefault({}),
  logging: z.object({ level: logLevel('error') }).prefault({}),
  metrics_addr: text().describe(
    'where to serve `/metrics` and health over plain HTTP: `127.0.0.1:9102`; nowhere without it',
  ),
  fsck: z
    .object({
      every_hours: whole(0, { min: 0, max: 744 }).describe(
        'hours between two runs of `fsck` in the background; 0: none. On one projector of those that share a database',
      ),
    })
    .prefault({}),
  production: flag().describe('refuse to start with passwords that are meant for development'),
});

const DAY = 86_400_000;

export const PROJECTOR_PREFIX = 'NOTARY_SERVER';

export interface Config {
  readonly databaseUrl: string;
  /** How long after a deletion it may be taken back, in milliseconds. */
  readonly undeleteMs: number;
  readonly logLevel: LogLevel;
  readonly metricsAddress: ListenAddress | undefined;
  /** Milliseconds between two runs of fsck; undefined: it does not run. */
  readonly fsckEvery: number | undefined;
  readonly production: boolean;
}

/** Throws `ConfigError`. */
export function readProjectorConfig(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Config {
  const section = readConfig(projectorSettings, { file, environment, prefix: PROJECTOR_PREFIX });
  const { level } = section('logging');
  const { backend, db_url } = section('storage');
  if (backend === 'memory') {
    throw new ConfigError('storage in memory is projected by the API process that holds it');
  }
  if (backend !== 'postgres') {
    throw new ConfigError(`${backend} is not a supported storage backend, use "postgres"`);
  }
  const databaseUrl = parseDatabaseUrl(db_url);
  const { every_hours } = section('fsck');
  const production = section('production');
  if (production) refuseDevelopment({ environment, storage: { backend, databaseUrl } });
  return {
    databaseUrl,
    undeleteMs: section('history').undelete_window * DAY,
    logLevel: level,
    metricsAddress: parseMetricsAddress(section('metrics_addr')),
    fsckEvery: every_hours === 0 ? undefined : every_hours * 3_600_000,
    production,
  };
}
