import { serveGrpcSigner } from '@scrivener/signing/grpc';
import { connectRaw, makeCertificates } from '@scrivener/signing/grpc/testing';
import { MemoryKeyStore } from '@scrivener/signing/memory';
import type { Target } from '../target.ts';

const PATHS = [
  '/proto.KeyManagement/CreateKey',
  '/proto.KeyManagement/DeleteKey',
  '/proto.KeyManagement/GetKeyInfo',
  '/proto.Signer/Sign',
  '/grpc.health.v1.Health/Check',
];

/** A message that is none is refused by gRPC itself, with INTERNAL; UNKNOWN is an algorithm's. */
const REFUSALS = new Set(['INVALID_ARGUMENT', 'NOT_FOUND', 'UNKNOWN', 'INTERNAL']);

/**
 * The first byte says which call, the others are its message. Whatever they are, there is an answer:
 * none of those that say the signer is in trouble, for it is not.
 */
export const grpc: Target = {
  name: 'grpc',
  words: [
    '\n\u0007ed25519',
    '\n\u0005ecdsa',
    '\u0012\u0003a/b',
    '\u001A\ttimestamp',
    '\n@',
    'a'.repeat(64),
    '\n\0',
    '\u0012\0',
    '\b',
    '\u007F',
  ],
  runs: 300,
  open: async () => {
    const certificates = await makeCertificates();
    const troubles: unknown[] = [];
    const served = await serveGrpcSigner({
      keys: new MemoryKeyStore(),
      address: { host: 'localhost', port: 0 },
      tls: { ...certificates.server, clientCa: certificates.ca },
      onError: (error) => troubles.push(error),
    });
    const client = connectRaw(served.port, certificates);
    return {
      run: async (input) => {
        const path = PATHS[(input[0] ?? 0) % PATHS.length] ?? '';
        const code = await client.send(path, input.subarray(1));
        const [trouble] = troubles.splice(0);
        if (trouble !== undefined) throw new Error('the signer was in trouble', { cause: trouble });
        if (code === 'OK') return 'value';
        if (REFUSALS.has(code)) return 'refusal';
        throw new Error(`${path} answers ${code}`);
      },
      close: async () => {
        client.close();
        await served.close();
      },
    };
  },
};
