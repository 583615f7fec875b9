import { readMoment, type EventStore } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { parseOptions, runCommand, UsageError } from '@scrivener/runtime';
import { readProjectorConfig } from './config.ts';
import { createProgress } from './progress.ts';
import { openStaticTree, StaticTreeError } from './static-tree.ts';

const USAGE = `usage: replay [-config FILE]
       replay [-config FILE] --into DIRECTORY [--until MOMENT]
Projects the read model anew from position 0. Readers see the old one until the new one is there, and
publishes go on. The command "rebuild" compares the two as well.
With --into, the read model stays as it is: what was current at a moment is written into a directory
that any web server can serve. After a kill, the same command goes on where it was.
  -config FILE    settings of the projector; NOTARY_SERVER_* variables override it
  --until MOMENT  a position of the log, or an RFC 3339 time: as of the last event no later; without it,
                  to the end of the log
  -help           this text`;

/** Events read at once. */
const BATCH = 500;

runCommand(USAGE, async ({ config: file, arguments: words }) => {
  const target = parseWords(words);
  const { databaseUrl } = readProjectorConfig(file, process.env);
  if (target === undefined) await replayReadModel(databaseUrl);
  else await replayInto(databaseUrl, target);
});

interface Target {
  readonly directory: string;
  readonly until: string | undefined;
}

/** Undefined where nothing but the read model is asked for. */
function parseWords(words: readonly string[]): Target | undefined {
  const { into, until } = parse(words);
  if (into !== undefined) return { directory: into, until };
  if (until !== undefined) throw new UsageError('--until needs a directory: name it with --into');
  return undefined;
}

function parse(words: readonly string[]) {
  const options = { into: { type: 'string' }, until: { type: 'string' } } as const;
  return parseOptions(words, { options }).values;
}

async function replayReadModel(databaseUrl: string): Promise<void> {
  const readModel = await postgresReadModel(databaseUrl);
  const started = performance.now();
  await readModel.replay();
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const position = await readModel.checkpoint();
  await readModel.close();
  process.stdout.write(`projected ${position} events from the start in ${seconds} s\n`);
}

async function replayInto(databaseUrl: string, { directory, until }: Target): Promise<void> {
  const events = await postgresEventStore(databaseUrl, { poolSize: 1 });
  try {
    const last = await lastPosition(events, until);
    const tree = await openStaticTree(directory, events);
    const begun = tree.position;
    if (begun > last) {
      throw new StaticTreeError(`${directory} is at position ${begun} already, beyond ${last}`);
    }
    const progress = createProgress('events', { begun, total: last });
    while (tree.position < last) {
      const limit = Math.min(BATCH, last - tree.position);
      await tree.apply(await events.readAfter(tree.position, limit));
      progress.at(tree.position);
    }
    progress.end();
    for (const gun of tree.leftOut) {
      process.stderr.write(`left out, for it is no path of directories: ${JSON.stringify(gun)}\n`);
    }
    process.stdout.write(`${directory} is what the log was at position ${last}\n`);
  } catch (error) {
    if (!(error instanceof StaticTreeError)) throw error;
    throw new UsageError(error.message, { cause: error });
  } finally {
    await events.close();
  }
}

async function lastPosition(events: EventStore, until: string | undefined): Promise<number> {
  const end = await events.lastPosition();
  if (until === undefined) return end;
  const moment = readMoment(until);
  if (moment === undefined) {
    throw new UsageError('--until takes a position of the log or an RFC 3339 time');
  }
  if (moment.kind === 'time') return events.positionAt(moment.time);
  if (moment.position > end) throw new UsageError(`the log ends at position ${end}`);
  return moment.position;
}
