import { readFileSync } from 'node:fs';
import type { Work } from './contest.ts';
import { collectAnswers, type KnownAnswer } from './limits/answers.ts';
import { startBareNode, startNginx, type StaticServer } from './limits/static-servers.ts';
import type { ReadContender, Subject } from './subject.ts';
import type { Watched } from './usage.ts';
import { findWrk, type Wrk } from './wrk.ts';

/** Keep-alive connections, as in docs/performance.md. */
export const CONNECTIONS = 32;
/** Requests in the list that wrk goes through. */
const REQUESTS = 20_000;

export interface ReadBench {
  readonly works: readonly Work[];
  close(): Promise<void>;
}

/**
 * Metadata reads of collections that are asked for unevenly, beside servers that know nothing but the
 * answers of the first subject.
 */
export async function prepareReads(
  subjects: readonly [ReadContender, ...ReadContender[]],
  seconds: number,
): Promise<ReadBench> {
  const contestants: Contestant[] = [];
  for (const { subject, guns } of subjects) {
    contestants.push({ ...subject, pulls: await pullsOf(subject, guns) });
  }
  const [{ subject }] = subjects;
  const pulls = contestants[0]?.pulls ?? [];
  const paths = [...new Set(pulls.flatMap(({ reads }) => Object.values(reads)))];
  const answers = await collectAnswers(subject.url, readFileSync(subject.caFile), paths);
  const limits = await startLimits(answers);
  for (const { name, url, pid } of limits) {
    contestants.push({ name, url, pulls, watched: [{ name, pid }], isLimit: true });
  }
  const wrk = await findWrk();
  return {
    works: WORKS.map(({ name, of }) => ({
      bench: 'reads',
      name,
      sides: contestants.map((contestant) => {
        const list = asked(contestant.pulls).flatMap(of);
        return { ...contestant, run: () => run(wrk, contestant.url, list, seconds) };
      }),
    })),
    close: async () => {
      wrk.close();
      await Promise.all(limits.map((limit) => limit.stop()));
    },
  };
}

interface Contestant {
  readonly name: string;
  readonly url: string;
  readonly pulls: readonly Pull[];
  readonly watched: readonly Watched[];
  readonly isLimit?: boolean;
}

const run = (wrk: Wrk, url: string, paths: readonly string[], seconds: number) =>
  wrk.run(url, paths, { connections: CONNECTIONS, seconds });

async function startLimits(answers: readonly KnownAnswer[]): Promise<StaticServer[]> {
  const [bare, nginx] = [await startBareNode(answers), await startNginx(answers)];
  return nginx === undefined ? [bare] : [bare, nginx];
}

/** What a client asks for when it pulls from one collection, in this order, and the current names. */
interface Pull {
  readonly reads: Readonly<
    Record<
      'timestamp' | 'snapshot' | 'root' | 'targets' | 'currentSnapshot' | 'currentRoot',
      string
    >
  >;
}

const WORKS: readonly { readonly name: string; readonly of: (pull: Pull) => readonly string[] }[] =
  [
    { name: 'timestamp.json', of: ({ reads }) => [reads.timestamp] },
    { name: 'snapshot.json', of: ({ reads }) => [reads.currentSnapshot] },
    { name: 'root.json', of: ({ reads }) => [reads.currentRoot] },
    { name: 'targets.{sha256}.json', of: ({ reads }) => [reads.targets] },
    { name: 'the four reads of a pull', of: pullPaths },
  ];

export function pullPaths({ reads }: Pull): readonly string[] {
  return [reads.timestamp, reads.snapshot, reads.root, reads.targets];
}

/** Follows the checksums from the timestamp down, as a client does. */
export async function pullsOf(subject: Subject, guns: readonly string[]): Promise<Pull[]> {
  const ca = readFileSync(subject.caFile);
  const fetchAll = async (paths: readonly string[]) => {
    const answers = await collectAnswers(subject.url, ca, paths);
    return new Map(answers.map((answer) => [answer.path, metaOf(answer.body)]));
  };
  const timestamps = await fetchAll(guns.map((gun) => path(gun, 'timestamp')));
  const snapshotOf = (gun: string) =>
    path(gun, `snapshot.${timestamps.get(path(gun, 'timestamp'))?.['snapshot']}`);
  const snapshots = await fetchAll(guns.map(snapshotOf));
  return guns.map((gun) => {
    const listed = snapshots.get(snapshotOf(gun)) ?? {};
    return {
      reads: {
        timestamp: path(gun, 'timestamp'),
        snapshot: snapshotOf(gun),
        root: path(gun, `root.${listed['root']}`),
        targets: path(gun, `targets.${listed['targets']}`),
        currentSnapshot: path(gun, 'snapshot'),
        currentRoot: path(gun, 'root'),
      },
    };
  });
}

function path(gun: string, file: string): string {
  return `/v2/${gun}/_trust/tuf/${file}.json`;
}

/** Hex checksums by role. */
function metaOf(body: Buffer): Readonly<Record<string, string>> {
  const { signed } = JSON.parse(body.toString()) as {
    signed: { meta: Record<string, { hashes: { sha256: string } }> };
  };
  return Object.fromEntries(
    Object.entries(signed.meta).map(([role, { hashes }]) => [
      role,
      Buffer.from(hashes.sha256, 'base64').toString('hex'),
    ]),
  );
}

/** Zipf: the nth collection is asked for a nth as often as the first. The same list in every run. */
export function asked(pulls: readonly Pull[]): Pull[] {
  const cumulated: number[] = [];
  let sum = 0;
  for (const index of pulls.keys()) cumulated.push((sum += 1 / (index + 1)));
  return Array.from({ length: REQUESTS }, (_, request) => {
    const point = sum * fraction(request * GOLDEN);
    const index = cumulated.findIndex((upTo) => point < upTo);
    return pulls[index] ?? pulls.at(-1);
  }).filter((pull) => pull !== undefined);
}

/** Multiples of it fill the unit interval evenly, in no order that anybody would notice. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;
const fraction = (value: number) => value - Math.floor(value);
