import { createLogger } from '@scrivener/runtime';
import type { RoleName } from '@scrivener/tuf';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createExpiryWatch, renewalCommand } from './expiry-watch.ts';
import { gunOf } from '../testing/client.ts';
import { commandOf, inMemory, ownerOf, type TestProcesses } from '../testing/processes.ts';

const gun = gunOf('a/b');
const START = new Date('2026-11-22T00:00:00.000Z');
const inDays = (days: number) => new Date(START.getTime() + days * 86_400_000);

let now: Date;
let memory: TestProcesses;
beforeEach(() => {
  now = START;
  memory = inMemory(() => now);
});
afterEach(() => memory.close());

test.each<[string, RoleName, 'metadata' | 'certificates', string]>([
  ['a/b', 'targets', 'metadata', 'notary witness -p a/b targets'],
  ['localhost:5000/a', 'targets/x', 'metadata', 'notary witness -p localhost:5000/a targets/x'],
  ['a/b', 'root', 'metadata', 'notary publish a/b'],
  ['a/b', 'root', 'certificates', 'notary key rotate a/b root'],
  ['a/b', 'snapshot', 'metadata', 'notary publish a/b'],
  ["it's; rm -rf", 'targets', 'metadata', String.raw`notary witness -p 'it'\''s; rm -rf' targets`],
])('%s %s %s is renewed by %s', (text, role, subject, command) => {
  expect(renewalCommand({ gun: gunOf(text), role, subject })).toBe(command);
});

/** What was said, in lines of level, days, role and command. */
const watched = () => {
  const logger = createLogger('fatal');
  const said: string[] = [];
  const hear = (level: string) => (fields: Record<string, unknown>, text: string) =>
    said.push(`${level} ${text}: ${String(fields['command'])}`);
  vi.spyOn(logger, 'warn').mockImplementation(hear('warn') as never);
  vi.spyOn(logger, 'error').mockImplementation(hear('error') as never);
  const { expiries } = memory.readModel;
  const look = createExpiryWatch({ expiries, logger, now: () => now });
  return async (day: number) => {
    now = inDays(day);
    said.length = 0;
    await look();
    return [...said];
  };
};

describe('the log', () => {
  test('says once what clients have to do 90, 30 and 7 days before, and when it is too late', async () => {
    const process = memory.process();
    const owner = await ownerOf(process, gun, { now });
    await process.publish(commandOf(gun, [owner.root(), owner.targets()]));
    const look = watched();

    expect(await look(274)).toEqual([]);
    expect(await look(276)).toEqual([
      'warn root of a/b expires within 90 days: notary publish a/b',
      'warn targets of a/b expires within 90 days: notary witness -p a/b targets',
    ]);
    expect(await look(277)).toEqual([]);
    await process.publish(commandOf(gun, [owner.targets({}, { expires: '2030-01-01T00:00:00Z' })]));
    expect(await look(336)).toEqual([
      'warn root of a/b expires within 30 days: notary publish a/b',
    ]);
    expect(await look(360)).toEqual(['warn root of a/b expires within 7 days: notary publish a/b']);
    expect(await look(366)).toEqual(['error root of a/b has expired: notary publish a/b']);
    expect(await look(367)).toEqual([]);
    expect(await look(3645)).toContain(
      'warn root (its certificates) of a/b expires within 7 days: notary key rotate a/b root',
    );
  });
});
