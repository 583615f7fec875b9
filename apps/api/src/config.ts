import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';
import {
  ConfigError,
  logLevel,
  readConfig,
  resolveBeside,
  type LogLevel,
} from '@scrivener/runtime';
import type { ServerKeyAlgorithm } from '@scrivener/tuf';
import { z } from 'zod';
import type { CachePolicy } from './caching.ts';
import type { UploadLimits } from './multipart.ts';
import type { TimeLimits, TlsFiles } from './server.ts';

const seconds = (byDefault: number) =>
  z.coerce
    .number()
    .positive()
    .max(86_400)
    .default(byDefault)
    .transform((value) => Math.ceil(value * 1000));
const count = (byDefault: number) =>
  z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER).default(byDefault);
const text = z.coerce.string().default('');
const MIB = 1024 * 1024;

/**
 * The server's settings under the names they had in the old configuration (WIRE §14.3); `limits` and
 * the members of `trust_service` for the queue are ours. Each can be set from the environment, too:
 * `storage.db_url` is `NOTARY_SERVER_STORAGE_DB_URL`.
 */
const settings = z.object({
  server: z
    .object({ http_addr: text, tls_cert_file: text, tls_key_file: text, client_ca_file: text })
    .prefault({}),
  trust_service: z
    .object({
      type: text,
      /** Of the queue's Redis. */
      hostname: z.string().default('127.0.0.1'),
      port: z.coerce.number().int().min(1).max(65_535).default(6379),
      username: z.string().optional(),
      password: z.string().optional(),
      /** Parts the queues of several stacks on one Redis. */
      prefix: z
        .string()
        .regex(/^[^:{}]+$/)
        .optional(),
      key_algorithm: z.string().default('ecdsa'),
    })
    .prefault({}),
  storage: z.object({ backend: text, db_url: text }).prefault({}),
  logging: z.object({ level: z.string().default('error') }).prefault({}),
  repositories: z.object({ gun_prefixes: z.unknown().optional() }).prefault({}),
  caching: z
    .object({
      max_age: z
        .object({
          current_metadata: z.unknown().optional(),
          consistent_metadata: z.unknown().optional(),
        })
        .prefault({}),
    })
    .prefault({}),
  auth: z.object({ type: z.unknown().optional() }).prefault({}),
  limits: z
    .object({
      /** Bytes of an upload; more is refused with 413. */
      upload_bytes: count(100 * MIB),
      /** Files in an upload. */
      upload_parts: count(10_000),
      /** From the first byte of a request to the end of its headers. */
      headers_seconds: seconds(60),
      /** To the end of its body: a slower upload is cut off. */
      request_seconds: seconds(300),
      /** A connection without a request is kept that long. */
      idle_seconds: seconds(75),
      /** A change that is not signed, stored and readable by then is answered with 503. */
      answer_seconds: seconds(10),
    })
    .prefault({}),
});

type Settings = z.output<typeof settings>;

export interface Config {
  readonly logLevel: LogLevel;
  readonly gunPrefixes: readonly string[];
  readonly trustService:
    | { readonly type: 'local' }
    | {
        readonly type: 'queue';
        readonly hostname: string;
        readonly port: number;
        readonly username: string | undefined;
        readonly password: string | undefined;
        readonly prefix: string | undefined;
        readonly keyAlgorithm: ServerKeyAlgorithm;
      };
  readonly storage:
    | { readonly backend: 'memory' }
    | { readonly backend: 'postgres'; readonly databaseUrl: string };
  readonly caching: CachePolicy;
  /** Every interface where there is no host. */
  readonly address: { readonly host?: string; readonly port: number };
  readonly tls: TlsFiles | undefined;
  readonly uploads: UploadLimits;
  readonly times: TimeLimits;
  /** How long a change may take, in milliseconds. */
  readonly answerMs: number;
}

/** Bytes of the headers of one part of a form. */
const PART_HEADER_BYTES = 16 * 1024;

