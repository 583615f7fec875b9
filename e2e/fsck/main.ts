// `node e2e/fsck/main.ts --spoil postgres://… --seed 1`: changes a copy of a large log in a hundred ways,
// each in repositories of its own, and tells which of them one run of fsck did not name. The database
// is of no use afterwards. Exits 0 when all were named, and 1 otherwise.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Client } from 'pg';
import { fsck } from '../../apps/projector/src/fsck/fsck.ts';
import { createRandom } from '../torture/random.ts';
import { DROP_CONSTRAINTS, missed, MUTATIONS, pickVictim, type Clue } from './mutations.ts';

/** What the constraints gave besides: without them each look is at every row. */
const INDEXES = [
  'create index on events (position)',
  'create index on events (gun_sha256, version)',
  'create index on files (sha256)',
];

/** The mutations know the tables of the first slot; after a rebuild the other one may be live. */
const LIVE_NAMES = `do $$
  declare name text;
  begin
    if (select slot from serving) = 'b' then
      foreach name in array array['metafiles', 'changefeed', 'expiries'] loop
        execute format('alter table %1$I rename to %1$I_other', name);
        execute format('alter table %1$I_b rename to %1$I', name);
      end loop;
    end if;
  end $$`;

const { values } = parseArgs({
  options: {
    spoil: { type: 'string' },
    seed: { type: 'string', default: '1' },
    mutations: { type: 'string', default: '100' },
    threads: { type: 'string', default: `${availableParallelism()}` },
  },
});
const url = values.spoil;
if (url === undefined) throw new Error('name the copy that is to be spoiled with --spoil');

const changes = await spoil(url, Number(values.mutations), Number(values.seed));
const report = await fsck({
  url,
  threads: Number(values.threads),
  expected: [],
  onProgress: ({ events, rate, left }) => {
    process.stderr.write(
      `\r${events} events, ${rate.toFixed(0)} a second, ${left.toFixed(0)} s left  `,
    );
  },
});
const unnamed = changes.flatMap(({ name, clues }) => {
  return missed(clues, report.findings).map((clue) => ({ name, clue }));
});
for (const { name, clue } of unnamed) console.log(`not named: ${name}: ${JSON.stringify(clue)}`);
console.log(
  `${changes.length} changes of ${report.events} events, ${report.findings.length} findings in ` +
    `${report.seconds.toFixed(1)} s, ${unnamed.length} changes not named`,
);
process.exitCode = unnamed.length === 0 ? 0 : 1;

async function spoil(
  database: string,
  count: number,
  seed: number,
): Promise<readonly { readonly name: string; readonly clues: readonly Clue[] }[]> {
  const client = new Client({ connectionString: database });
  await client.connect();
  const { rows } = await client.query<{ last: string }>('select max(position) as last from events');
  const last = Number(rows[0]?.last);
  await client.query(DROP_CONSTRAINTS);
  await client.query(LIVE_NAMES);
  for (const index of INDEXES) await client.query(index);
  const random = createRandom(seed);
  const without = new Set<string>();
  const changed = [];
  for (let nth = 0; nth < count; nth += 1) {
    const mutation = MUTATIONS[nth % MUTATIONS.length];
    if (mutation === undefined) throw new RangeError('there are no mutations');
    const { name, where, apply } = mutation;
    const victim = await pickVictim(client, where, last, { random, without });
    without.add(victim.gun);
    const other = await pickVictim(client, where, last, { random, without });
    without.add(other.gun);
    changed.push({
      name: `${name} (${victim.position})`,
      clues: await apply(client, victim, other),
    });
  }
  await client.end();
  return changed;
}
