import { parseArgs, type ParseArgsConfig } from 'node:util';

/** A command line that makes no sense; `message` is for whoever typed it. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** How the lines of a log are written. */
export type LogForm = 'json' | 'logfmt';

/** What the old programs understood (WIRE §14.1), and `-check-config`. */
export interface CommandLine {
  readonly config?: string;
  readonly logForm: LogForm;
  readonly debug: boolean;
  readonly bootstrap: boolean;
  readonly checkConfig: boolean;
  readonly version: boolean;
  readonly help: boolean;
  /** What follows the flags. */
  readonly arguments: readonly string[];
}

/** The flags of the programs, as they are explained to whoever asks. */
export const FLAGS = {
  config: { value: 'FILE', says: 'settings: a file .json, .yaml, .yml or .toml' },
  logf: { value: 'FORM', says: 'form of the log: json or logfmt; json by default' },
  debug: { says: 'serve /debug/vars, /debug/pprof/ and /debug/health on localhost:8080' },
  'check-config': { says: 'check the settings, print those in effect without secrets, and exit' },
  bootstrap: { says: 'refused: no storage here needs to be prepared in this way' },
  version: { says: 'print the version and exit' },
  help: { says: 'print this text and exit; also -h' },
} as const satisfies Record<string, Flag>;

interface Flag {
  /** What it is given; a flag without is a boolean. */
  readonly value?: string;
  readonly says: string;
}

type FlagName = keyof typeof FLAGS;

/**
 * Reads the words after the program's name as Go reads them: `-flag`, `--flag`, `-flag=value`, and
 * `-flag value` where it is no boolean; the last one counts, and what is no flag ends them. So does a
 * flag that is not among these, for a command that has its own. Throws `UsageError`.
 */
export function parseCommandLine(
  words: readonly string[],
  { hasOwnFlags = false }: { readonly hasOwnFlags?: boolean } = {},
): CommandLine {
  const given = new Map<FlagName, string>();
  const rest = [...words];
  for (let word = rest[0]; word !== undefined && /^-./.test(word); word = rest[0]) {
    if (hasOwnFlags && !isFlag(nameOf(word))) break;
    rest.shift();
    if (word === '--') break;
    const [name, value] = splitFlag(word);
    given.set(name, value ?? valueOf(name, rest));
  }
  const config = given.get('config') ?? '';
  return {
    ...(config !== '' && { config }),
    logForm: parseForm(given.get('logf') ?? 'json'),
    debug: parseBoolean(given, 'debug'),
    bootstrap: parseBoolean(given, 'bootstrap'),
    checkConfig: parseBoolean(given, 'check-config'),
    version: parseBoolean(given, 'version'),
    help: parseBoolean(given, 'help'),
    arguments: rest,
  };
}

/** The options of a command, as `node:util` reads them. Throws `UsageError`. */
export function parseOptions<Config extends Omit<ParseArgsConfig, 'args'>>(
  words: readonly string[],
  config: Config,
): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs<Config>({ ...config, args: [...words] });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** For programs that take nothing but flags. Throws `UsageError`. */
export function refuseWords(words: readonly string[]): void {
  if (words.length > 0) throw new UsageError(`unexpected ${words[0]}`);
}

function splitFlag(word: string): [name: FlagName, value: string | undefined] {
  const name = nameOf(word);
  const value = /=(.*)$/s.exec(word)?.[1];
  if (name === '') throw new UsageError(`bad flag syntax: ${word}`);
  if (!isFlag(name)) throw new UsageError(`flag provided but not defined: -${name}`);
  return [name, value];
}

/** Empty where the word is not written like a flag. */
function nameOf(word: string): string {
  const written = /^--?([^-=][^=]*)(?:=.*)?$/s.exec(word)?.[1] ?? '';
  return written === 'h' ? 'help' : written;
}

function isFlag(name: string): name is FlagName {
  return Object.hasOwn(FLAGS, name);
}

function valueOf(name: FlagName, rest: string[]): string {
  if (!('value' in FLAGS[name])) return 'true';
  const value = rest.shift();
  if (value === undefined) throw new UsageError(`flag needs an argument: -${name}`);
  return value;
}

function parseForm(form: string): LogForm {
  if (form === 'json' || form === 'logfmt') return form;
  throw new UsageError(`invalid value "${form}" for flag -logf: use json or logfmt`);
}

function parseBoolean(given: ReadonlyMap<FlagName, string>, name: FlagName): boolean {
  const value = given.get(name) ?? 'false';
  if (/^(?:[1tT]|true|TRUE|True)$/.test(value)) return true;
  if (/^(?:[0fF]|false|FALSE|False)$/.test(value)) return false;
  throw new UsageError(`invalid boolean value "${value}" for -${name}: parse error`);
}
