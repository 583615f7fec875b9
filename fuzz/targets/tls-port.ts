import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { serveGrpcSigner } from '@scrivener/signing/grpc';
import { connectRaw, makeCertificates } from '@scrivener/signing/grpc/testing';
import { MemoryKeyStore } from '@scrivener/signing/memory';
import { startTestServer } from '../../apps/api/src/testing/server.ts';
import { bytesOf, expectSame, type Target } from '../target.ts';

/** How long a connection may stand that has said all it will, in milliseconds. */
const LIMIT = 8_000;

/**
 * Any bytes on the TLS ports of server and signer: who speaks HTTP is told so, all others are closed.
 * Whoever comes next is served.
 */
export const tlsPort: Target = {
  name: 'tls-port',
  words: [
    '\u0016\u0003\u0001',
    '\u0015\u0003\u0003\0\u0002',
    '\u0001\0',
    'GET / HTTP/1.1\r\n\r\n',
    'PRI * HTTP/2.0',
    '\0',
  ],
  runs: 60,
  open: async () => {
    const certificates = await makeCertificates();
    const server = await startTestServer({ tls: true, times: { headersMs: 2_000 } });
    const signer = await serveGrpcSigner({
      keys: new MemoryKeyStore(),
      address: { host: 'localhost', port: 0 },
      tls: { ...certificates.server, clientCa: certificates.ca },
      onError: () => {},
    });
    const client = connectRaw(signer.port, certificates);
    return {
      seeds: [await clientHello(), bytesOf('GET / HTTP/1.1\r\nHost: a\r\n\r\n')],
      run: async (input) => {
        const [answer] = await Promise.all([
          closedAfter(server.port, '127.0.0.1', input),
          closedAfter(signer.port, 'localhost', input),
        ]);
        expectSame((await server.request('GET', '/v2/')).status, 200, 'the server answers');
        expectSame(
          await client.send('/grpc.health.v1.Health/Check', Buffer.of()),
          'OK',
          'the signer answers',
        );
        return answer.startsWith('HTTP/1.0 400 ') ? 'value' : 'refusal';
      },
      close: async () => {
        client.close();
        await Promise.all([server.close(), signer.close()]);
      },
    };
  },
};

/** All that comes until the other side closes; that it closes with a reset is as good. */
function closedAfter(port: number, host: string, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect({ port, host });
    const late = setTimeout(() => {
      socket.destroy();
      reject(new Error(`port ${port} keeps a connection open that has nothing more to say`));
    }, LIMIT);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(late);
      resolve(Buffer.concat(chunks).toString('latin1'));
    });
    socket.end(bytes);
  });
}

/** The first words of a real client. */
async function clientHello(): Promise<Buffer> {
  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const client = connectTls({ port, host: '127.0.0.1' });
  client.on('error', () => {});
  const [accepted] = (await once(listener, 'connection')) as [ReturnType<typeof connect>];
  const [hello] = (await once(accepted, 'data')) as [Buffer];
  client.destroy();
  accepted.destroy();
  listener.close();
  return hello;
}
