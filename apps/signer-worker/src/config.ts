import { availableParallelism } from 'node:os';
import {
  ConfigError,
  flag,
  logLevel,
  parseAddress,
  parseDatabaseUrl,
  parseMetricsAddress,
  parseRedis,
  port,
  readCa,
  readConfig,
  readJobKeys,
  readServerPair,
  refuseDevelopment,
  reasonOf,
  redisShape,
  resolveBeside,
  text,
  tlsClientShape,
  whole,
  type Beside,
  type ListenAddress,
  type LogLevel,
  type RedisSettings,
  type TlsFiles,
} from '@scrivener/runtime';
import { parseJobKeys, type JobKeys } from '@scrivener/signing';
import { z } from 'zod';
import { createSealer } from './seal.ts';

const MIB = 1024 * 1024;
/** One is signed at a time; the others wait for the database, or for a key to be unsealed. */
const JOBS_PER_CORE = 8;

/**
 * The worker's settings. Names that the old Signer had mean what they meant (SIGNER §3.2); `queue`,
 * `concurrency` and `production` are ours.
 */
export const signerSettings = z.object({
  server: z
    .object({
      grpc_addr: text().describe(
        'where to serve gRPC to Notary Servers: `:7899`; nowhere without it',
      ),
      tls_cert_file: text().describe('PEM: the certificate, and its chain; required for gRPC'),
      tls_key_file: text().describe('PEM: its key, not encrypted; required for gRPC'),
      client_ca_file: text().describe('PEM: every client must show a certificate of these CAs'),
      grpc_message_bytes: whole(8 * MIB, { min: 1024, max: 1024 * MIB }).describe(
        'bytes of a request over gRPC; more is refused (an old signer: 4194304)',
      ),
    })
    .prefault({}),
  queue: z
    .object({
      hostname: text().describe(
        'of the Redis that jobs come from; no queue without it, or `nodes`',
      ),
      port: port().describe('its port; 6379 where none is given'),
      ...tlsClientShape,
      ...redisShape,
    })
    .prefault({}),
  storage: z
    .object({
      backend: text().describe('`postgres`, or `memory`: keys are gone when the process ends'),
      db_url: text().meta({
        description:
          'URL of the signer’s own database, `postgres://…`, or `host=… user=…`; TLS by `sslmode` (`require` and `verify-ca` are taken for `verify-full`), `sslrootcert`, `sslcert`, `sslkey`',
        url: true,
      }),
      default_alias: text().describe(
        'new keys are sealed with the passphrase in `NOTARY_SIGNER_<ALIAS>`; else the alias in `NOTARY_SIGNER_DEFAULT_ALIAS`',
      ),
    })
    .prefault({}),
  logging: z.object({ level: logLevel('error') }).prefault({}),
  reporting: z
    .object({
      bugsnag: z
        .object({
          api_key: text().meta({
            description: 'understood, and nothing is reported',
            secret: true,
          }),
          release_stage: text().describe('the same'),
          endpoint: text().describe('the same'),
        })
        .prefault({}),
    })
    .prefault({}),
  concurrency: whole(0, { min: 0, max: 1_000 }).describe(
    'jobs at a time; 0: eight for each core that the process may use',
  ),
  metrics_addr: text().describe(
    'where to serve `/metrics` and health over plain HTTP: `127.0.0.1:9101`; nowhere without it',
  ),
  production: flag().describe(
    'refuse to start with keys and passwords that are meant for development',
  ),
  debug: flag().describe('the debug listener on localhost:8080, as by `-debug`'),
});

export const SIGNER_PREFIX = 'NOTARY_SIGNER';

type Settings = z.output<typeof signerSettings>;
type Environment = Readonly<Record<string, string | undefined>>;

export interface Config {
  readonly logLevel: LogLevel;
  /** Serves gRPC where there is one; `queue`, `grpc` or both are there. */
  readonly grpc:
    | { readonly address: ListenAddress; readonly tls: TlsFiles; readonly maxMessageBytes: number }
    | undefined;
  readonly queue:
    | {
        readonly redis: RedisSettings;
        readonly prefix: string | undefined;
        readonly jobKeys: JobKeys;
      }
    | undefined;
  readonly storage:
    | { readonly backend: 'memory' }
    | {
        readonly backend: 'postgres';
        readonly databaseUrl: string;
        readonly defaultAlias: string;
      };
  readonly concurrency: number;
  /** Where metrics and health are served; nowhere where it is absent. */
  readonly metricsAddress: ListenAddress | undefined;
  readonly production: boolean;
  readonly debug: boolean;
  /** What the operator should hear though it starts. */
  readonly warnings: readonly string[];
}

