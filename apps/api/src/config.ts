import { availableParallelism } from 'node:os';
import { posix } from 'node:path';
import {
  ConfigError,
  flag,
  list,
  logLevel,
  parseAddress,
  parseDatabaseUrl,
  parseRedis,
  port,
  readCa,
  readClientTls,
  readConfig,
  readJobKeys,
  readServerPair,
  refuseDevelopment,
  redisShape,
  resolveBeside,
  seconds,
  text,
  tlsClientShape,
  USE_INSTEAD,
  whole,
  type Beside,
  type ClientTls,
  type ListenAddress,
  type LogLevel,
  type RedisSettings,
  type TlsFiles,
} from '@scrivener/runtime';
import { parseJobKeys, type JobKeys } from '@scrivener/signing';
import { DEFAULT_GUARD, type Guard, type ServerKeyAlgorithm } from '@scrivener/tuf';
import { z } from 'zod';
import type { Certificate } from './auth/chain.ts';
import { readRootCertBundle } from './auth/keys.ts';
import type { AdmissionLimits } from './admission/admission.ts';
import type { TurnstileLimits } from './admission/turnstile.ts';
import type { CachePolicy } from './caching.ts';
import type { UploadLimits } from './form/multipart.ts';
import { parseNetworks, type AuditSettings } from './history/client.ts';
import type { RenewalSettings } from './renewal/renewal-loop.ts';
import type { TimeLimits } from './server.ts';

const MIB = 1024 * 1024;
const MANY = { min: 1, max: Number.MAX_SAFE_INTEGER };

const LONGEST_AGE = 31_536_000;
const maxAge = (byDefault: number) =>
  z
    .union([z.number(), z.string().regex(/^\d+$/).transform(Number)])
    .refine((age) => Number.isInteger(age) && age >= 0 && age <= LONGEST_AGE)
    .catch(-1)
    .refine((age) => age >= 0, {
      error: `must specify a cache-control max-age between 0 and ${LONGEST_AGE}`,
    })
    .prefault(byDefault);

/** Of one machine; more of them are a mistake. */
const MOST_WORKERS = 256;
const processes = () =>
  z
    .union([z.literal('auto'), whole(1, { min: 1, max: MOST_WORKERS })], {
      error: `must be a whole number from 1 to ${MOST_WORKERS}, or "auto"`,
    })
    .transform((given) => (given === 'auto' ? availableParallelism() : given))
    .prefault(1);

const tokenOption = (name: string, description: string) =>
  z.string(`token auth requires a valid option string: "${name}"`).describe(description);

/** Read as a whole, and only where `auth.type` is `token`; checked in this order (WIRE §14.3). */
const tokenOptions = z.object(
  {
    realm: tokenOption('realm', 'URL where clients get their tokens'),
    issuer: tokenOption('issuer', 'who signs the tokens: their `iss`'),
    service: tokenOption('service', 'who the tokens are for: their `aud`'),
    rootcertbundle: tokenOption(
      'rootcertbundle',
      'PEM: certificates of who signs tokens; relative to the working directory',
    ),
    autoredirect: z
      .boolean('token auth requires a valid option bool: autoredirect')
      .prefault(false)
      .describe('the realm is `https://<Host>/auth/token`, whatever host the client asked'),
  },
  { error: 'auth.options must be a map[string]interface{}' },
);

/**
 * The server's settings under the names they had in the old configuration (WIRE §14.3). `limits`,
 * `production` and the members of `trust_service` for the queue are ours.
 */
