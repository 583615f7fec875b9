import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';

/** A configuration that cannot be used; `message` is written for the operator. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export interface ConfigSource {
  /** Path of a JSON file; absent where the environment says it all. */
  readonly file?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** `NOTARY_SERVER` or `NOTARY_SIGNER`: the variable of `storage.db_url` is `<prefix>_STORAGE_DB_URL`. */
  readonly prefix: string;
}

/**
 * Reads the settings of one program: the file, then over it the environment (WIRE §14.3), then the
 * schema's defaults and checks. Empty variables are ignored. Throws `ConfigError`.
 */
export function readConfig<Schema extends z.ZodObject>(
  schema: Schema,
  source: ConfigSource,
): z.output<Schema> {
  const settings = source.file === undefined ? {} : readJson(source.file);
  for (const path of scalarPaths(schema)) {
    const name = [source.prefix, ...path].join('_').toUpperCase();
    const value = source.environment[name];
    if (value !== undefined && value !== '') assign(settings, path, value);
  }
  const result = schema.safeParse(settings);
  if (!result.success) throw new ConfigError(z.prettifyError(result.error));
  return result.data;
}

/** Paths in a file of settings are relative to that file. */
export function resolveBeside(file: string | undefined, path: string): string {
  return file === undefined ? resolve(path) : resolve(dirname(file), path);
}

function readJson(file: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`cannot read the configuration file ${file}`, { cause: error });
  }
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch (error) {
    throw new ConfigError(`the configuration file ${file} is not a JSON object`, { cause: error });
  }
}

function scalarPaths(schema: z.ZodObject, above: readonly string[] = []): string[][] {
  return Object.entries(schema.shape).flatMap(([name, member]) => {
    const path = [...above, name];
    const inner = unwrap(member as z.ZodType);
    return inner instanceof z.ZodObject ? scalarPaths(inner, path) : [path];
  });
}

function unwrap(schema: z.ZodType): z.ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return unwrap(schema.unwrap() as z.ZodType);
  }
  return schema;
}

function assign(target: Record<string, unknown>, path: readonly string[], value: string): void {
  const [name, ...rest] = path;
  if (name === undefined) return;
  if (rest.length === 0) {
    target[name] = value;
    return;
  }
  const section = z.record(z.string(), z.unknown()).safeParse(target[name]);
  const next = section.success ? section.data : {};
  target[name] = next;
  assign(next, rest, value);
}
