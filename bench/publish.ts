import type { Work } from './contest.ts';
import type { LoadClient } from './load/load-client.ts';
import type { Subject } from './subject.ts';

/** So many collections take turns, so that none of them grows much faster than in real life. */
const POOL = 64;

export interface PublishLoad {
  readonly subject: Subject;
  readonly client: LoadClient;
  readonly clients: readonly number[];
  readonly files: readonly number[];
  readonly seconds: number;
}

/** Updates of collections that are there: targets uploaded, snapshot and timestamp made. */
export async function preparePublishes(load: PublishLoad): Promise<Work[]> {
  const { subject, client, clients, files, seconds } = load;
  const works: Work[] = [];
  for (const count of files) {
    const pool = `publish-${count}`;
    await client.create(pool, Math.max(POOL, ...clients), count);
    for (const each of clients) {
      works.push({
        bench: 'publish',
        name: `c${each}, ${count} targets`,
        sides: [
          {
            name: subject.name,
            watched: [...subject.watched, { name: 'client', pid: client.pid }],
            run: () => client.measure({ do: 'publish', pool, clients: each, ms: seconds * 1_000 }),
          },
        ],
      });
    }
  }
  return works;
}

/** First publishes of new collections: both keys asked for, then root and targets published. */
export function prepareFirstPublishes({ subject, client, clients, seconds }: PublishLoad): Work[] {
  return clients.map((each) => ({
    bench: 'init',
    name: `c${each}`,
    sides: [
      {
        name: subject.name,
        watched: [...subject.watched, { name: 'client', pid: client.pid }],
        run: () => client.measure({ do: 'init', files: 10, clients: each, ms: seconds * 1_000 }),
      },
    ],
  }));
}