export const serverSettings = z.object({
  server: z
    .object({
      http_addr: text().describe('where to listen: `:4443`, `127.0.0.1:4443`'),
      tls_cert_file: text().describe('PEM: the certificate, and its chain; plain HTTP without it'),
      tls_key_file: text().describe('PEM: its key, not encrypted'),
      client_ca_file: text().describe('PEM: every client must show a certificate of these CAs'),
      workers: processes().describe(
        'processes that serve this address; `auto`: as many as there are processors. Each has limits, memory and connections to the stores of its own',
      ),
    })
    .prefault({}),
  trust_service: z
    .object({
      type: text().describe(
        'who signs: `local` (this process; keys are gone when it ends), `queue` (signer workers), `remote` (a Notary Signer over gRPC)',
      ),
      hostname: text().describe(
        'of the queue’s Redis (127.0.0.1 where none is given), or of the signer',
      ),
      port: port().describe('its port; 6379 for a Redis where none is given'),
      key_algorithm: text().describe(
        'of new keys: `ecdsa` or `ed25519`; `ecdsa` for a queue where none is given',
      ),
      ...tlsClientShape,
      ...redisShape,
    })
    .prefault({}),
  storage: z
    .object({
      backend: text().describe('`postgres`, or `memory`: gone when the process ends'),
      db_url: text().meta({
        description:
          'URL of the server’s database, `postgres://…`, or `host=… user=…`; TLS by `sslmode` (`require` and `verify-ca` are taken for `verify-full`), `sslrootcert`, `sslcert`, `sslkey`',
        url: true,
      }),
    })
    .prefault({}),
  logging: z.object({ level: logLevel('error') }).prefault({}),
  repositories: z
    .object({ gun_prefixes: list().describe('only GUNs that begin with one of these are served') })
    .prefault({}),
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
  caching: z
    .object({
      memory_mb: whole(32, { min: 0, max: 100_000 }).describe(
        'MiB of downloads that a process keeps in memory; 0: each is read from the store',
      ),
      max_age: z
        .object({
          current_metadata: maxAge(300).describe(
            'seconds that caches may keep `timestamp.json` and the other current names; 0: not at all',
          ),
          consistent_metadata: maxAge(2_592_000).describe(
            'the same for files by checksum and by version, which never change',
          ),
        })
        .prefault({}),
    })
    .prefault({}),
  auth: z
    .object({
      type: z
        .unknown()
        .optional()
        .describe('`token`: clients need tokens; anything else, and nothing: they do not'),
      options: z.unknown().optional().meta({ description: 'for `token`', members: tokenOptions }),
    })
    .prefault({}),
  limits: z
    .object({
      upload_bytes: whole(100 * MIB, MANY).describe('bytes of an upload; more is refused with 413'),
      upload_parts: whole(10_000, MANY).describe('files in an upload'),
      parsed_bytes: whole(1024 * MIB, MANY).describe(
        'memory that an upload may take once its JSON is parsed, estimated from its brackets and commas; more is refused with 413',
      ),
      uploads: whole(512, MANY).describe(
        'uploads that one process receives at once; a slow one makes room for the next, else that gets 503',
      ),
      uploads_bytes: whole(200 * MIB, MANY).describe(
        'bytes of uploads, as sent and as parsed, that one process holds at once, beyond the first 64 KiB of each; more is answered with 503, but an upload that is alone may always be as long as `upload_bytes`',
      ),
      changes: whole(256, MANY).describe(
        'updates, new keys and deletions that one process works on at once; as many may wait for that',
      ),
      change_wait_seconds: seconds(2).describe('how long they wait, before they get 503'),
      connections: whole(10_000, MANY).describe(
        'connections of clients to one process; more are closed at once',
      ),
      headers_seconds: seconds(60).describe(
        'from the first byte of a request to the end of its headers',
      ),
      request_seconds: seconds(300).describe('to the end of its body; slower clients are cut off'),
      idle_seconds: seconds(75).describe('a connection without a request is kept that long'),
      answer_seconds: seconds(10).describe(
        'a change that is not signed, stored and readable by then is answered with 503',
      ),
      event_streams: whole(100, { min: 1, max: 10_000 }).describe(
        'clients of one process that wait for events or have them streamed; more are answered with 503',
      ),
      history: whole(2, { min: 1, max: 1_000 }).describe(
        'differences and pictures that one process makes at once; eight times as many wait for that, for `change_wait_seconds`, and more are answered with 503',
      ),
      drain_seconds: whole(0, { min: 0, max: 10 }).describe(
        'a process that was asked to stop takes requests for that long, while `/_notary_server/ready` says 503',
      ),
    })
    .prefault({}),
  guard: z
    .object({
      enabled: flag(true).describe(
        'refuse updates that no client could read or follow any more, beyond what the old server refused',
      ),
      version_jump: whole(Number(DEFAULT_GUARD.versionJump), MANY).describe(
        'how far above the current version of a role the next one may be',
      ),
      roles: whole(DEFAULT_GUARD.roles, MANY).describe('files in an update'),
      signatures: whole(DEFAULT_GUARD.signatures, MANY).describe('signatures of a file'),
      root_keys: whole(DEFAULT_GUARD.rootKeys, MANY).describe('keys in a root'),
      depth: whole(DEFAULT_GUARD.depth, { min: 10, max: 10_000 }).describe(
        'objects and lists within each other in what is signed',
      ),
      thresholds: z
        .enum(['root', 'all'], 'must be "root" or "all"')
        .prefault(DEFAULT_GUARD.thresholds)
        .describe(
          'where a threshold may not be above the number of keys: of the roles in `root`, or of `all`, delegations too, which clients leave without keys',
        ),
    })
    .prefault({}),
  renewal: z
    .object({
      enabled: flag(true).describe(
        'whether this process renews ahead of expiry what the server signs; what has expired is renewed when it is read all the same',
      ),
      life_left_percent: whole(33, { min: 5, max: 75 }).describe(
        'a role is due when that much of its life is left',
      ),
      jitter_percent: whole(10, { min: 0, max: 20 }).describe(
        'or up to that much more, by the GUN, so that what was published together is not renewed together',
      ),
      per_second: whole(20, { min: 1, max: 1_000 }).describe(
        'repositories that one process renews in a second at most',
      ),
      poll_seconds: seconds(10).describe('between two looks while nothing is due'),
      retry_seconds: seconds(60).describe('how long what could not be renewed rests'),
    })
    .prefault({}),
  audit: z
    .object({
      remote_address: flag().describe('whether events note the IP address of who asked'),
      trusted_proxies: list().describe(
        'addresses and networks (`10.0.0.0/8`) of proxies whose `X-Forwarded-For` is believed for that',
      ),
    })
    .prefault({}),
  production: flag().describe(
    'refuse to start with keys and passwords that are meant for development',
  ),
  debug: flag().describe('the debug listener on localhost:8080, as by `-debug`'),
});

