import type { Difference } from '@scrivener/read-model';
import { z } from 'zod';

/** Names differences: all that have the members it gives. */
const pattern = z.strictObject({
  table: z.enum(['metafiles', 'changefeed', 'expiries']),
  gun: z.string().optional(),
  live: z.string().optional(),
  rebuilt: z.string().optional(),
});

type Pattern = z.infer<typeof pattern>;

/** A line that is no pattern. */
export class ApprovalError extends Error {
  override readonly name = 'ApprovalError';
}

/** A line of JSON, of the form that `readApprovals` reads. */
export function differenceLine({ table, gun, live, rebuilt }: Difference): string {
  return JSON.stringify({ table, gun, live, rebuilt });
}

/**
 * Which differences may be: lines as `differenceLine` writes them, or with fewer members, which means all
 * that have these. Throws `ApprovalError`.
 */
export function readApprovals(text: string): (difference: Difference) => boolean {
  const rows = new Set<string>();
  const patterns: Pattern[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const read = readPattern(line, index + 1);
    if (read.live === undefined && read.rebuilt === undefined) patterns.push(read);
    else rows.add(rowOf(read));
  }
  return (difference) =>
    rows.has(rowOf(difference)) || patterns.some((each) => isLike(difference, each));
}

function readPattern(line: string, number: number): Pattern {
  try {
    return pattern.parse(JSON.parse(line));
  } catch (error) {
    throw new ApprovalError(`line ${number} approves nothing that can be read: ${line}`, {
      cause: error,
    });
  }
}

function rowOf({ table, live, rebuilt }: Pattern | Difference): string {
  return JSON.stringify([table, live ?? null, rebuilt ?? null]);
}

function isLike({ table, gun }: Difference, wanted: Pattern): boolean {
  return table === wanted.table && (wanted.gun === undefined || gun === wanted.gun);
}
