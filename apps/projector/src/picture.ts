import { writeFile } from 'node:fs/promises';
import type { EventStore, RecordedEvent } from '@scrivener/events';
import { historySvg, rotationsOf } from '@scrivener/events/picture';
import { postgresEventStore } from '@scrivener/events/postgres';
import { parseOptions, runCommand, UsageError } from '@scrivener/runtime';
import { parseGun, type Gun } from '@scrivener/tuf';
import { readProjectorConfig } from './config.ts';

const USAGE = `usage: history [-config FILE] GUN --svg FILE
Draws what the log says about one repository; - for the file is standard output.
  -config FILE   settings of the projector; NOTARY_SERVER_* variables override it
  -help          this text`;

runCommand(USAGE, async ({ config: file, arguments: words }) => {
  const { gun, svg } = parseWords(words);
  const { databaseUrl } = readProjectorConfig(file, process.env);
  const events = await postgresEventStore(databaseUrl, { poolSize: 1 });
  try {
    const stream = await endOf(events, gun);
    const omitted = (stream[0]?.version ?? 1) - 1;
    if (stream.length === 0) throw new UsageError(`the log has no events of ${gun}`);
    const rotations = await rotationsOf(stream, events);
    const picture = historySvg({ gun, stream, omitted, rotations, now: new Date() });
    if (svg === '-') process.stdout.write(picture);
    else await writeFile(svg, picture);
  } finally {
    await events.close();
  }
});

/** Events that are drawn at most, some 200 MB of them; those before are left out, and the picture says so. */
const MOST = 100_000;
const PAGE = 2_000;

async function endOf(
  events: Pick<EventStore, 'readStream'>,
  gun: Gun,
): Promise<readonly RecordedEvent[]> {
  const kept: RecordedEvent[] = [];
  for (let after = 0; ;) {
    const page = await events.readStream(gun, after, PAGE);
    for (const recorded of page) kept.push(recorded);
    if (kept.length > MOST) kept.splice(0, kept.length - MOST);
    after = kept.at(-1)?.version ?? 0;
    if (page.length < PAGE) return kept;
  }
}

function parseWords(words: readonly string[]): { readonly gun: Gun; readonly svg: string } {
  const { values, positionals } = parse(words);
  const gun = parseGun(positionals[0] ?? '');
  if (gun === undefined || positionals.length !== 1) throw new UsageError('name one repository');
  if (values.svg === undefined) throw new UsageError('name a file with --svg');
  return { gun, svg: values.svg };
}

function parse(words: readonly string[]) {
  const options = { svg: { type: 'string' } } as const;
  return parseOptions(words, { options, allowPositionals: true });
}