export const SERVER_PREFIX = 'NOTARY_SERVER';

type Settings = z.output<typeof serverSettings>;

/** Asks clients for tokens (WIRE §13). */
interface TokenAuth {
  readonly realm: string;
  readonly issuer: string;
  readonly service: string;
  /** At least one. */
  readonly rootCertBundle: readonly Certificate[];
  readonly autoredirect: boolean;
}

export interface Config {
  readonly logLevel: LogLevel;
  readonly gunPrefixes: readonly string[];
  readonly trustService:
    | { readonly type: 'local' }
    | {
        readonly type: 'remote';
        readonly hostname: string;
        readonly port: number;
        readonly keyAlgorithm: ServerKeyAlgorithm;
        /** Never plain text: the system's CAs are believed where it names none. */
        readonly tls: ClientTls;
      }
    | {
        readonly type: 'queue';
        readonly redis: RedisSettings;
        readonly prefix: string | undefined;
        readonly keyAlgorithm: ServerKeyAlgorithm;
        readonly jobKeys: JobKeys;
      };
  readonly storage:
    | { readonly backend: 'memory' }
    | { readonly backend: 'postgres'; readonly databaseUrl: string };
  readonly caching: CachePolicy;
  /** Of downloads that are kept in memory; 0: none. */
  readonly memoryBytes: number;
  readonly address: ListenAddress;
  /** Processes that serve it. */
  readonly workers: number;
  /** Plain HTTP where absent. */
  readonly tls: TlsFiles | undefined;
  /** Nobody is asked for a token where absent. */
  readonly auth: TokenAuth | undefined;
  readonly uploads: UploadLimits;
  /** What one process takes on at once. */
  readonly admission: AdmissionLimits;
  /** Connections that are open at once. */
  readonly connections: number;
  readonly times: TimeLimits;
  /** How long a change may take, in milliseconds. */
  readonly answerMs: number;
  /** How long load balancers have to turn away from a process that will stop, in milliseconds. */
  readonly drainMs: number;
  /** Clients that may follow events at once. */
  readonly eventStreams: number;
  /** Differences and pictures at once, and who wait for that. */
  readonly history: TurnstileLimits;
  /** Absent where it is switched off. */
  readonly guard: Guard | undefined;
  readonly renewal: RenewalSettings;
  readonly audit: AuditSettings;
  readonly production: boolean;
  readonly debug: boolean;
  /** What the operator should hear though it starts. */
  readonly warnings: readonly string[];
}

/** Bytes of the headers of one part of a form. */
const PART_HEADER_BYTES = 16 * 1024;

