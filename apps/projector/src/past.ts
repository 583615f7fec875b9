import type { EventStore } from '@scrivener/events';
import { openPastSchema, type PastSchema } from '@scrivener/read-model/postgres';
import { UsageError } from '@scrivener/runtime';
import { openStaticTree, type StaticTree } from './static-tree.ts';

/** Where the past is put: files, or tables beside the log. */
export interface Target {
  readonly kind: 'directory' | 'schema';
  readonly name: string;
}

/** What was current at some event; the next events of the log can be added. */
export interface Past extends PastSchema, Pick<StaticTree, 'leftOut'> {}

/**
 * Reads `schema:NAME`, `directory:PATH`, or a path that cannot be the name of a schema, for it has a
 * slash or is `.` or `..`. A word that may be either is refused. Throws `UsageError`.
 */
export function readTarget(text: string): Target {
  const [, kind, name] = /^(schema|directory):(.+)$/s.exec(text) ?? [];
  if (name !== undefined) return { kind: kind === 'schema' ? 'schema' : 'directory', name };
  if (text.includes('/') || text === '.' || text === '..') return { kind: 'directory', name: text };
  if (text === '' || /^(?:schema|directory):$/.test(text))
    throw new UsageError('--into wants a name');
  throw new UsageError(
    `--into ${text} may be a directory or a schema: say ./${text} or schema:${text}`,
  );
}

/** Throws `StaticTreeError` or `ReadModelError` where the place is taken by something else. */
export async function openPast(
  { kind, name }: Target,
  databaseUrl: string,
  events: EventStore,
): Promise<Past> {
  if (kind === 'schema') {
    return Object.assign(await openPastSchema(databaseUrl, name), { leftOut: new Set<never>() });
  }
  return Object.assign(await openStaticTree(name, events), { close: async () => {} });
}
