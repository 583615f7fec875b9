import { ConfigError, logLevel, readConfig, type LogLevel } from '@scrivener/runtime';
import { z } from 'zod';

/**
 * The projector shares the server's settings and variables (`NOTARY_SERVER_STORAGE_DB_URL`), for it
 * works on the server's database; what concerns others in that file is ignored.
 */
const settings = z.object({
  storage: z
    .object({ backend: z.string().default('postgres'), db_url: z.string().default('') })
    .prefault({}),
  logging: z.object({ level: logLevel.default('error') }).prefault({}),
});

export interface Config {
  readonly databaseUrl: string;
  readonly logLevel: LogLevel;
}

/** Throws `ConfigError`. */
export function readProjectorConfig(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Config {
  const { storage, logging } = readConfig(settings, { file, environment, prefix: 'NOTARY_SERVER' });
  if (storage.backend === 'memory') {
    throw new ConfigError('storage in memory is projected by the API process that holds it');
  }
  if (storage.backend !== 'postgres') {
    throw new ConfigError(`${storage.backend} is not a supported storage backend, use postgres`);
  }
  if (storage.db_url === '') {
    throw new ConfigError('must provide a non-empty database source for postgres');
  }
  return { databaseUrl: storage.db_url, logLevel: logging.level };
}
