import { X509Certificate } from 'node:crypto';
import { parse } from 'pg-connection-string';
import { ConfigError } from './config-error.ts';
import type { RedisSettings } from './redis-settings.ts';
import type { ClientTls, TlsFiles } from './tls-files.ts';

/** What a program has read, as far as `production: true` has an opinion on it. */
export interface ProductionFacts {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What it serves; `tls` is absent for plain text. */
  readonly serves?: readonly { readonly name: string; readonly tls: TlsFiles | undefined }[];
  /** `local`: keys that are gone when the process ends. */
  readonly trustService?: 'local' | 'remote' | 'queue';
  readonly storage:
    | { readonly backend: 'memory' }
    | { readonly backend: 'postgres'; readonly databaseUrl: string };
  /** The Redis of the queue. */
  readonly redis?: RedisSettings | undefined;
  /** How it asks a remote signer. */
  readonly signer?: ClientTls | undefined;
  /** Passphrases by the names of their variables. */
  readonly passphrases?: Readonly<Record<string, string | undefined>>;
}

/** The text that fixtures/certificates.ts puts above its keys. */
const KEY_MARK = 'never use in production';

/** Of fixtures/certificates.ts, and of the old Notary, whose test keys everybody has. */
const DEVELOPMENT_CAS = /CN=(?:Scrivener development CA|Notary Testing CA)$/m;

/** Out of examples, old and new ones; compared in lower case. */
const WELL_KNOWN = new Set([
  'admin',
  'api',
  'changeme',
  'change-me',
  'default',
  'development',
  'example',
  'foobared',
  'mysecretpassword',
  'never use this passphrase in production',
  'notary',
  'notaryserver',
  'notarysigner',
  'passphrase',
  'password',
  'postgres',
  'projector',
  'redis',
  'root',
  's3cret',
  'secret',
  'server',
  'signer',
  'test',
  'testpassword',
]);

/**
 * Refuses what is meant for development: keys and certificates out of fixtures/, passwords out of
 * examples, plain text, and what is gone when the process ends. Throws `ConfigError` with the first
 * reason; nothing is shown that is secret.
 */
export function refuseDevelopment(facts: ProductionFacts): void {
  for (const check of [
    environmentReason,
    servesReason,
    trustServiceReason,
    storageReason,
    queueReason,
    signerReason,
    passphraseReason,
  ]) {
    const reason = check(facts);
    if (reason !== undefined) throw new ConfigError(`production: ${reason}`);
  }
}

type Reason = string | undefined;

function environmentReason({ environment }: ProductionFacts): Reason {
  if (environment['NODE_TLS_REJECT_UNAUTHORIZED'] !== '0') return undefined;
  return 'NODE_TLS_REJECT_UNAUTHORIZED=0 makes every TLS connection believe everybody: unset it';
}

function servesReason({ serves = [] }: ProductionFacts): Reason {
  return first(serves, ({ name, tls }) =>
    tls === undefined
      ? `${name} would be plain text: set server.tls_cert_file and server.tls_key_file`
      : (pemReason(`the certificate of ${name}`, tls.cert) ??
        pemReason(`the key of ${name}`, tls.key) ??
        pemReason('server.client_ca_file', tls.clientCa)),
  );
}

function trustServiceReason({ trustService }: ProductionFacts): Reason {
  if (trustService !== 'local') return undefined;
  return 'trust_service.type "local" loses its keys when the process ends: use "queue" or "remote"';
}

function storageReason({ storage, environment }: ProductionFacts): Reason {
  if (storage.backend === 'memory') {
    return 'storage.backend "memory" is gone when the process ends: use "postgres"';
  }
  const { sslmode, ssl, user, password } = partsOf(storage.databaseUrl);
  if (sslmode !== 'verify-full') {
    return 'storage.db_url must say sslmode=verify-full, or who answers could be anybody';
  }
  return (
    pemReason('the sslrootcert of storage.db_url', ssl.ca) ??
    pemReason('the sslcert of storage.db_url', ssl.cert) ??
    pemReason('the sslkey of storage.db_url', ssl.key) ??
    // A certificate may be all that a user needs.
    passwordReason('storage.db_url', password || environment['PGPASSWORD'], {
      user,
      mayBeEmpty: ssl.cert !== undefined,
    })
  );
}

function queueReason({ redis }: ProductionFacts): Reason {
  if (redis === undefined) return undefined;
  if (redis.tls === undefined) {
    return 'the queue would be plain text: set tls_ca_file, and tls_client_cert with its key';
  }
  return (
    clientReason('the queue', redis.tls) ??
    passwordReason('the queue', redis.password, { user: redis.username, mayBeEmpty: true })
  );
}

function signerReason({ signer }: ProductionFacts): Reason {
  return signer && clientReason('the trust service', signer);
}

function passphraseReason({ passphrases = {} }: ProductionFacts): Reason {
  return first(Object.entries(passphrases), ([name, value]) =>
    passwordReason(name, value, { user: undefined, mayBeEmpty: false }),
  );
}

function clientReason(peer: string, { ca, cert, key }: ClientTls): Reason {
  return (
    pemReason(`the tls_ca_file of ${peer}`, ca) ??
    pemReason(`the tls_client_cert of ${peer}`, cert) ??
    pemReason(`the tls_client_key of ${peer}`, key)
  );
}

function pemReason(name: string, pem: string | undefined): Reason {
  if (pem === undefined) return undefined;
  if (pem.includes(KEY_MARK) || isOfDevelopmentCa(pem)) {
    return `${name} is meant for development: make one of your own (docs/production.md)`;
  }
  return undefined;
}

function isOfDevelopmentCa(pem: string): boolean {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs) ?? [];
  return blocks.some((block) => {
    const { subject, issuer } = new X509Certificate(block);
    return DEVELOPMENT_CAS.test(subject) || DEVELOPMENT_CAS.test(issuer);
  });
}

function passwordReason(
  name: string,
  password: string | undefined,
  { user, mayBeEmpty }: { readonly user: string | undefined; readonly mayBeEmpty: boolean },
): Reason {
  if (password === undefined || password === '') {
    return mayBeEmpty ? undefined : `the password of ${name} is empty`;
  }
  const isGuessed = WELL_KNOWN.has(password.toLowerCase()) || password === user;
  return isGuessed ? `the password of ${name} is one that everybody knows` : undefined;
}

/** As the driver will understand it: files are read, and of a parameter given twice the last counts. */
function partsOf(url: string) {
  const { ssl, sslmode, user, password } = parse(url);
  const { ca, cert, key } = typeof ssl === 'object' ? ssl : {};
  return { sslmode, ssl: { ca, cert: cert ?? undefined, key }, user, password };
}

function first<Item>(items: readonly Item[], check: (item: Item) => Reason): Reason {
  for (const item of items) {
    const reason = check(item);
    if (reason !== undefined) return reason;
  }
  return undefined;
}
