import type { Socket } from 'node:net';
import { AbstractConnector } from 'ioredis';

/*
 * ioredis 6 listens for one error of each connection. A TLS connection may have two: that the server is
 * not believed, and then an alert that was on its way. Node ends the process for an error that nobody
 * listens for, so a Redis with an expired certificate would end every API and worker within a minute
 * or so (redis/ioredis#961). Importing this gives each connection of ioredis, those to sentinels and
 * nodes of a cluster as well, a listener that stays.
 */

const streams = new WeakMap<object, Socket>();

Object.defineProperty(AbstractConnector.prototype, 'stream', {
  configurable: true,
  get(this: object): Socket | undefined {
    return streams.get(this);
  },
  set(this: object, stream: Socket) {
    streams.set(
      this,
      stream.on('error', () => {}),
    );
  },
});
