import { createHash } from 'node:crypto';
import type { ClientBase } from 'pg';
import { z } from 'zod';
import type { Finding } from './finding.ts';

/** A digest over the log up to a position, to be kept where whoever writes the log cannot write. */
export interface RecordedHead {
  readonly position: number;
  /**
   * 64 hex digits. D(0) is 64 zeros; D(n) is SHA-256 over the line `D(n-1) n HASH`, with the hash of
   * the event at position n.
   */
  readonly digest: string;
}

/** As it stands in a report; a log has a head from its first event on. */
export const headSchema = z.object({
  position: z.int().min(1),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
});

const NO_HEAD: RecordedHead = { position: 0, digest: '0'.repeat(64) };

/** Positions that are looked at with one query. */
const STRIDE = 5_000;

export interface LogOrder {
  readonly head: RecordedHead;
  readonly findings: readonly Finding[];
}

interface Row {
  readonly position: string;
  readonly hash: Buffer;
}

/** The positions of the log, its head, and what was recorded of it. */
export async function checkLogOrder(
  client: ClientBase,
  { expected, onProgress }: OrderOptions,
): Promise<LogOrder> {
  const findings: Finding[] = [];
  const last = await lastPosition(client, findings);
  const digests = new Map<number, string>([[0, NO_HEAD.digest]]);
  const wanted = new Set(expected.map(({ position }) => position));
  let { digest } = NO_HEAD;
  for (let from = 0; from < last; from += STRIDE) {
    const to = Math.min(from + STRIDE, last);
    const { rows } = await client.query<Row>(
      'select position, hash from events where position > $1 and position <= $2 order by position',
      [from, to],
    );
    let next = from + 1;
    for (const row of rows) {
      const position = Number(row.position);
      if (position > next) findings.push(missing(next, position - 1));
      if (position < next) {
        findings.push({ kind: 'log', position, reason: 'two events have this position' });
      }
      next = position + 1;
      digest = digestOf(digest, position, row.hash.toString('hex'));
      if (wanted.has(position)) digests.set(position, digest);
    }
    if (next <= to) findings.push(missing(next, to));
    onProgress(to, last);
  }
  for (const { position, digest: recorded } of expected) {
    const found = digests.get(position);
    if (found === recorded) continue;
    const reason =
      position > last
        ? `the log ends at position ${last}, and had this one`
        : 'up to here the log is not what was recorded';
    findings.push({ kind: 'recorded-head', position, reason });
  }
  return { head: { position: last, digest }, findings };
}

export interface OrderOptions {
  readonly expected: readonly RecordedHead[];
  readonly onProgress: (position: number, last: number) => void;
}

function digestOf(before: string, position: number, hash: string): string {
  return createHash('sha256').update(`${before} ${position} ${hash}`).digest('hex');
}

/** Log, head and checkpoint at one moment. */
async function lastPosition(client: ClientBase, findings: Finding[]): Promise<number> {
  const { rows } = await client.query<Record<'last' | 'first' | 'head' | 'checkpoint', string>>(
    `select coalesce(max(position), 0) as last, coalesce(min(position), 1) as first,
       coalesce((select position from log_head), -1) as head,
       coalesce((select position from projections where live), -1) as checkpoint
     from events`,
  );
  const [row] = rows;
  const last = Number(row?.last);
  const head = Number(row?.head);
  const checkpoint = Number(row?.checkpoint);
  if (Number(row?.first) < 1) {
    findings.push({ kind: 'log', position: Number(row?.first), reason: 'positions begin at 1' });
  }
  if (head !== last) {
    const reason = `log_head says ${head}, and the last event is at ${last}`;
    findings.push({ kind: 'log', position: last, column: 'log_head', reason });
  }
  if (checkpoint > last) {
    const reason = `it is projected up to position ${checkpoint}: events are missing at the end`;
    findings.push({ kind: 'log', position: last, column: 'projections', reason });
  }
  return last;
}

function missing(from: number, to: number): Finding {
  const reason = from === to ? 'there is no event' : `there are no events up to ${to}`;
  return { kind: 'log', position: from, reason };
}
