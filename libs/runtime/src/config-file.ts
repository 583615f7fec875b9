import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { ConfigError, UnparsableConfig } from './config-error.ts';
import { openReason, reasonOf } from './tls-files.ts';

/** Settings by name, unchecked. */
export type Settings = Readonly<Record<string, unknown>>;

type Parse = (text: string) => unknown;

/** By the extension of the file, as WIRE §14.1 has it. */
const FORMATS: Readonly<Record<string, Parse>> = {
  json: (text) => JSON.parse(text) as unknown,
  yaml: yaml,
  yml: yaml,
  toml: (text) => parseToml(text),
};

/** What the old programs read and we do not. */
const GONE = new Set(['properties', 'props', 'prop']);

/** Throws `ConfigError` in the words of WIRE §14.2. */
export function readConfigFile(file: string): Settings {
  const parse = formatOf(file);
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw cannotRead(file, openReason('', error));
  }
  let settings: unknown;
  try {
    settings = parse(text);
  } catch (error) {
    throw new UnparsableConfig(withoutContent(reasonOf(error)));
  }
  if (!isRecord(settings)) throw new UnparsableConfig(`${file} is no map of settings`);
  return settings;
}

/** The words for a program that was not told of a file (WIRE §14.2). */
export function noConfigFile(): ConfigError {
  return unsupported('', '');
}

export function isRecord(value: unknown): value is Settings {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function formatOf(file: string): Parse {
  const name = basename(file);
  const extension = name.includes('.') ? name.slice(name.lastIndexOf('.') + 1) : '';
  const parse = Object.hasOwn(FORMATS, extension) ? FORMATS[extension] : undefined;
  if (parse !== undefined) return parse;
  const hint = GONE.has(extension) ? ': write it as JSON, YAML or TOML' : '';
  throw unsupported(file, extension, hint);
}

function unsupported(file: string, extension: string, hint = ''): ConfigError {
  return cannotRead(file, `Unsupported Config Type "${extension}"${hint}`);
}

function cannotRead(file: string, reason: string): ConfigError {
  return new ConfigError(`could not read config at :${file}, viper error: ${reason}`);
}

/** An empty file is an empty map, as it was. */
function yaml(text: string): unknown {
  return parseYaml(text, { prettyErrors: false, logLevel: 'error', merge: true }) ?? {};
}

/** Parsers like to show what they stumbled over, and that may be a password. */
function withoutContent(reason: string): string {
  const [line = ''] = reason.split('\n');
  return line.replace(/,? (?:\.\.\.)?".*" is not valid JSON$/, '').replace(/"[^"]*"/g, '"…"');
}
