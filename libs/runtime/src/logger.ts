import { pino, type DestinationStream, type Logger } from 'pino';
import { z } from 'zod';
import type { LogForm } from './command-line.ts';
import { writeAs } from './log-form.ts';
import { text } from './settings.ts';
import { traceFields } from './tracing.ts';
import { workerNumber } from './workers/worker-number.ts';

export type { Logger } from 'pino';

/** From the one that says least to the one that says most. */
const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;

export type LogLevel = (typeof LEVELS)[number];

/** What else the old configuration calls them. */
const ALIASES: Readonly<Record<string, LogLevel>> = { warning: 'warn', panic: 'fatal' };

function parseLevel(given: string): LogLevel | undefined {
  const name = given.toLowerCase();
  return LEVELS.find((level) => level === (ALIASES[name] ?? name));
}

/** The setting `logging.level`: in any case, and refused in the words of WIRE §14.3. */
export const logLevel = (byDefault: LogLevel) =>
  text(byDefault)
    .transform((given, context) => {
      const level = parseLevel(given);
      if (level !== undefined) return level;
      context.addIssue({ code: 'custom', message: `not a valid logrus Level: "${given}"` });
      return z.NEVER;
    })
    .prefault(byDefault)
    .describe('`fatal`, `error`, `warning`, `info`, `debug` or `trace`');

/**
 * One line for each thing worth saying: `level`, `msg`, `time` and what else is known (WIRE §15). On
 * stderr where no other destination is given. Every line of one of several workers has its number.
 */
export function createLogger(
  level: LogLevel,
  destination: DestinationStream = pino.destination({ dest: 2, sync: true }),
  form: LogForm = 'json',
  worker: number | undefined = workerNumber(),
): Logger {
  return pino(
    {
      level,
      base: worker === undefined ? null : { worker },
      mixin: traceFields,
      timestamp: () => `,"time":"${new Date().toISOString().replace(/\.\d+Z$/, 'Z')}"`,
      formatters: { level: (label) => ({ level: label === 'warn' ? 'warning' : label }) },
    },
    writeAs(form, destination),
  );
}

/**
 * The signals of the old programs: SIGUSR1 has the log say more, SIGUSR2 less (WIRE §14.1). Tells
 * `onChange` of the level that it is then.
 */
export function changeLevelOnSignal(
  logger: Logger,
  onChange: (level: LogLevel) => void = () => {},
): void {
  const change = (by: 1 | -1) => {
    const level = step(logger, by);
    if (level !== undefined) onChange(level);
  };
  process.on('SIGUSR1', () => change(1));
  process.on('SIGUSR2', () => change(-1));
}

function step(logger: Logger, by: 1 | -1): LogLevel | undefined {
  const next = LEVELS[LEVELS.findIndex((level) => level === logger.level) + by];
  // Nothing is ever said at "trace".
  if (next !== undefined && next !== 'trace') {
    logger.level = next;
    return next;
  }
  process.stdout.write(`the log level is ${logger.level}, and there is none beyond it\n`);
  return undefined;
}
