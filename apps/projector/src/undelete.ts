import { userInfo } from 'node:os';
import { EventLogError } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { parseOptions, runCommand, UsageError } from '@scrivener/runtime';
import { parseGun, type Gun } from '@scrivener/tuf';
import { readProjectorConfig } from './config.ts';
import { restore } from './restoration.ts';

const USAGE = `usage: undelete [-config FILE] GUN [--reason TEXT] [--by NAME]
Takes the deletion of a repository back: it is what it was, with all its versions. Refused where something
was published since, or where history.undelete_window is over. Exits 1 when it is refused.
Needs the login of an API, for it adds an event to the log; it can neither sign nor publish.
  -config FILE   settings of the projector; NOTARY_SERVER_* variables override it
  --reason TEXT  why, for the log
  --by NAME      who, for the log; the user of the operating system without it
  -help          this text`;

/** How long a projector is given before this process projects itself, in milliseconds. */
const PATIENCE = 300;
/** How long the APIs have to serve it, in milliseconds: it is in the log by then. */
const UNTIL_SERVED = 30_000;

runCommand(USAGE, async ({ config: file, arguments: words }) => {
  const { gun, ...cause } = parseWords(words);
  const { databaseUrl, undeleteMs } = readProjectorConfig(file, process.env);
  const events = await postgresEventStore(databaseUrl, { poolSize: 1 });
  try {
    const at = new Date().toISOString();
    const { position } = await restore(events, gun, { at, cause, windowMs: undeleteMs });
    process.stdout.write(`${gun} is restored, at position ${position}\n`);
    const isServed = await untilServed(databaseUrl, position);
    process.stdout.write(isServed ? 'and served\n' : 'but not served by every API yet\n');
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal === undefined) throw error;
    process.stderr.write(`${refusal}\n`);
    process.exitCode = 1;
  } finally {
    await events.close();
  }
});

/** What an operator can do something about. */
function refusalOf(error: unknown): string | undefined {
  if (error instanceof EventLogError && error.code === 'NOT_RESTORABLE') return error.message;
  const isForbidden = error instanceof Error && 'code' in error && error.code === '42501';
  return isForbidden ? `${error.message}: undelete needs the login of an API` : undefined;
}

async function untilServed(databaseUrl: string, position: number): Promise<boolean> {
  const readModel = await postgresReadModel(databaseUrl, { poolSize: 2 });
  const signal = AbortSignal.timeout(UNTIL_SERVED);
  try {
    while (!(await readModel.reached(position, PATIENCE))) {
      if (signal.aborted) return false;
      await readModel.project();
    }
    await readModel.readers.seen(position, signal);
    return !signal.aborted;
  } finally {
    await readModel.close();
  }
}

interface Words {
  readonly gun: Gun;
  readonly operator: string;
  readonly reason?: string;
}

function parseWords(words: readonly string[]): Words {
  const { values, positionals } = parse(words);
  const gun = parseGun(positionals[0] ?? '');
  if (gun === undefined || positionals.length !== 1) throw new UsageError('name one repository');
  const { reason, by: operator = userInfo().username } = values;
  if (operator === '') throw new UsageError('--by wants a name');
  return { gun, operator, ...(reason !== undefined && { reason }) };
}

function parse(words: readonly string[]) {
  const options = { reason: { type: 'string' }, by: { type: 'string' } } as const;
  return parseOptions(words, { options, allowPositionals: true });
}