/** Checks in the order of WIRE §14.2, so that the same mistake is named first. Throws `ConfigError`. */
export function readServerConfig(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Config {
  const given = readConfig(settings, { file, environment, prefix: 'NOTARY_SERVER' });
  const { limits } = given;
  const config = {
    logLevel: parseLogLevel(given.logging.level),
    gunPrefixes: parseGunPrefixes(given.repositories.gun_prefixes),
    trustService: parseTrustService(given.trust_service),
    storage: parseStorage(given.storage),
    caching: {
      current: parseMaxAge(given.caching.max_age.current_metadata, 300),
      consistent: parseMaxAge(given.caching.max_age.consistent_metadata, 2_592_000),
    },
    address: parseAddress(given.server.http_addr),
    tls: readTls(given.server, (path) => resolveBeside(file, path)),
    uploads: {
      uploadBytes: limits.upload_bytes,
      parts: limits.upload_parts,
      partHeaderBytes: PART_HEADER_BYTES,
    },
    times: {
      headersMs: limits.headers_seconds,
      requestMs: limits.request_seconds,
      idleMs: limits.idle_seconds,
    },
    answerMs: limits.answer_seconds,
  };
  refuseTokens(given.auth.type);
  return config;
}

function parseLogLevel(level: string): LogLevel {
  const parsed = logLevel.safeParse(level);
  if (!parsed.success) throw new ConfigError(`not a valid logrus Level: "${level}"`);
  return parsed.data;
}

/** A list, or its members parted by blanks. */
function parseGunPrefixes(given: unknown): readonly string[] {
  const prefixes = z
    .union([z.array(z.coerce.string()), z.string().transform(byBlanks)])
    .nullish()
    .safeParse(given);
  if (!prefixes.success) throw new ConfigError('repositories.gun_prefixes must be a list');
  const listed = prefixes.data ?? [];
  const wrong = listed.find((prefix) => !isGunPrefix(prefix));
  if (wrong !== undefined) throw new ConfigError(`invalid GUN prefix ${wrong}`);
  return listed;
}

function byBlanks(list: string): string[] {
  return list.split(/\s+/).filter((prefix) => prefix !== '');
}

/** A clean relative path and a slash. */
function isGunPrefix(prefix: string): boolean {
  const isClean = prefix === prefix.trim() && posix.normalize(prefix) === prefix;
  return isClean && /^(?!\/|\.\.).+\/$/s.test(prefix);
}

function parseTrustService(given: Settings['trust_service']): Config['trustService'] {
  const { type, hostname, port, username, password, prefix, key_algorithm: algorithm } = given;
  switch (type) {
    case 'local':
      return { type };
    case 'queue':
      if (algorithm !== 'ed25519' && algorithm !== 'ecdsa') {
        throw new ConfigError(`invalid key algorithm configured: ${algorithm}`);
      }
      return { type, hostname, port, username, password, prefix, keyAlgorithm: algorithm };
    case 'remote':
      throw new ConfigError(
        'trust_service.type "remote" is not there yet: use "queue" and a signer worker, or "local"',
      );
    default:
      throw new ConfigError(
        'must specify either a "local" or "remote" type for trust_service, or "queue"',
      );
  }
}

function parseStorage({ backend, db_url: databaseUrl }: Settings['storage']): Config['storage'] {
  switch (backend) {
    case 'memory':
      return { backend };
    case 'postgres':
      if (databaseUrl === '') {
        throw new ConfigError('must provide a non-empty database source for postgres');
      }
      return { backend, databaseUrl };
    default:
      throw new ConfigError(
        `${backend} is not a supported storage backend: use "postgres", or "memory" to try things out`,
      );
  }
}

const LONGEST_AGE = 31_536_000;
const digits = z.string().regex(/^\d+$/).transform(Number);
const maxAge = z.union([z.number(), digits]).pipe(z.int().min(0).max(LONGEST_AGE));

function parseMaxAge(given: unknown, byDefault: number): number {
  if (given === undefined || given === null || given === '') return byDefault;
  const age = maxAge.safeParse(given);
  if (!age.success) {
    throw new ConfigError(`must specify a cache-control max-age between 0 and ${LONGEST_AGE}`);
  }
  return age.data;
}

/** `:4443`, `localhost:4443`, `[::1]:4443`. */
function parseAddress(address: string): Config['address'] {
  if (address === '') throw new ConfigError('http listen address required for server');
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(address);
  if (match === null) throw new ConfigError(`address ${address}: missing port in address`);
  const [, bracketed, plain, port = ''] = match;
  if (!/^\d+$/.test(port)) throw new ConfigError(`address tcp/${port}: unknown port`);
  if (Number(port) > 65_535) throw new ConfigError(`address ${port}: invalid port`);
  const host = bracketed ?? plain ?? '';
  return { port: Number(port), ...(host !== '' && { host }) };
}

function readTls(
  { tls_cert_file, tls_key_file, client_ca_file }: Settings['server'],
  beside: (path: string) => string,
): TlsFiles | undefined {
  if (tls_cert_file === '' && tls_key_file === '' && client_ca_file === '') return undefined;
  if (tls_cert_file === '' || tls_key_file === '') {
    throw new ConfigError(
      'either include both a cert and key file, or no TLS information at all to disable TLS',
    );
  }
  const pair = readKeyPair(beside(tls_cert_file), beside(tls_key_file));
  return client_ca_file === '' ? pair : { ...pair, clientCa: readClientCa(beside(client_ca_file)) };
}

function readKeyPair(certFile: string, keyFile: string): TlsFiles {
  const pair = `X509 key pair (cert: "${certFile}", key: "${keyFile}")`;
  const readOrRefuse = (path: string) =>
    read(path, (reason) => `Could not load ${pair}: ${reason}`);
  const cert = readOrRefuse(certFile);
  const key = readOrRefuse(keyFile);
  let belong = false;
  try {
    belong = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    throw new ConfigError(`Error reading ${pair}: ${reasonOf(error)}`, { cause: error });
  }
  if (!belong) {
    throw new ConfigError(
      `Error reading ${pair}: tls: private key does not match public key. Make sure the key is not encrypted.`,
    );
  }
  return { cert, key };
}

function readClientCa(path: string): string {
  const pem = read(path, (reason) => `could not read CA certificate "${path}": ${reason}`);
  if (!isCertificate(pem)) {
    throw new ConfigError(`failed to append certificates from PEM file: "${path}"`);
  }
  return pem;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.byteLength > 0;
  } catch {
    return false;
  }
}

function read(path: string, refusal: (reason: string) => string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const reason = isMissing ? `open ${path}: no such file or directory` : reasonOf(error);
    throw new ConfigError(refusal(reason), { cause: error });
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whoever asks for tokens must not get a server that asks nobody for anything. */
function refuseTokens(type: unknown): void {
  if (type !== 'token') return;
  throw new ConfigError(
    'auth.type "token" is not there yet, and this server does not start without it',
  );
}
