import { Client, credentials, status } from '@grpc/grpc-js';
import type { TestCertificates } from './certificates.ts';

/** A client that sends bytes for messages, whether they are any or not. */
export interface RawClient {
  /** gRPC's name for the answer: `OK`, `NOT_FOUND`. */
  send(path: string, message: Uint8Array): Promise<string>;
  close(): void;
}

/** In milliseconds. */
const DEADLINE = 8_000;

const asItIs = (bytes: Buffer) => bytes;

export function connectRaw(port: number, { ca, client }: TestCertificates): RawClient {
  const [roots, key, chain] = [ca, client.key, client.cert].map((text) => Buffer.from(text));
  const channel = new Client(`localhost:${port}`, credentials.createSsl(roots, key, chain));
  return {
    send: (path, message) =>
      new Promise((resolve) => {
        const options = { deadline: Date.now() + DEADLINE };
        channel.makeUnaryRequest(path, asItIs, asItIs, Buffer.from(message), options, (error) =>
          resolve(status[error?.code ?? status.OK]),
        );
      }),
    close: () => channel.close(),
  };
}
