import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Sample } from '../series.ts';
import type { Order, Told } from './protocol.ts';

/** The process that publishes, as its parent sees it: one order at a time. */
export interface LoadClient {
  readonly pid: number;
  /** Makes collections and publishes each once; gives their GUNs. */
  create(pool: string, size: number, files: number): Promise<readonly string[]>;
  /** Publishes to each of them until it has so many versions. */
  age(pool: string, versions: number): Promise<void>;
  measure(order: Extract<Order, { readonly ms: number }>): Promise<Sample>;
  stop(): Promise<void>;
}

export async function startLoadClient(url: string, caFile: string): Promise<LoadClient> {
  const child = fork(join(import.meta.dirname, 'client.ts'), { stdio: 'inherit' });
  const ended = once(child, 'exit');
  const ask = async (order: Order) => {
    const answer = once(child, 'message');
    child.send(order);
    const outcome = await Promise.race([answer, ended.then(() => undefined)]);
    const told: Told = outcome?.[0] ?? { ok: false, message: 'the load client ended' };
    if (!told.ok) throw new Error(`the load client: ${told.message}`);
    return told;
  };
  await ask({ do: 'open', url, caFile });
  return {
    pid: child.pid ?? 0,
    create: async (pool, size, files) =>
      (await ask({ do: 'create', pool, size, files })).guns ?? [],
    age: async (pool, versions) => {
      await ask({ do: 'age', pool, versions });
    },
    measure: async (order) => {
      const { result } = await ask(order);
      if (result === undefined) throw new Error('the load client measured nothing');
      return result;
    },
    stop: async () => {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}
