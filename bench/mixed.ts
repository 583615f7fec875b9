import type { Work } from './contest.ts';
import { pullPaths, pullsOf } from './reads.ts';
import type { ReadContender } from './subject.ts';

const CLIENTS = 16;
/** One request in so many is a publish. */
const PUBLISH_EVERY = 50;
const POOL = 64;

/** Pulls and, now and then, a publish, by the same clients at the same time. */
export async function prepareMixed(
  contenders: readonly ReadContender[],
  seconds: number,
): Promise<Work[]> {
  const sides = [];
  for (const { subject, client, guns } of contenders) {
    await client.create('mixed', POOL, 10);
    const paths = (await pullsOf(subject, guns)).flatMap(pullPaths);
    const order = {
      do: 'mix',
      paths,
      pool: 'mixed',
      publishEvery: PUBLISH_EVERY,
      clients: CLIENTS,
      ms: seconds * 1_000,
    } as const;
    sides.push({
      name: subject.name,
      watched: [...subject.watched, { name: 'client', pid: client.pid }],
      run: () => client.measure(order),
    });
  }
  return [{ bench: 'mixed', name: `98 % pull reads, 2 % publishes, c${CLIENTS}`, sides }];
}
