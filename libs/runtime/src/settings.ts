import { z } from 'zod';

// The leaves that schemas of settings are made of. Files and variables are read leniently (WIRE
// §14.3): a number may be written as text and the other way round. What is not there, and `null`, is
// the default.
//
// A refusal in the words of the old programs is a custom issue and is shown as it is; all others are
// shown behind the name of their setting.

/** What a schema says about a setting besides its type, for the page of settings and for masking. */
export interface SettingMeta {
  readonly description?: string | undefined;
  /** Never shown: a password. */
  readonly secret?: boolean;
  /** May have a password in it. */
  readonly url?: boolean;
  /** A map that is read as a whole, from the file only, and what is in it (WIRE §14.3). */
  readonly members?: z.ZodObject;
}

export function metaOf(schema: z.ZodType): SettingMeta {
  return schema.meta() ?? {};
}

/** The schema inside, where a member of a schema is a section of its own. */
export function sectionOf(schema: z.ZodType): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema;
  const isWrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault;
  return isWrapped ? sectionOf(schema.unwrap() as z.ZodType) : undefined;
}

/** What a setting is where nothing is said, as it would be written. */
export function defaultOf(schema: z.ZodType): unknown {
  return schema instanceof z.ZodPrefault ? schema.def.defaultValue : undefined;
}

/** `NOTARY_SERVER_STORAGE_DB_URL` for `storage.db_url`. */
export function variableOf(prefix: string, path: readonly string[]): string {
  return [prefix, ...path].join('_').toUpperCase();
}

const scalar = z
  .union([z.string(), z.number(), z.bigint(), z.boolean()], { error: 'must be text' })
  .transform(String);

export const text = (byDefault = '') => scalar.prefault(byDefault);

/** As Go reads a boolean. */
export const flag = (byDefault = false) =>
  scalar
    .pipe(
      z.string().regex(/^(?:[1tT0fF]|true|TRUE|True|false|FALSE|False)$/, 'must be true or false'),
    )
    .transform((given) => /^[1tT]/.test(given))
    .prefault(byDefault);

interface Range {
  readonly min: number;
  readonly max: number;
}

const NUMBER = /^\s*[-+]?\d+(?:\.\d+)?\s*$/;
const number = z.union([z.number(), z.string().regex(NUMBER).transform(Number)], {
  error: 'must be a number',
});

export const whole = (byDefault: number, { min, max }: Range) =>
  number
    .pipe(z.int('must be a whole number').min(min, atLeast(min)).max(max, atMost(max)))
    .prefault(byDefault);

/** None by default. */
export const port = () =>
  number
    .pipe(z.int('must be a whole number').min(1, atLeast(1)).max(65_535, atMost(65_535)))
    .optional();

/** A time in seconds, which becomes milliseconds. */
export const seconds = (byDefault: number, max = 86_400) =>
  number
    .pipe(z.number().positive('must be more than 0').max(max, atMost(max)))
    .transform((value) => Math.ceil(value * 1000))
    .prefault(byDefault);

/** A list, or its members in one text, parted by blanks. */
export const list = () =>
  z
    .union([z.array(scalar), scalar.transform(byBlanks)], {
      error: 'must be a list, or text with blanks between its members',
    })
    .prefault([]);

function byBlanks(members: string): string[] {
  return members.split(/\s+/).filter((member) => member !== '');
}

function atLeast(min: number): string {
  return `must be at least ${min}`;
}

function atMost(max: number): string {
  return `must be at most ${max}`;
}
