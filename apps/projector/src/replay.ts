import { readMoment, type EventStore } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { ReadModelError } from '@scrivener/read-model';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { parseOptions, runCommand, UsageError } from '@scrivener/runtime';
import { readProjectorConfig } from './config.ts';
import { openPast, readTarget, type Past, type Target } from './past.ts';
import { createProgress } from './progress.ts';
import { createReporter } from './rebuild-progress.ts';
import { StaticTreeError } from './static-tree.ts';

const USAGE = `usage: replay [-config FILE]
       replay [-config FILE] --into DIRECTORY|schema:NAME [--until MOMENT]
Projects the read model anew from position 0. Readers see the old one until the new one is there, and
publishes go on. The command "rebuild" compares the two as well.
With --into, the read model stays as it is, and the log alone is read. After a kill, the same command
goes on where it was.
  --into ./DIRECTORY   what was current at a moment, as files that any web server can serve; a path with a
                       slash, or directory:PATH
  --into schema:NAME   what was current at a moment, as tables in that schema of the database
  --until MOMENT       a position of the log, or an RFC 3339 time: as of the last event no later; without it,
                       to the end of the log
  -config FILE         settings of the projector; NOTARY_SERVER_* variables override it
  -help                this text`;

/** Events read at once. */
const BATCH = 500;

runCommand(USAGE, async ({ config: file, arguments: words }) => {
  const wanted = parseWords(words);
  const { databaseUrl } = readProjectorConfig(file, process.env);
  if (wanted === undefined) await replayReadModel(databaseUrl);
  else await replayInto(databaseUrl, wanted);
});

interface Wanted {
  readonly target: Target;
  readonly until: string | undefined;
}

/** Undefined where nothing but the read model is asked for. */
function parseWords(words: readonly string[]): Wanted | undefined {
  const options = { into: { type: 'string' }, until: { type: 'string' } } as const;
  const { into, until } = parseOptions(words, { options }).values;
  if (into !== undefined) return { target: readTarget(into), until };
  if (until !== undefined) throw new UsageError('--until needs a place: name it with --into');
  return undefined;
}

async function replayReadModel(databaseUrl: string): Promise<void> {
  const readModel = await postgresReadModel(databaseUrl);
  const started = performance.now();
  const reporter = createReporter();
  try {
    await readModel.replay(reporter.tell);
  } finally {
    reporter.end();
  }
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const position = await readModel.checkpoint();
  await readModel.close();
  process.stdout.write(`projected ${position} events from the start in ${seconds} s\n`);
}

async function replayInto(databaseUrl: string, { target, until }: Wanted): Promise<void> {
  const events = await postgresEventStore(databaseUrl, { poolSize: 1 });
  try {
    const last = await lastPosition(events, until);
    const past = await openPast(target, databaseUrl, events);
    try {
      await bringTo(last, past, events, target.name);
    } finally {
      await past.close();
    }
    for (const gun of past.leftOut) {
      process.stderr.write(`left out, for it is no path of directories: ${JSON.stringify(gun)}\n`);
    }
    process.stdout.write(`${target.name} is what the log was at position ${last}\n`);
  } catch (error) {
    const isRefusal = error instanceof StaticTreeError || error instanceof ReadModelError;
    if (!isRefusal) throw error;
    throw new UsageError(error.message, { cause: error });
  } finally {
    await events.close();
  }
}

async function bringTo(
  last: number,
  past: Past,
  events: Pick<EventStore, 'readAfter'>,
  name: string,
): Promise<void> {
  const begun = past.position;
  if (begun > last) {
    throw new UsageError(`${name} is at position ${begun} already, beyond ${last}`);
  }
  const progress = createProgress('events', { begun, total: last });
  while (past.position < last) {
    const limit = Math.min(BATCH, last - past.position);
    const batch = await events.readAfter(past.position, limit);
    if (batch.at(-1)?.position !== past.position + batch.length || batch.length === 0) {
      throw new ReadModelError(
        'LOG_GAP',
        `events are missing behind position ${past.position}: fsck says which`,
      );
    }
    await past.apply(batch);
    progress.at(past.position);
  }
  progress.end();
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
