import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials, status, type ServiceError } from '@grpc/grpc-js';
import type { Method } from './protocol.ts';
import type { Carrier } from '../trace.ts';
import { clientContext, type ClientTls } from './tls.ts';
import { metadataOf } from './trace.ts';

export interface SignerAddress {
  readonly hostname: string;
  readonly port: number;
  readonly tls: ClientTls;
}

/** When a call has to be over, and whether it may be made more than once until then. */
export interface Patience {
  /** In milliseconds since 1970. */
  readonly until: number;
  readonly retry: boolean;
  /** Bytes that have to be read and signed. */
  readonly bytes?: number;
  /** Of the trace that the call belongs to. */
  readonly carrier?: Carrier;
}

/** A call that takes longer is given up, and the connection with it; in milliseconds. */
const ATTEMPT_LIMIT = 2_500;
/** A megabyte has that much longer, or a busy signer would be given the same work again. */
const PER_MEGABYTE = 1_000;
const RETRY_PAUSE = 100;

/** Trouble that may pass. Every call is safe to repeat. */
const MAY_PASS: ReadonlySet<status> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
]);

const OPTIONS = {
  // With jitter that is at most 600 ms, where gRPC's own rule would come to two minutes.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.dns_min_time_between_resolutions_ms': 1_000,
  'grpc.service_config_disable_resolution': 1,
  // Or a new channel would take over the dead connection of the one before.
  'grpc.use_local_subchannel_pool': 1,
  // Answers are keys and signatures.
  'grpc.max_receive_message_length': 64 * 1024,
};

/**
 * The connection to a Signer, made when it is first needed.
 *
 * It is not kept alive by pings: a Go server as old as the Signer takes those for an attack if they
 * come more often than every five minutes, and hangs up. A connection that died in silence is found
 * by the call that gets no answer, which then goes out again over a new one.
 */
export class SignerChannel {
  readonly #connect: () => Client;
  #client: Client;
  readonly #closing = new AbortController();

  /** Throws where the TLS files are broken. */
  constructor({ hostname, port, tls }: SignerAddress) {
    const channelCredentials = credentials.createFromSecureContext(clientContext(tls));
    const host = hostname.includes(':') ? `[${hostname}]` : hostname;
    this.#connect = () => new Client(`dns:///${host}:${port}`, channelCredentials, OPTIONS);
    this.#client = this.#connect();
  }

  /**
   * Throws the `ServiceError` of the last attempt; `ZodError` for an answer of the wrong shape; some
   * other `Error` once the channel is closed.
   */
  async call<Request extends object, Response>(
    method: Method<Request, Response>,
    message: Request,
    { until, retry, bytes = 0, carrier = {} }: Patience,
  ): Promise<Response> {
    const atMost = ATTEMPT_LIMIT + (bytes / 1_000_000) * PER_MEGABYTE;
    for (;;) {
      const client = this.#client;
      try {
        const limit = Math.min(until, Date.now() + atMost);
        return method.response.parse(
          await attempt(client, method, message, { deadline: limit, carrier }),
        );
      } catch (error) {
        if (!isServiceError(error)) throw error;
        if (error.code === status.DEADLINE_EXCEEDED) this.#reconnect(client);
        const over = Date.now() + RETRY_PAUSE >= until;
        if (!retry || over || !MAY_PASS.has(error.code)) throw error;
      }
      await delay(RETRY_PAUSE, undefined, { signal: this.#closing.signal });
    }
  }

  close(): void {
    this.#closing.abort();
    this.#client.close();
  }

  /** Of many calls that got no answer over one connection, the first one replaces it. */
  #reconnect(dead: Client): void {
    if (this.#client !== dead || this.#closing.signal.aborted) return;
    this.#client = this.#connect();
    dead.close();
  }
}

function attempt<Request extends object>(
  client: Client,
  { definition }: Method<Request>,
  message: Request,
  { deadline, carrier }: { readonly deadline: number; readonly carrier: Carrier },
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest<object, object>(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      message,
      metadataOf(carrier),
      { deadline },
      (error, answer) => {
        if (error === null) resolve(answer);
        else reject(error);
      },
    );
  });
}

export function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number';
}
