import {
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';

/** What stands in PEM files. */
export interface ServerTls {
  /** May hold a chain. */
  readonly cert: string;
  /** Not encrypted. */
  readonly key: string;
  /** Where given, only clients with a certificate of one of these are let in. */
  readonly clientCa?: string | undefined;
}

/** What stands in PEM files; `cert` and `key` come together or not at all. */
export interface ClientTls {
  /** Who may have issued the server's certificate; the system's roots where absent. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/**
 * The same for both sides, whatever Node was told on its command line. Every certificate in a CA file
 * is trusted for itself, also an intermediate without its root (SIGNER §3.3).
 */
const RULES = { minVersion: 'TLSv1.2', allowPartialTrustChain: true } as const;

/** Who does not finish the handshake by then is disconnected; in milliseconds. */
const HANDSHAKE_LIMIT = 10_000;

class TlsCredentials extends ServerCredentials {
  constructor({ cert, key, clientCa }: ServerTls) {
    const options: SecureContextOptions = { ...RULES, cert, key, ca: clientCa };
    const context = setUp(options);
    const askClients = clientCa !== undefined;
    super(
      {
        requestCert: askClients,
        rejectUnauthorized: askClients,
        handshakeTimeout: HANDSHAKE_LIMIT,
        // A server of Node's drops `allowPartialTrustChain` from its options, but not from a context
        // that it is handed. Who names no host in the handshake needs the root in the file.
        SNICallback: (_, use) => use(null, context),
      },
      options,
    );
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

/** Throws where cert and key are broken or no pair. */
export function serverCredentials(tls: ServerTls): ServerCredentials {
  return new TlsCredentials(tls);
}

/** Throws where cert and key are broken or no pair. */
export function clientContext({ ca, cert, key }: ClientTls): SecureContext {
  return setUp({ ...RULES, ca: ca ?? getCACertificates('system'), cert, key });
}

function setUp(options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`unable to set up TLS: ${reason}`, { cause: error });
  }
}
