import { ConfigError, logLevel, readConfig } from '@scrivener/runtime';
import { z } from 'zod';

/**
 * The worker's settings. Names that the old Signer had mean what they meant (SIGNER §3.2); each can
 * be set from the environment, too: `storage.db_url` is `NOTARY_SIGNER_STORAGE_DB_URL`.
 */
const settings = z.object({
  storage: z
    .object({
      backend: z.string().default(''),
      db_url: z.string().default(''),
      default_alias: z.string().default(''),
    })
    .prefault({}),
  queue: z
    .object({
      hostname: z.string().default('127.0.0.1'),
      port: z.coerce.number().int().min(1).max(65_535).default(6379),
      username: z.string().optional(),
      password: z.string().optional(),
      prefix: z
        .string()
        .regex(/^[^:{}]+$/)
        .optional(),
    })
    .prefault({}),
  /** Jobs at a time. */
  concurrency: z.coerce.number().int().min(1).max(1_000).default(16),
  logging: z.object({ level: logLevel.default('error') }).prefault({}),
});

type Settings = z.output<typeof settings>;

export interface Config {
  readonly storage:
    | { readonly backend: 'memory' }
    | {
        readonly backend: 'postgres';
        readonly databaseUrl: string;
        readonly defaultAlias: string;
      };
  readonly queue: Settings['queue'];
  readonly concurrency: number;
  readonly logLevel: Settings['logging']['level'];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Throws `ConfigError`. */
export function readWorkerConfig(file: string | undefined, environment: Environment): Config {
  const { storage, queue, concurrency, logging } = readConfig(settings, {
    file,
    environment,
    prefix: 'NOTARY_SIGNER',
  });
  return {
    storage: parseStorage(storage, environment),
    queue,
    concurrency,
    logLevel: logging.level,
  };
}

function parseStorage(storage: Settings['storage'], environment: Environment): Config['storage'] {
  const { backend, db_url: databaseUrl } = storage;
  switch (backend) {
    case 'memory':
      return { backend };
    case 'postgres': {
      const defaultAlias =
        storage.default_alias || (environment['NOTARY_SIGNER_DEFAULT_ALIAS'] ?? '');
      if (databaseUrl === '') {
        throw new ConfigError('must provide a non-empty database source for postgres');
      }
      if (defaultAlias === '') {
        throw new ConfigError('must provide a default alias for the key DB');
      }
      return { backend, databaseUrl, defaultAlias };
    }
    default:
      throw new ConfigError(
        `"${backend}" is not an allowed backend, must be one of: postgres, memory. ` +
          'Keys of an old Signer on another database have to move to postgres',
      );
  }
}