/** Checks in the order of the old Signer. Throws `ConfigError`. */
export function readWorkerConfig(file: string | undefined, environment: Environment): Config {
  const section = readConfig(signerSettings, { file, environment, prefix: SIGNER_PREFIX });
  const beside: Beside = (path) => resolveBeside(file, path);
  const { level } = section('logging');
  const grpc = parseGrpc(section('server'), beside);
  const warnings = [...parseReporting(section('reporting')), ...grpcWarnings(grpc)];
  const queue = parseQueue(section('queue'), beside);
  if (grpc === undefined && queue === undefined) {
    throw new ConfigError(
      'grpc listen address required for server: set server.grpc_addr, or queue.hostname, or both',
    );
  }
  const storage = parseStorage(section('storage'), environment);
  const production = section('production');
  if (production) {
    refuseDevelopment({
      environment,
      serves: grpc === undefined ? [] : [{ name: 'server.grpc_addr', tls: grpc.tls }],
      storage,
      redis: queue?.redis,
      passphrases: passphrasesOf(storage, environment),
    });
    if (grpc !== undefined && grpc.tls.clientCa === undefined) {
      throw new ConfigError(
        'production: whoever reaches server.grpc_addr could use and delete keys: set server.client_ca_file',
      );
    }
  }
  return {
    logLevel: level,
    grpc,
    queue,
    storage,
    concurrency: section('concurrency') || JOBS_PER_CORE * availableParallelism(),
    metricsAddress: parseMetricsAddress(section('metrics_addr')),
    production,
    debug: section('debug'),
    warnings,
  };
}

/** That with which new keys are sealed. */
function passphrasesOf(storage: Config['storage'], environment: Environment): Environment {
  if (storage.backend === 'memory') return {};
  const variable = `${SIGNER_PREFIX}_${storage.defaultAlias.toUpperCase()}`;
  return { [variable]: environment[variable] };
}

/** Nothing is reported to anybody; an old file that asks for it may stay as it is. */
function parseReporting({ bugsnag }: Settings['reporting']): string[] {
  if (bugsnag.api_key !== '') {
    return ['reporting.bugsnag is not there any more: errors are in the log only'];
  }
  if (bugsnag.release_stage !== '' || bugsnag.endpoint !== '') {
    throw new ConfigError('must provide an API key for bugsnag');
  }
  return [];
}

/** Never without TLS (SIGNER §3.3). */
function parseGrpc(given: Settings['server'], beside: Beside): Config['grpc'] {
  const { grpc_addr, tls_cert_file, tls_key_file, client_ca_file } = given;
  if (grpc_addr === '') return undefined;
  try {
    if (tls_cert_file === '' || tls_key_file === '') {
      throw new ConfigError('both the TLS certificate and key are mandatory');
    }
    const pair = readServerPair(beside(tls_cert_file), beside(tls_key_file));
    const clients = client_ca_file === '' ? {} : { clientCa: readCa(beside(client_ca_file)) };
    return {
      tls: { ...pair, ...clients },
      address: parseAddress(grpc_addr),
      maxMessageBytes: given.grpc_message_bytes,
    };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const what = error.message.startsWith('address ')
      ? `grpc server failed to listen on ${grpc_addr}`
      : 'unable to set up TLS';
    throw new ConfigError(`${what}: ${error.message}`, { cause: error });
  }
}

function grpcWarnings(grpc: Config['grpc']): string[] {
  if (grpc === undefined || grpc.tls.clientCa !== undefined) return [];
  return [
    `without server.client_ca_file whoever reaches ${grpc.address.written} can make, use and delete keys`,
  ];
}

function parseQueue(given: Settings['queue'], beside: Beside): Config['queue'] {
  if (given.hostname === '' && given.nodes.length === 0) return undefined;
  return {
    redis: parseRedis('queue', given, beside),
    prefix: given.prefix === '' ? undefined : given.prefix,
    jobKeys: readJobKeys('queue', given.job_key_file, beside, parseJobKeys),
  };
}

function parseStorage(storage: Settings['storage'], environment: Environment): Config['storage'] {
  const { backend, db_url } = storage;
  switch (backend) {
    case 'memory':
      return { backend };
    case 'postgres': {
      const databaseUrl = parseDatabaseUrl(db_url);
      const defaultAlias =
        storage.default_alias || (environment['NOTARY_SIGNER_DEFAULT_ALIAS'] ?? '');
      if (defaultAlias === '') {
        throw new ConfigError('must provide a default alias for the key DB');
      }
      requirePassphrase(environment, defaultAlias);
      return { backend, databaseUrl, defaultAlias };
    }
    default:
      throw new ConfigError(
        `${backend} is not an allowed backend, must be one of: postgres, memory`,
      );
  }
}

/** Without it no key could be made, and the old Signer noticed that too late (SIGNER §2.4). */
function requirePassphrase(environment: Environment, defaultAlias: string): void {
  try {
    createSealer(environment, defaultAlias);
  } catch (error) {
    throw new ConfigError(reasonOf(error), { cause: error });
  }
}
