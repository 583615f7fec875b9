// `npm run generate-log -- --events 1000000 --collections 3000 --seed 1 --database postgres://…`: fills
// an empty, migrated database with a log that a server could have written. See docs/history.md.

import { parseArgs } from 'node:util';
import { generateLog } from './generate-log/generate.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '2000' },
    collections: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    database: { type: 'string', default: process.env['NOTARY_SERVER_STORAGE_DB_URL'] ?? '' },
    end: { type: 'string', default: new Date().toISOString() },
    threads: { type: 'string' },
  },
});

const events = whole('events', values.events);
const end = Date.parse(values.end);
if (Number.isNaN(end)) usage('--end wants an RFC 3339 time');
if (values.database === '') usage('name a database with --database');

const startedAt = performance.now();
let toldAt = startedAt;
try {
  await generateLog({
    url: values.database,
    events,
    collections: whole('collections', values.collections),
    seed: whole('seed', values.seed),
    end,
    ...(values.threads !== undefined && { threads: whole('threads', values.threads) }),
    onProgress: (done) => {
      if (performance.now() - toldAt < 2_000 && done < events) return;
      toldAt = performance.now();
      const seconds = (toldAt - startedAt) / 1_000;
      const rate = done / seconds;
      const left = Math.ceil((events - done) / rate);
      console.error(`${done} of ${events} events, ${Math.round(rate)} a second, ${left} s left`);
    },
  });
} catch (error) {
  if (!(error instanceof RangeError)) throw error;
  usage(error.message);
}

function whole(name: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) usage(`--${name} wants a whole number above 0`);
  return Number(text);
}

function usage(problem: string): never {
  console.error(`npm run generate-log: ${problem}`);
  process.exit(2);
}
