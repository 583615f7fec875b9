import { Server, setLogVerbosity, logVerbosity } from '@grpc/grpc-js';
import type { KeyStore } from '../key-store.ts';
import { createCalls, type AnsweredCall } from './calls.ts';
import { createHealth } from './health.ts';
import { healthService, keyManagementService, signerService } from './protocol.ts';
import { serverCredentials, type ServerTls } from './tls.ts';

export interface GrpcServeOptions {
  /** Whose keys are served. Stays open when serving ends. */
  readonly keys: KeyStore;
  /** Every interface where there is no host. */
  readonly address: { readonly host?: string; readonly port: number };
  readonly tls: ServerTls;
  /** Bytes of a request; more is refused with RESOURCE_EXHAUSTED. 8 MiB if not said. */
  readonly maxMessageBytes?: number;
  /** How long a call may take, in milliseconds; 5 s if not said. */
  readonly callLimit?: number;
  /** Calls at a time over one connection; 100 if not said. */
  readonly maxConcurrentCalls?: number;
  /** Told of trouble with keys, and in which call. Never handed what was to be signed. */
  readonly onError: (error: unknown, call: string) => void;
  /** Told of every answer that was given, the refusals among them; health aside. */
  readonly onAnswered?: (call: AnsweredCall) => void;
}

export interface ServedGrpcSigner {
  readonly port: number;
  /** Finishes the calls at hand and takes no more; within 6 s. */
  close(): Promise<void>;
}

const MIB = 1024 * 1024;
const MAX_MESSAGE = 8 * MIB;
const CALL_LIMIT = 5_000;
const MAX_CALLS = 100;
const CLOSE_LIMIT = 6_000;

/** Clients that vanished are found after that long without a word, in milliseconds. */
const KEEPALIVE_TIME = 60_000;
const KEEPALIVE_TIMEOUT = 10_000;

/**
 * Is a Notary Signer to whoever speaks its protocol (SIGNER §1), without the faults of the old one
 * (§1.3). Always over TLS. Throws where the TLS files are broken or nothing can listen there.
 */
export async function serveGrpcSigner(options: GrpcServeOptions): Promise<ServedGrpcSigner> {
  const { keys, onError, onAnswered = () => {}, callLimit = CALL_LIMIT } = options;
  const credentials = serverCredentials(options.tls);
  setLogVerbosity(logVerbosity.NONE); // whatever goes wrong is told to us anyway
  const server = new Server({
    'grpc.max_receive_message_length': options.maxMessageBytes ?? MAX_MESSAGE,
    'grpc.max_concurrent_streams': options.maxConcurrentCalls ?? MAX_CALLS,
    'grpc.keepalive_time_ms': KEEPALIVE_TIME,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT,
  });
  const { keyManagement, signer } = createCalls({ keys, callLimit, onError, onAnswered });
  const health = createHealth(keys);
  server.addService(keyManagementService, keyManagement);
  server.addService(signerService, signer);
  server.addService(healthService, health.calls);

  const port = await listen(server, options.address, credentials);
  return {
    port,
    close: async () => {
      health.close(); // or whoever watches it would keep us here
      await closeServer(server);
    },
  };
}

async function listen(
  server: Server,
  { host, port }: GrpcServeOptions['address'],
  credentials: ReturnType<typeof serverCredentials>,
): Promise<number> {
  const bind = (name: string) =>
    new Promise<number>((resolve, reject) => {
      const literal = name.includes(':') ? `[${name}]` : name;
      server.bindAsync(`${literal}:${port}`, credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else
          reject(new Error(`grpc server failed to listen on ${literal}:${port}: ${error.message}`));
      });
    });
  if (host !== undefined) return bind(host);
  // Without IPv6 there is no "::", which otherwise stands for every address of both kinds.
  return bind('::').catch(() => bind('0.0.0.0'));
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, CLOSE_LIMIT);
    server.tryShutdown(() => {
      clearTimeout(late);
      resolve();
    });
  });
}
