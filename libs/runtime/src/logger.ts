import { pino, type DestinationStream, type Logger } from 'pino';
import { z } from 'zod';

export type { Logger } from 'pino';

/** `logging.level` as the old configuration spells it, in any case (WIRE §14.3). */
export const logLevel = z
  .string()
  .toLowerCase()
  .transform((text) => (text === 'warning' ? 'warn' : text === 'panic' ? 'fatal' : text))
  .pipe(z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace']));

export type LogLevel = z.output<typeof logLevel>;

/**
 * One JSON object per line: `level`, `msg`, `time` and what else is known (WIRE §15). On stderr where
 * no other destination is given.
 */
export function createLogger(
  level: LogLevel,
  destination: DestinationStream = pino.destination({ dest: 2, sync: true }),
): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString().replace(/\.\d+Z$/, 'Z')}"`,
      formatters: { level: (label) => ({ level: label === 'warn' ? 'warning' : label }) },
    },
    destination,
  );
}
