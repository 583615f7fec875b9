import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { historySvg, rotationsOf } from '@scrivener/events/picture';
import { postgresEventStore } from '@scrivener/events/postgres';
import { runCommand, UsageError } from '@scrivener/runtime';
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
    const stream = await events.readStream(gun, 0);
    if (stream.length === 0) throw new UsageError(`the log has no events of ${gun}`);
    const rotations = await rotationsOf(stream, events);
    const picture = historySvg({ gun, stream, rotations, now: new Date() });
    if (svg === '-') process.stdout.write(picture);
    else await writeFile(svg, picture);
  } finally {
    await events.close();
  }
});

function parseWords(words: readonly string[]): { readonly gun: Gun; readonly svg: string } {
  const { values, positionals } = parse(words);
  const gun = parseGun(positionals[0] ?? '');
  if (gun === undefined || positionals.length !== 1) throw new UsageError('name one repository');
  if (values.svg === undefined) throw new UsageError('name a file with --svg');
  return { gun, svg: values.svg };
}

function parse(words: readonly string[]) {
  try {
    const options = { svg: { type: 'string' } } as const;
    return parseArgs({ args: [...words], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}
