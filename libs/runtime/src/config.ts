import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { ConfigError } from './config-error.ts';
import { isRecord, readConfigFile, type Settings } from './config-file.ts';
import { metaOf, sectionOf, variableOf } from './settings.ts';

export interface ConfigSource {
  /** Path of the file; absent where the environment says it all. */
  readonly file?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `NOTARY_SERVER` or `NOTARY_SIGNER`: the variable of `storage.db_url` is `<prefix>_STORAGE_DB_URL`. */
  readonly prefix: string;
}

/**
 * Gives one section of the settings, checked, with its defaults. A program asks for its sections in
 * the order in which mistakes are to be named (WIRE §14.2). Throws `ConfigError`.
 */
export type Sections<Schema extends z.ZodObject> = <Name extends keyof Schema['shape'] & string>(
  name: Name,
) => z.output<Schema['shape'][Name]>;

/** Reads the file and over it the environment (WIRE §14.3). Throws `ConfigError`. */
export function readConfig<Schema extends z.ZodObject>(
  schema: Schema,
  source: ConfigSource,
): Sections<Schema> {
  const given = readGiven(schema, source);
  return <Name extends keyof Schema['shape'] & string>(name: Name) => {
    const section = schema.shape[name] as z.ZodType<z.output<Schema['shape'][Name]>>;
    const result = section.safeParse(given[name]);
    if (!result.success) throw refusal(name, result.error);
    return result.data;
  };
}

/** Paths in a file of settings are relative to that file. */
export function resolveBeside(file: string | undefined, path: string): string {
  return file === undefined ? resolve(path) : resolve(dirname(file), path);
}

/**
 * What file and environment say to the settings of a schema, unchecked. What the schema does not know
 * is ignored, and so is what is `null` or empty. Throws `ConfigError`.
 */
export function readGiven(schema: z.ZodObject, source: ConfigSource): Settings {
  const file = source.file === undefined ? {} : readConfigFile(source.file);
  return pick(schema, [], { source, inFile: lookUp(file) });
}

interface Places {
  readonly source: ConfigSource;
  readonly inFile: (path: readonly string[]) => unknown;
}

function pick(schema: z.ZodObject, above: readonly string[], places: Places): Settings {
  const { environment, prefix } = places.source;
  const picked = Object.entries(schema.shape).map(([name, member]) => {
    const path = [...above, name];
    const section = sectionOf(member as z.ZodType);
    const { members } = metaOf(member as z.ZodType);
    const variable = variableOf(prefix, path);
    const override = environment[variable] ?? '';
    const value = places.inFile(path);
    if (section === undefined && members === undefined) {
      return [name, override === '' ? value : override] as const;
    }
    if (override !== '') throw new ConfigError(mapRefusal(path, variable));
    if (section === undefined) return [name, value] as const;
    if (value !== undefined && value !== null && !isRecord(value)) {
      throw new ConfigError(`${path.join('.')} must be a map of settings`);
    }
    return [name, pick(section, path, places)] as const;
  });
  return Object.fromEntries(picked.filter(([, value]) => value !== null && value !== ''));
}

/** The words of WIRE §14.3, which has them for `auth.options`. */
function mapRefusal(path: readonly string[], variable: string): string {
  return `${path.join('.')} must be a map[string]interface{}: ${variable} cannot replace it`;
}

/**
 * Names at the top are read in any case, and may be whole paths: `"server.http_addr"`, which wins over
 * the same setting inside its section.
 */
function lookUp(file: Settings): (path: readonly string[]) => unknown {
  const top = new Map(Object.entries(file).map(([name, value]) => [name.toLowerCase(), value]));
  return ([first = '', ...rest]) => {
    const whole = [first, ...rest].join('.');
    if (top.has(whole)) return top.get(whole);
    let value = top.get(first);
    for (const name of rest) {
      value = isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined;
    }
    return value;
  };
}

/** The first mistake, with the name of its setting unless the words are those of the old programs. */
function refusal(section: string, error: z.ZodError): ConfigError {
  const [issue] = error.issues;
  if (issue === undefined || issue.code === 'custom') return new ConfigError(issue?.message ?? '');
  return new ConfigError(`${[section, ...issue.path].join('.')} ${issue.message}`);
}
