import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../../../../scripts/processes.ts';
import { createJobKey, parseJobKeys } from '../job-keys.ts';
import { createKeySigner } from '../key-signer.ts';
import { MemoryKeyStore } from '../memory/index.ts';
import { createKeys, publishRequest } from '../testing/requests.ts';
import { createQueueSigner, redisOptions, serveSigner, type RedisAddress } from './index.ts';
import { mutualTls, startRedisServer, type RedisServer } from './testing/redis-server.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const started = async (...options: Parameters<typeof startRedisServer>): Promise<RedisServer> => {
  const server = await startRedisServer(...options);
  closers.push(() => server.kill());
  return server;
};

const node = ({ port }: RedisServer) => ({ host: '127.0.0.1', port });

function stack(address: Omit<RedisAddress, 'hostname' | 'port'>) {
  const place = {
    redis: redisOptions({ hostname: '', port: 0, ...address }),
    keys: parseJobKeys(createJobKey()),
  };
  const worker = serveSigner({
    ...place,
    signer: createKeySigner(new MemoryKeyStore()),
    concurrency: 4,
    onError: () => {},
  });
  const asker = createQueueSigner(place);
  closers.push(
    () => worker.close(),
    () => asker.close(),
  );
  return asker;
}

describe.each([true, false])('with TLS %s', (tls) => {
  const access = tls ? { tls: mutualTls } : {};

  test('sentinels lead to the master, and to its successor when it dies', async () => {
    const master = await started({ tls });
    const replica = await started({
      tls,
      settings: { replicaof: `127.0.0.1 ${master.port}`, 'repl-diskless-sync-delay': '0' },
    });
    const sentinel = await started({
      tls,
      sentinel: [
        `sentinel monitor queue 127.0.0.1 ${master.port} 1`,
        'sentinel down-after-milliseconds queue 1000',
        'sentinel failover-timeout queue 3000',
      ],
    });
    const nobody = { host: '127.0.0.1', port: await freePort() };
    const asker = stack({
      mode: 'sentinel',
      nodes: [nobody, node(sentinel)],
      master: 'queue',
      ...access,
    });
    const keys = await createKeys(asker);
    await expect(asker.sign(publishRequest(keys))).resolves.toBeDefined();
    await expect
      .poll(() => replica.command('info', 'replication'), { timeout: 10_000 })
      .toContain('master_link_status:up');
    await expect
      .poll(() => sentinel.command('sentinel', 'replicas', 'queue'), { timeout: 15_000 })
      .toHaveLength(1);

    await master.kill();

    await expect
      .poll(() => asker.sign(publishRequest(keys, 2n)), { timeout: 25_000 })
      .toBeDefined();
    expect(await replica.command('role')).toContain('master');
  }, 60_000);

  test('a cluster keeps the whole queue on one of its nodes', async () => {
    const ports = await Promise.all([freePort(), freePort(), freePort()]);
    const nodes = await Promise.all(
      ports.map((busPort) =>
        started({
          tls,
          settings: {
            'cluster-enabled': 'yes',
            'cluster-port': String(busPort),
            ...(tls && { 'tls-cluster': 'yes' }),
          },
        }),
      ),
    );
    await join(nodes, ports);
    const [first] = nodes;
    if (first === undefined) throw new Error('no node');
    const asker = stack({ mode: 'cluster', nodes: [node(first)], ...access });

    const keys = await createKeys(asker);
    await expect(asker.sign(publishRequest(keys))).resolves.toBeDefined();

    expect(await asker.health()).toEqual({ queue: true, workers: 1, state: 'answering' });
    const sizes = await Promise.all(nodes.map((server) => server.command('dbsize')));
    expect(sizes.filter((size) => size !== 0)).toHaveLength(1);
  }, 60_000);
});

/** Makes one cluster of them, each with a third of the slots. */
async function join(nodes: readonly RedisServer[], busPorts: readonly number[]): Promise<void> {
  const [first, ...others] = nodes;
  if (first === undefined) return;
  const third = Math.ceil(16_384 / nodes.length);
  for (const [index, server] of nodes.entries()) {
    const last = Math.min((index + 1) * third, 16_384) - 1;
    await server.command('cluster', 'addslotsrange', index * third, last);
    await server.command('cluster', 'set-config-epoch', index + 1);
  }
  for (const server of others) {
    await server.command('cluster', 'meet', '127.0.0.1', first.port, busPorts[0] ?? 0);
  }
  for (const server of nodes) {
    const state = async () => String(await server.command('cluster', 'info'));
    await expect.poll(state, { timeout: 20_000 }).toContain('cluster_state:ok');
  }
  await delay(100);
}
