import type { DestinationStream } from 'pino';
import type { LogForm } from './command-line.ts';

type Line = Readonly<Record<string, unknown>>;

const FORMS: Readonly<Record<LogForm, (line: Line) => string>> = { json, logfmt };

/** Takes the lines that pino makes, and writes them as the old programs wrote them (WIRE §15). */
export function writeAs(form: LogForm, destination: DestinationStream): DestinationStream {
  const write = FORMS[form];
  return { write: (line) => destination.write(`${write(JSON.parse(line) as Line)}\n`) };
}

/** Keys in order, and nothing that means something in HTML. */
function json(line: Line): string {
  const sorted = Object.fromEntries(
    Object.keys(line)
      .toSorted()
      .map((key) => [key, line[key]]),
  );
  return JSON.stringify(sorted).replace(/[<>&\u2028\u2029]/g, escape);
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The text form of logrus: `time="…" level=info msg="…"`, then the other keys in order. */
function logfmt({ time, level, msg, ...others }: Line): string {
  const rest = Object.keys(others)
    .toSorted()
    .map((key) => pair(key, others[key]));
  return [
    `time=${quote(String(time))}`,
    pair('level', level),
    pair('msg', msg ?? ''),
    ...rest,
  ].join(' ');
}

function pair(key: string, value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return `${key}=${/^[-\w./@^+]*$/.test(text) ? text : quote(text)}`;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
