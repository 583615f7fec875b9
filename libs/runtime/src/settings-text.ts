import type { z } from 'zod';
import { isRecord } from './config-file.ts';
import { defaultOf, metaOf, sectionOf, variableOf } from './settings.ts';

// What a schema of settings has to say to people: the list of `-help`, the rows of docs/settings.md,
// and the answer of `-check-config`.

/** One setting as it is explained. */
export interface SettingRow {
  readonly name: string;
  /** Absent where no variable sets it. */
  readonly variable: string | undefined;
  /** As it would be written; absent where there is none. */
  readonly byDefault: string | undefined;
  readonly description: string;
}

/** Every setting of a schema, in its order. */
export function settingRows(schema: z.ZodObject, prefix: string): SettingRow[] {
  return leaves(schema).map(({ path, leaf, inMap }) => ({
    name: path.join('.'),
    variable: inMap ? undefined : variableOf(prefix, path),
    byDefault: written(defaultOf(leaf)),
    description: metaOf(leaf).description ?? '',
  }));
}

/**
 * The names in a file that mean nothing to a schema: perhaps misspelt, perhaps of another program.
 * Names at the top may be in any case, and be whole paths.
 */
export function unknownSettings(
  schema: z.ZodObject,
  file: Readonly<Record<string, unknown>>,
): string[] {
  const known = new Set(leaves(schema).map(({ path }) => path.join('.')));
  return Object.entries(file).flatMap(([name, value]) =>
    namesIn(name.toLowerCase(), value).filter((path) => !isKnown(known, path)),
  );
}

function namesIn(name: string, value: unknown): string[] {
  if (!isRecord(value)) return [name];
  return Object.entries(value).flatMap(([inner, part]) => namesIn(`${name}.${inner}`, part));
}

/** Known itself, or by what is above it. */
function isKnown(known: ReadonlySet<string>, path: string): boolean {
  const parts = path.split('.');
  return parts.some((_, index) => known.has(parts.slice(0, index + 1).join('.')));
}

const MASK = '***';

/**
 * The settings in effect: what was given, the defaults for the rest, and stars for what is secret.
 * `given` is what `readGiven` gives.
 */
export function settingsInEffect(
  schema: z.ZodObject,
  given: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const entries = Object.entries(schema.shape).map(([name, member]) => {
    const leaf = member as z.ZodType;
    const section = sectionOf(leaf) ?? metaOf(leaf).members;
    const value = given[name];
    return section === undefined
      ? ([name, masked(value ?? defaultOf(leaf), leaf)] as const)
      : ([name, settingsInEffect(section, isRecord(value) ? value : {})] as const);
  });
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined && value !== ''));
}

function masked(value: unknown, leaf: z.ZodType): unknown {
  const { secret, url } = metaOf(leaf);
  if (value === undefined || value === '') return undefined;
  if (secret === true) return MASK;
  return url === true && typeof value === 'string' ? withoutPassword(value) : value;
}

/** Of a URL, a list `name=value`, or a database source of Go (`user:password@tcp(host)/db`). */
function withoutPassword(source: string): string {
  return source
    .replace(/^(\w+:\/\/[^:@/?#\s]*|[^:@/?#\s]*):(?!\/\/).*@/, `$1:${MASK}@`)
    .replace(/\b(password|sslpassword)(\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&]*)/gi, `$1$2${MASK}`);
}

interface Leaf {
  readonly path: readonly string[];
  readonly leaf: z.ZodType;
  readonly inMap: boolean;
}

function leaves(schema: z.ZodObject, above: readonly string[] = [], inMap = false): Leaf[] {
  return Object.entries(schema.shape).flatMap(([name, member]) => {
    const leaf = member as z.ZodType;
    const path = [...above, name];
    const { members } = metaOf(leaf);
    if (members !== undefined) return leaves(members, path, true);
    const section = sectionOf(leaf);
    return section === undefined ? [{ path, leaf, inMap }] : leaves(section, path, inMap);
  });
}

function written(value: unknown): string | undefined {
  if (value === undefined || value === '' || (Array.isArray(value) && value.length === 0)) {
    return undefined;
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
