import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { postUpdate, type Answer } from '../tuf-http.ts';
import type { Attack } from './attacker.ts';
import { nextTargets, type Torment } from './collections.ts';
import { filesOf, startReadProbe, toldOf } from './read-probe.ts';
import {
  beginMany,
  current,
  everythingHolds,
  withStack,
  type Findings,
  type Say,
} from './trial.ts';

export interface OverloadOptions extends Omit<Attack, 'url' | 'path'> {
  readonly say: Say;
}

/** What one API may hold, whatever clients do (docs/production.md). */
const MOST_MEMORY = 2_048;

/** Between two reads, in milliseconds, and between two small publishes. */
const READ = 100;
const PUBLISH = 200;

/**
 * More than one API can take, all to the first of two: reads through both go on, and so do small publishes
 * through the other; what is too much is told so, and memory stays bounded.
 */
export async function overloadScenario(options: OverloadOptions): Promise<Findings> {
  const { slowClients, hugeUploads, manyParts, say } = options;
  return withStack({ apis: 2, workers: 1, projectors: 1 }, async (stack) => {
    const [first, second = first] = stack.cluster.urls;
    const torments = await beginMany(stack.urls, 3);
    const [quiet, ...busy] = torments;
    if (quiet === undefined) throw new RangeError('no repository');
    const update = `/v2/${quiet.gun}/_trust/tuf/`;
    const stop = new AbortController();
    const reading = startReadProbe([first, second], await filesOf(first, quiet.gun), READ);
    const publishing = busy.map((torment, api) =>
      publishUntil(stop.signal, api === 0 ? first : second, torment),
    );
    say(`${slowClients} slow clients, ${hugeUploads} huge uploads, ${manyParts} forms of 10,000`);
    const uploads = await attack({ url: first, path: update, ...options });
    stop.abort();
    const reads = await reading.stop();
    const publishes = await Promise.all(publishing);
    const [api] = stack.cluster.processes.api;
    const memory = api === undefined ? Infinity : peakOf(api.pid);

    const answers = counted(uploads);
    const wrong = [...answers.keys()]
      .filter((text) => !/^(400 \w+|503 UNAVAILABLE 5)$/.test(text))
      .map((text) => `an upload was answered ${text}`);
    if (reads.others.size > 0) wrong.push('a read failed');
    if (memory > MOST_MEMORY) wrong.push(`an API held ${memory} MiB`);
    const told = publishes.map(counted);
    for (const texts of told) {
      const odd = [...texts.keys()].filter((text) => !/^(200|503 UNAVAILABLE 5)$/.test(text));
      wrong.push(...odd.map((text) => `a small publish was answered ${text}`));
    }
    wrong.push(...(await everythingHolds(stack, torments)));
    return {
      figures: [
        `${slowClients} slow clients, ${hugeUploads} uploads of 99 MiB and ${manyParts} forms of 10,000 parts at one of two APIs:`,
        `  uploads: ${listed(answers)}`,
        `  ${toldOf(reads)}`,
        ...told.map((texts, index) => {
          return `  small publishes through ${index === 0 ? 'that API' : 'the other'}: ${listed(texts)}`;
        }),
        `  that API held ${memory} MiB at most`,
      ],
      wrong,
    };
  });
}

/** From a process of its own, for what it costs must not delay the reads that are measured here. */
async function attack(options: Attack): Promise<readonly string[]> {
  const { url, path, slowClients, hugeUploads, manyParts, ms } = options;
  const sizes = JSON.stringify({ url, path, slowClients, hugeUploads, manyParts, ms });
  const attacker = spawn(process.execPath, [join(import.meta.dirname, 'attacker.ts'), sizes], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return (await text(attacker.stdout)).split('\n').filter((line) => line !== '');
}

async function publishUntil(
  signal: AbortSignal,
  url: string,
  torment: Torment,
): Promise<readonly string[]> {
  const told: string[] = [];
  for (let round = 0; !signal.aborted; round += 1) {
    told.push(await publishOne(url, torment, `overload-${round}`).catch(String));
    await sleep(PUBLISH);
  }
  return told;
}

async function publishOne(url: string, torment: Torment, name: string): Promise<string> {
  const { targets, signers } = await current(url, torment);
  const part = nextTargets('targets', targets, name, signers);
  return textOf(await postUpdate(url, torment.gun, [part]));
}

function textOf({ status, code = '', headers }: Answer): string {
  return `${status} ${code} ${headers['retry-after'] ?? ''}`.trim();
}

function counted(texts: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return counts;
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([text, count]) => `${count} × ${text}`).join(', ');
}

/** The most memory that a process has ever held, in MiB; nowhere but on Linux. */
function peakOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024);
}
