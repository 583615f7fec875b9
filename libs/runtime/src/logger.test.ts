import { describe, expect, test } from 'vitest';
import type { LogForm } from './command-line.ts';
import { createLogger, logLevel, type Logger } from './logger.ts';

function written(form: LogForm, log: (logger: Logger) => void): string {
  let text = '';
  log(createLogger('debug', { write: (line) => (text += line) }, form));
  return text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, 'NOW');
}

describe('a line of log', () => {
  test('is JSON with its keys in order', () => {
    const line = written('json', (logger) =>
      logger.info({ zebra: 1, gun: 'a/b' }, 'Starting on :4443'),
    );

    expect(line).toBe(
      '{"gun":"a/b","level":"info","msg":"Starting on :4443","time":"NOW","zebra":1}\n',
    );
  });

  test('has nothing in it that means something in HTML', () => {
    const line = written('json', (logger) => logger.warn('<a>&\u2028'));

    expect(line).toBe('{"level":"warning","msg":"\\u003ca\\u003e\\u0026\\u2028","time":"NOW"}\n');
  });

  test.each<[(logger: Logger) => void, string]>([
    [(logger) => logger.info('Starting on :4443'), 'level=info msg="Starting on :4443"'],
    [(logger) => logger.error('stopped'), 'level=error msg=stopped'],
    [(logger) => logger.warn({ b: 1, a: 'x y' }, 'm'), 'level=warning msg=m a="x y" b=1'],
    [(logger) => logger.fatal('say "so"\n'), 'level=fatal msg="say \\"so\\"\\n"'],
    [
      (logger) => logger.debug({ list: [1], none: null, empty: '' }, 'm'),
      'level=debug msg=m empty= list="[1]" none=null',
    ],
    [(logger) => logger.info({ gun: 'a/b' }), 'level=info msg= gun=a/b'],
  ])('is the text of logrus where that is asked for: %#', (log, expected) => {
    expect(written('logfmt', log)).toBe(`time="NOW" ${expected}\n`);
  });
});

describe('logging.level', () => {
  test.each([
    ['panic', 'fatal'],
    ['FATAL', 'fatal'],
    ['Error', 'error'],
    ['warn', 'warn'],
    ['WARNING', 'warn'],
    ['info', 'info'],
    ['debug', 'debug'],
    ['trace', 'trace'],
    [undefined, 'error'],
  ])('is understood as %s', (given, level) => {
    expect(logLevel('error').parse(given)).toBe(level);
  });

  test.each(['loud', 'silent', 'constructor', '7'])('is refused as %s', (given) => {
    expect(() => logLevel('error').parse(given)).toThrow(
      `not a valid logrus Level: \\"${given}\\"`,
    );
  });
});
