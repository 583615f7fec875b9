import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A port that stays the same whatever becomes of the server behind it, and that can be cut. */
export interface Link {
  readonly port: number;
  /** Where new connections go from now on. */
  retarget(port: number): void;
  /** Resets every connection, in the middle of whatever it carries. */
  cut(): void;
  /** From now on nothing that the server says arrives; what clients say still does. */
  deafen(): void;
  /** Resets what was deafened: those answers are lost for ever. */
  undeafen(): void;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

export async function openLink(target: number): Promise<Link> {
  let port = target;
  let deaf = false;
  const pairs = new Set<Pair>();
  const cut = () => {
    for (const { client, server } of pairs) {
      client.resetAndDestroy();
      server.destroy();
    }
  };
  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ port, host: '127.0.0.1', noDelay: true });
    const pair = { client, server };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    client.on('error', end).on('close', end);
    server.on('error', end).on('close', end);
    client.pipe(server);
    server.on('data', (chunk) => {
      if (deaf || client.write(chunk)) return;
      server.pause();
      client.once('drain', () => server.resume());
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('no address of a TCP port');

  return {
    port: address.port,
    retarget: (next) => {
      port = next;
    },
    cut,
    deafen: () => {
      deaf = true;
    },
    undeafen: () => {
      deaf = false;
      cut();
    },
    close: async () => {
      listener.close();
      cut();
      await once(listener, 'close');
    },
  };
}
