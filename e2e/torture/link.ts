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
  /**
   * From now on everything vanishes, in both directions and without a reset, as behind a firewall that
   * drops packets; whoever connects hears nothing either.
   */
  swallow(): void;
  /** New connections work again. Those from before stay silent for ever, and nobody is told. */
  unswallow(): void;
  close(): Promise<void>;
}

interface Pair {
  readonly client: Socket;
  /** Undefined where packets vanished from the start. */
  readonly server?: Socket;
  /** Nothing gets through any more. */
  isLost: boolean;
}

export async function openLink(target: number): Promise<Link> {
  let port = target;
  let deaf = false;
  let swallowing = false;
  const pairs = new Set<Pair>();
  const cut = () => {
    for (const { client, server } of pairs) {
      client.resetAndDestroy();
      server?.destroy();
    }
  };
  const lose = (pair: Pair) => {
    pair.isLost = true;
    if (pair.server !== undefined) pair.client.unpipe(pair.server);
    pair.client.resume();
  };
  const listener = createServer({ noDelay: true }, (client) => {
    const server = swallowing
      ? undefined
      : connect({ port, host: '127.0.0.1', noDelay: true }).on('error', () => {});
    const pair: Pair = { client, ...(server && { server }), isLost: false };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      server?.destroy();
    };
    client.on('error', end).on('close', end);
    if (server === undefined) {
      lose(pair);
      return;
    }
    // that the server is gone is one of the things that do not get through
    server.on('close', () => {
      if (!pair.isLost) end();
    });
    client.pipe(server);
    server.on('data', (chunk) => {
      if (deaf || pair.isLost || client.write(chunk)) return;
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
    swallow: () => {
      swallowing = true;
      for (const pair of pairs) lose(pair);
    },
    unswallow: () => {
      swallowing = false;
    },
    close: async () => {
      listener.close();
      cut();
      await once(listener, 'close');
    },
  };
}
