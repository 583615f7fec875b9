// `node e2e/rebuild/main.ts --database postgres://… --readers 8`: starts the stack on a database that has a
// log and a read model, and rebuilds that under traffic as `rebuild.e2e.ts` does. The URL is a
// superuser's; repositories are added, nothing is removed. Exits 0 when nothing was wrong.

import { setTimeout as sleep } from 'node:timers/promises';
import { parseOptions, UsageError } from '@scrivener/runtime';
import { ensureCertificates } from '../../fixtures/certificates.ts';
import { withClient } from '../answers.ts';
import { startCluster } from '../cluster.ts';
import { driveRebuild } from './drive.ts';

const options = readWords();
const startedAt = performance.now();
const say = (line: string) =>
  console.log(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${line}`);

await ensureCertificates(new Date());
const { database } = options;
const cluster = await startCluster({ apis: 2, database, server: { limits: { history: 20 } } });
try {
  await untilProjected(database);
  const { seed, readers, publishers, sample } = options;
  const { tally, kills } = await driveRebuild(cluster, { seed, readers, publishers, sample, say });
  for (const line of tally.wrong) console.log(`WRONG: ${line}`);
  say(
    `${tally.reads} reads, the slowest in ${tally.slowestMs.toFixed(0)} ms, ${tally.publishes} publishes, ` +
      `${kills} kills in the middle, ${tally.wrongs} wrong`,
  );
  process.exitCode = tally.wrongs === 0 && kills > 0 ? 0 : 1;
} finally {
  await cluster.stop();
}
process.exit();

async function untilProjected(url: string): Promise<void> {
  await withClient(url, async (client) => {
    for (;;) {
      const { rows } = await client.query<{ behind: string }>(
        `select log_head.position - projections.position as behind from log_head, projections where live`,
      );
      if (rows[0]?.behind === '0') return;
      say(`${rows[0]?.behind} events have yet to be projected`);
      await sleep(5_000);
    }
  });
}

function readWords() {
  try {
    const text = { type: 'string' } as const;
    const { values } = parseOptions(process.argv.slice(2), {
      options: {
        database: text,
        seed: { type: 'string', default: '1' },
        readers: { type: 'string', default: '6' },
        publishers: { type: 'string', default: '3' },
        repositories: { type: 'string', default: '100' },
        each: { type: 'string', default: '20' },
      },
    });
    if (values.database === undefined) throw new UsageError('name a database with --database');
    return {
      database: values.database,
      seed: whole('seed', values.seed),
      readers: whole('readers', values.readers),
      publishers: whole('publishers', values.publishers),
      sample: {
        repositories: whole('repositories', values.repositories),
        each: whole('each', values.each),
      },
    };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`node e2e/rebuild/main.ts: ${error.message}`);
    process.exit(2);
  }
}

function whole(name: string, value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new UsageError(`--${name} wants a whole number above 0`);
  return Number(value);
}
