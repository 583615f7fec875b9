import type { Side, Work } from './contest.ts';
import type { Contender } from './subject.ts';

/** So many collections take turns, so that none of them grows much faster than in real life. */
const POOL = 64;

export interface PublishLoad {
  readonly contenders: readonly Contender[];
  readonly clients: readonly number[];
  readonly files: readonly number[];
  readonly seconds: number;
}

/** Updates of collections that are there: targets uploaded, snapshot and timestamp made. */
export async function preparePublishes(load: PublishLoad): Promise<Work[]> {
  const { contenders, clients, files, seconds } = load;
  const works: Work[] = [];
  for (const count of files) {
    const pool = `publish-${count}`;
    for (const { client } of contenders) {
      await client.create(pool, Math.max(POOL, ...clients), count);
    }
    for (const each of clients) {
      const order = { do: 'publish', pool, clients: each, ms: seconds * 1_000 } as const;
      works.push({
        bench: 'publish',
        name: `c${each}, ${count} targets`,
        sides: contenders.map((contender) => sideOf(contender, order)),
      });
    }
  }
  return works;
}

/** First publishes of new collections: both keys asked for, then root and targets published. */
export function prepareFirstPublishes({ contenders, clients, seconds }: PublishLoad): Work[] {
  return clients.map((each) => {
    const order = { do: 'init', files: 10, clients: each, ms: seconds * 1_000 } as const;
    const sides = contenders.map((contender) => sideOf(contender, order));
    return { bench: 'init', name: `c${each}`, sides };
  });
}

function sideOf(
  { subject, client }: Contender,
  order: Parameters<Contender['client']['measure']>[0],
): Side {
  return {
    name: subject.name,
    watched: [...subject.watched, { name: 'client', pid: client.pid }],
    run: () => client.measure(order),
  };
}