/** Checks in the order of WIRE §14.2, so that the same mistake is named first. Throws `ConfigError`. */
export function readServerConfig(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Config {
  const section = readConfig(serverSettings, { file, environment, prefix: SERVER_PREFIX });
  const beside: Beside = (path) => resolveBeside(file, path);
  const logLevel = section('logging').level;
  const gunPrefixes = parseGunPrefixes(section('repositories').gun_prefixes);
  const reporting = parseReporting(section('reporting'));
  const trustService = parseTrustService(section('trust_service'), beside);
  const storage = parseStorage(section('storage'));
  const { max_age, memory_mb } = section('caching');
  const address = parseHttpAddress(section('server'));
  const workers = parseWorkers(section('server'), { trustService, storage });
  const tls = readTls(section('server'), beside);
  const auth = parseAuth(section('auth'));
  const limits = section('limits');
  const production = section('production');
  if (production) {
    refuseDevelopment({
      environment,
      serves: [{ name: 'server.http_addr', tls }],
      trustService: trustService.type,
      storage,
      ...(trustService.type === 'queue' && { redis: trustService.redis }),
      ...(trustService.type === 'remote' && { signer: trustService.tls }),
    });
  }
  return {
    logLevel,
    gunPrefixes,
    trustService,
    storage,
    caching: { current: max_age.current_metadata, consistent: max_age.consistent_metadata },
    memoryBytes: memory_mb * MIB,
    address,
    workers,
    tls,
    auth: auth.auth,
    uploads: {
      uploadBytes: limits.upload_bytes,
      parts: limits.upload_parts,
      parsedBytes: limits.parsed_bytes,
      partHeaderBytes: PART_HEADER_BYTES,
    },
    admission: {
      uploads: limits.uploads,
      uploadsBytes: limits.uploads_bytes,
      changes: limits.changes,
      waiting: limits.changes,
      waitMs: limits.change_wait_seconds,
    },
    connections: limits.connections,
    times: {
      headersMs: limits.headers_seconds,
      requestMs: limits.request_seconds,
      idleMs: limits.idle_seconds,
    },
    answerMs: limits.answer_seconds,
    drainMs: limits.drain_seconds * 1000,
    eventStreams: limits.event_streams,
    history: {
      places: limits.history,
      waiting: 8 * limits.history,
      waitMs: limits.change_wait_seconds,
    },
    guard: parseGuard(section('guard')),
    renewal: parseRenewal(section('renewal')),
    audit: parseAudit(section('audit')),
    production,
    debug: section('debug'),
    warnings: [...reporting.warnings, ...auth.warnings],
  };
}

function parseGuard(given: Settings['guard']): Guard | undefined {
  if (!given.enabled) return undefined;
  const { version_jump, roles, signatures, root_keys: rootKeys, depth, thresholds } = given;
  return { versionJump: BigInt(version_jump), roles, signatures, rootKeys, depth, thresholds };
}

function parseRenewal(given: Settings['renewal']): RenewalSettings {
  return {
    enabled: given.enabled,
    lifeLeft: given.life_left_percent / 100,
    jitter: given.jitter_percent / 100,
    perSecond: given.per_second,
    pollMs: given.poll_seconds,
    retryMs: given.retry_seconds,
  };
}

function parseAudit({ remote_address, trusted_proxies }: Settings['audit']): AuditSettings {
  const { networks, wrong } = parseNetworks(trusted_proxies);
  if (wrong !== undefined) {
    throw new ConfigError(`audit.trusted_proxies: ${wrong} is no address and no network`);
  }
  return { remoteAddress: remote_address, trustedProxies: networks };
}

function parseGunPrefixes(prefixes: readonly string[]): readonly string[] {
  const wrong = prefixes.find((prefix) => !isGunPrefix(prefix));
  if (wrong !== undefined) throw new ConfigError(`invalid GUN prefix ${wrong}`);
  return prefixes;
}

/** A clean relative path and a slash. */
function isGunPrefix(prefix: string): boolean {
  const isClean = prefix === prefix.trim() && posix.normalize(prefix) === prefix;
  return isClean && /^(?!\/|\.\.).+\/$/s.test(prefix);
}

function parseTrustService(
  given: Settings['trust_service'],
  beside: Beside,
): Config['trustService'] {
  switch (given.type) {
    case 'local':
      return { type: 'local' };
    case 'remote': {
      const keyAlgorithm = parseKeyAlgorithm(given.key_algorithm);
      const tls = readClientTls(given, beside, 'the trust service');
      if (given.hostname === '' || given.port === undefined) {
        throw new ConfigError(
          'trust_service.hostname and trust_service.port are required for "remote"',
        );
      }
      return { type: 'remote', hostname: given.hostname, port: given.port, keyAlgorithm, tls };
    }
    case 'queue':
      return {
        type: 'queue',
        keyAlgorithm: parseKeyAlgorithm(given.key_algorithm || 'ecdsa'),
        redis: parseRedis('trust_service', given, beside),
        prefix: given.prefix === '' ? undefined : given.prefix,
        jobKeys: readJobKeys('trust_service', given.job_key_file, beside, parseJobKeys),
      };
    default:
      throw new ConfigError(
        'must specify either a "local" or "remote" type for trust_service, or "queue"',
      );
  }
}

function parseKeyAlgorithm(algorithm: string): ServerKeyAlgorithm {
  if (algorithm === 'ed25519' || algorithm === 'ecdsa') return algorithm;
  const hint = algorithm === 'rsa' ? ': signers make no such keys, use "ecdsa"' : '';
  throw new ConfigError(`invalid key algorithm configured: ${algorithm}${hint}`);
}

function parseStorage({ backend, db_url: databaseUrl }: Settings['storage']): Config['storage'] {
  if (backend === 'memory') return { backend };
  if (backend === 'postgres') return { backend, databaseUrl: parseDatabaseUrl(databaseUrl) };
  throw new ConfigError(`${backend} is not a supported storage backend${USE_INSTEAD}`);
}

/** Nothing is reported to anybody; an old file that asks for it may stay as it is. */
function parseReporting({ bugsnag }: Settings['reporting']): Pick<Config, 'warnings'> {
  if (bugsnag.api_key !== '') {
    return { warnings: ['reporting.bugsnag is not there any more: errors are in the log only'] };
  }
  if (bugsnag.release_stage !== '' || bugsnag.endpoint !== '') {
    throw new ConfigError('must provide an API key for bugsnag');
  }
  return { warnings: [] };
}

function parseHttpAddress({ http_addr }: Settings['server']): ListenAddress {
  if (http_addr === '') throw new ConfigError('http listen address required for server');
  return parseAddress(http_addr);
}

/** What is in the memory of one process is nothing to the others. */
function parseWorkers(
  { workers }: Settings['server'],
  { trustService, storage }: Pick<Config, 'trustService' | 'storage'>,
): number {
  if (workers === 1) return workers;
  const alone =
    storage.backend === 'memory'
      ? 'storage.backend "memory"'
      : trustService.type === 'local'
        ? 'trust_service.type "local"'
        : undefined;
  if (alone === undefined) return workers;
  throw new ConfigError(
    `server.workers is ${workers}, but ${alone} is of one process: use 1, or what several can share`,
  );
}

function readTls(
  { tls_cert_file, tls_key_file, client_ca_file }: Settings['server'],
  beside: Beside,
): TlsFiles | undefined {
  if (tls_cert_file === '' && tls_key_file === '' && client_ca_file === '') return undefined;
  if (tls_cert_file === '' || tls_key_file === '') {
    throw new ConfigError(
      'either include both a cert and key file, or no TLS information at all to disable TLS',
    );
  }
  const pair = readServerPair(beside(tls_cert_file), beside(tls_key_file));
  return client_ca_file === '' ? pair : { ...pair, clientCa: readCa(beside(client_ca_file)) };
}

function parseAuth(given: Settings['auth']): Pick<Config, 'auth' | 'warnings'> {
  if (given.type !== 'token') {
    const isNone = given.type === undefined || given.type === 'none';
    const warning = 'auth.type is not "token": clients are not asked for tokens';
    return { auth: undefined, warnings: isNone ? [] : [warning] };
  }
  const options = tokenOptions.safeParse(given.options);
  if (!options.success) throw new ConfigError(options.error.issues[0]?.message ?? 'auth.options');
  const { realm, issuer, service, rootcertbundle, autoredirect } = options.data;
  const rootCertBundle = readRootCertBundle(rootcertbundle);
  const auth = { realm, issuer, service, rootCertBundle, autoredirect };
  return { auth, warnings: [] };
}
