import { once } from 'node:events';
import { readMoment, type EventStore, type Moment } from '@scrivener/events';
import { postgresEventStore } from '@scrivener/events/postgres';
import { parseOptions, runCommand, UsageError } from '@scrivener/runtime';
import { parseGun, parseRoleName, type Gun } from '@scrivener/tuf';
import { jsonOf, withSigners, type AuditEntry } from './audit/audit-entry.ts';
import { EVENT_KINDS, hasKey, isPast, mayMatch, type AuditFilter } from './audit/audit-filter.ts';
import { linesOf, titlesOf } from './audit/audit-table.ts';
import { createChain, type Chain } from './audit/chain.ts';
import { pagesOf } from './audit/pages.ts';
import { readProjectorConfig } from './config.ts';
import { createProgress } from './progress.ts';

const USAGE = `usage: audit [-config FILE] [OPTIONS] [GUN]
Prints what the log says: of one repository, or without a GUN of all. Of one, it also follows the chain
of hashes, and exits 1 when that is broken; fsck looks at everything.
  --since MOMENT  a position of the log, or an RFC 3339 time; that event is in
  --until MOMENT  likewise
  --kind KIND     ${EVENT_KINDS.join(', ')}
  --role ROLE     what concerns that role
  --key KEYID     what that key signed, and where it was made; 7 digits of its id or more
  --follow        goes on with what happens, until it is interrupted
  --json          a line of JSON for each event, as the history API has them
  --wide          everything in full
  -config FILE    settings of the projector; NOTARY_SERVER_* variables override it
  -help           this text
Of --kind, --role and --key there may be several: one of them is enough.`;

runCommand(USAGE, async ({ config: file, arguments: words }) => {
  const request = parseWords(words);
  const { databaseUrl } = readProjectorConfig(file, process.env);
  endWithTheReader();
  const events = await postgresEventStore(databaseUrl, { poolSize: 1 });
  try {
    await audit(events, request);
  } finally {
    await events.close();
  }
});

interface Request {
  readonly gun: Gun | undefined;
  readonly filter: AuditFilter;
  readonly follow: boolean;
  readonly json: boolean;
  readonly isWide: boolean;
}

async function audit(events: EventStore, request: Request): Promise<void> {
  const { gun, filter, json, isWide } = request;
  const form = { isWide, hasGuns: gun === undefined };
  const follow = request.follow ? interrupted() : undefined;
  const since = filter.since?.kind === 'position' ? filter.since.position : 0;
  const after = gun === undefined ? Math.max(0, since - 1) : 0;
  const chain = createChain();
  const progress = await progressOf(events, {
    after,
    isQuiet: gun !== undefined || follow !== undefined,
  });
  const write = (entry: AuditEntry) => writeLines(json ? [jsonOf(entry)] : linesOf(entry, form));

  if (!json) await writeLines([titlesOf(form)]);
  for await (const page of pagesOf(events, { gun, after, follow, onError: complain })) {
    if (gun !== undefined) chain.follow(page);
    const wanted = page.filter((recorded) => mayMatch(filter, recorded));
    for (const entry of await withSigners(events, wanted)) {
      if (hasKey(filter, entry)) await write(entry);
    }
    const last = page.at(-1)?.position ?? 0;
    progress.at(last);
    if (gun === undefined && isPast(filter, last)) break;
  }
  progress.end();
  if (gun !== undefined) tellChain(gun, chain, request);
}

function tellChain(gun: Gun, { length, broken }: Chain, { json, follow }: Request): void {
  if (length === 0 && !follow) throw new UsageError(`the log has no events of ${gun}`);
  const verdict =
    broken === undefined
      ? `${length} events, every hash follows from the one before`
      : `the hash of version ${broken.version} (position ${broken.position}) does not follow: ` +
        'from there on, the log is not what was written';
  // standard output is for events alone where a program reads it
  (json ? process.stderr : process.stdout).write(`${verdict}\n`);
  if (broken !== undefined) process.exitCode = 1;
}

/** For people who look at something else than the lines: they would come in between. */
async function progressOf(
  events: EventStore,
  { after, isQuiet }: { readonly after: number; readonly isQuiet: boolean },
): Promise<ReturnType<typeof createProgress>> {
  if (isQuiet || process.stdout.isTTY) return { at: () => {}, end: () => {} };
  return createProgress('events', { begun: after, total: await events.lastPosition() });
}

async function writeLines(lines: readonly string[]): Promise<void> {
  if (!process.stdout.write(`${lines.join('\n')}\n`)) await once(process.stdout, 'drain');
}

/** `audit | head` wants no more. */
function endWithTheReader(): void {
  process.stdout.on('error', (error) => {
    if ('code' in error && error.code === 'EPIPE') process.exit();
    throw error;
  });
}

function interrupted(): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stopping.abort());
  }
  return stopping.signal;
}

function complain(error: unknown): undefined {
  const reason = error instanceof Error ? error.message : String(error);
  process.stderr.write(`audit: cannot read, trying again: ${reason}\n`);
}

function parseWords(words: readonly string[]): Request {
  const { values, positionals } = parse(words);
  const [name] = positionals;
  const gun = name === undefined ? undefined : parseGun(name);
  if (positionals.length > 1 || (name !== undefined && gun === undefined)) {
    throw new UsageError('name one repository, or none for all of them');
  }
  const { since, until, kind: kinds = [], role: roles = [], key: keys = [] } = values;
  refuse('--kind', kinds, (kind) => EVENT_KINDS.includes(kind));
  refuse('--role', roles, (role) => parseRoleName(role) !== undefined);
  refuse('--key', keys, (key) => /^[0-9a-f]{7,64}$/.test(key));
  return {
    gun,
    filter: {
      since: momentOf('--since', since),
      until: momentOf('--until', until),
      kinds,
      roles,
      keys,
    },
    follow: values.follow === true,
    json: values.json === true,
    isWide: values.wide === true,
  };
}

function parse(words: readonly string[]) {
  return parseOptions(words, {
    allowPositionals: true,
    options: {
      since: { type: 'string' },
      until: { type: 'string' },
      kind: { type: 'string', multiple: true },
      role: { type: 'string', multiple: true },
      key: { type: 'string', multiple: true },
      follow: { type: 'boolean' },
      json: { type: 'boolean' },
      wide: { type: 'boolean' },
    },
  });
}

function refuse(flag: string, values: readonly string[], isGood: (value: string) => boolean): void {
  const bad = values.find((value) => !isGood(value));
  if (bad !== undefined) throw new UsageError(`${flag} does not take ${JSON.stringify(bad)}`);
}

function momentOf(flag: string, text: string | undefined): Moment | undefined {
  const moment = text === undefined ? undefined : readMoment(text);
  if (text !== undefined && moment === undefined) {
    throw new UsageError(`${flag} takes a position of the log or an RFC 3339 time`);
  }
  return moment;
}
