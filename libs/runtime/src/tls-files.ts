import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfigError } from './config-error.ts';

/** What a server shows: PEM texts. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  /** Where given, every client must show a certificate of this CA. */
  readonly clientCa?: string;
}

/** What a client needs, in the names that node:tls has for it: PEM texts. */
export interface ClientTls {
  /** The only CAs that are believed; the system's where absent. */
  readonly ca?: string;
  /** What the client shows; both or neither. */
  readonly cert?: string;
  readonly key?: string;
}

/** Turns a path of the settings into one that can be opened. */
export type Beside = (path: string) => string;

export interface ClientTlsSettings {
  readonly tls_ca_file: string;
  readonly tls_client_cert: string;
  readonly tls_client_key: string;
}

/** Throws `ConfigError` in the words of WIRE §14.3. */
export function readServerPair(certFile: string, keyFile: string): TlsFiles {
  const pair = `X509 key pair (cert: "${certFile}", key: "${keyFile}")`;
  const readOrRefuse = (path: string) =>
    readText(path, (reason) => `Could not load ${pair}: ${reason}`);
  const cert = readOrRefuse(certFile);
  const key = readOrRefuse(keyFile);
  let belong = false;
  try {
    belong = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    throw new ConfigError(
      `Error reading ${pair}: ${reasonOf(error)}. Make sure the key is not encrypted.`,
      { cause: error },
    );
  }
  if (!belong) {
    throw new ConfigError(
      `Error reading ${pair}: tls: private key does not match public key. Make sure the key is not encrypted.`,
    );
  }
  return { cert, key };
}

/** Throws `ConfigError` in the words of WIRE §14.3. */
export function readCa(path: string): string {
  const pem = readText(path, (reason) => `could not read CA certificate "${path}": ${reason}`);
  if (!isCertificate(pem)) {
    throw new ConfigError(`failed to append certificates from PEM file: "${path}"`);
  }
  return pem;
}

/** `peer` is who is to be reached, for the refusal. Throws `ConfigError` in the words of WIRE §14.3. */
export function readClientTls(
  settings: ClientTlsSettings,
  beside: Beside,
  peer: string,
): ClientTls {
  const { tls_ca_file, tls_client_cert, tls_client_key } = settings;
  if ((tls_client_cert === '') !== (tls_client_key === '')) {
    throw new ConfigError('either pass both client key and cert, or neither');
  }
  try {
    return {
      ...(tls_ca_file !== '' && { ca: readCa(beside(tls_ca_file)) }),
      ...(tls_client_cert !== '' &&
        readServerPair(beside(tls_client_cert), beside(tls_client_key))),
    };
  } catch (error) {
    throw new ConfigError(`unable to configure TLS to ${peer}: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** The text of a file; `refusal` makes the message of the `ConfigError` where it cannot be read. */
export function readText(path: string, refusal: (reason: string) => string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(refusal(openReason(path, error)), { cause: error });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'is a directory',
  ENOTDIR: 'not a directory',
};

/** Why a file cannot be opened, as Go says it. */
export function openReason(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = REASONS[code];
  return reason === undefined ? reasonOf(error) : `open ${path}: ${reason}`;
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.byteLength > 0;
  } catch {
    return false;
  }
}
