import { createLogger } from '@scrivener/runtime';
import { SigningError } from '@scrivener/signing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRenewalRound, roundSize, runRenewals, type Round } from './renewal-loop.ts';
import { gunOf } from '../testing/client.ts';
import { commandOf, inMemory, ownerOf, type TestProcesses } from '../testing/processes.ts';

const gun = gunOf('a/b');
const START = new Date('2026-11-22T00:00:00.000Z');
const settings = {
  enabled: true,
  lifeLeft: 1 / 3,
  jitter: 0,
  perSecond: 20,
  pollMs: 5,
  retryMs: 60_000,
} as const;
const logger = createLogger('fatal');

let now: Date;
let memory: TestProcesses;
const after = (days: number, seconds = 0) => {
  now = new Date(START.getTime() + days * 86_400_000 + seconds * 1_000);
};
beforeEach(() => {
  after(0);
  memory = inMemory(() => now);
});
afterEach(() => memory.close());

type Process = ReturnType<TestProcesses['process']>;

async function published(process: Process = memory.process(), ownSnapshot = false) {
  const owner = await ownerOf(process, gun, { now, ownSnapshot });
  const parts = [owner.root(), owner.targets()];
  if (ownSnapshot) parts.push(owner.snapshot());
  await process.publish(commandOf(gun, parts));
  return owner;
}
const roundOf = (process: Process, counted: string[] = []) => {
  const { expiries } = memory.readModel;
  const count = (trigger: string, outcome: string) => counted.push(`${trigger} ${outcome}`);
  return createRenewalRound(
    { expiries, renew: process.renew, count, logger, now: () => now },
    settings,
  );
};
const versions = async () => {
  const roles = ['timestamp', 'snapshot', 'targets'] as const;
  const files = await Promise.all(roles.map((role) => memory.readModel.current(gun, role)));
  return files.map((file) => Number(file?.version));
};
const eventCount = async () => (await memory.events.readAfter(0, Infinity)).length;

describe('a round', () => {
  test('renews a timestamp when a third of its fortnight is left, and nothing before', async () => {
    const process = memory.process();
    await published(process);
    const round = roundOf(process);

    after(9.3);
    expect(await round()).toEqual({ claimed: 0, failed: 0 });
    after(9.34);
    expect(await round()).toEqual({ claimed: 1, failed: 0 });

    expect(await versions()).toEqual([2, 1, 1]);
    expect(await round()).toEqual({ claimed: 0, failed: 0 });
  });

  test('renews a snapshot together with its timestamp', async () => {
    const process = memory.process();
    await published(process);
    after(365 * 2 + 1);

    const counted: string[] = [];
    await roundOf(process, counted)();

    expect(await versions()).toEqual([2, 2, 1]);
    expect(counted).toEqual(['schedule renewed']);
  });

  test('renews only the timestamp where a client signs the snapshot', async () => {
    const process = memory.process();
    await published(process, true);
    after(900);

    await roundOf(process)();

    expect(await versions()).toEqual([2, 1, 1]);
  });

  test('of many processes at once renews each repository once', async () => {
    await published();
    after(10);
    const before = await eventCount();

    const rounds = Array.from({ length: 8 }, () => roundOf(memory.process()));
    const done = await Promise.all(rounds.map((round) => round()));

    expect(done.reduce((sum, { claimed }) => sum + claimed, 0)).toBe(1);
    expect(await eventCount()).toBe(before + 1);
  });

  test('whose process died is done again when its claim is over, and not before', async () => {
    await published();
    after(10);
    const { expiries } = memory.readModel;
    const { promise: never } = Promise.withResolvers<never>();
    const dying = memory.process({ signer: { ...memory.signer, sign: () => never } });
    void roundOf(dying)();
    const round = roundOf(memory.process());

    after(10, 59);
    expect(await round()).toEqual({ claimed: 0, failed: 0 });
    after(10, 60);
    expect(await round()).toEqual({ claimed: 1, failed: 0 });
    expect(await versions()).toEqual([2, 1, 1]);
    expect(await expiries.soonest({ madeBy: 'server', before: now, limit: 9 })).toEqual([]);
  });

  test('does nothing to what was renewed since it was claimed', async () => {
    const process = memory.process();
    await published(process);
    after(10);
    const seen = new Map([['timestamp', 1n]] as const);
    const before = await eventCount();

    expect(await process.renew(gun, seen)).toBe('renewed');
    expect(await process.renew(gun, seen)).toBe('unneeded');
    expect(await eventCount()).toBe(before + 1);
  });

  test('that finds the signer away tries again a minute later', async () => {
    let isAway = true;
    const signer = {
      ...memory.signer,
      sign: async (...request: Parameters<typeof memory.signer.sign>) => {
        if (isAway) throw new SigningError('UNAVAILABLE', 'away');
        return memory.signer.sign(...request);
      },
    };
    await published();
    after(10);
    const counted: string[] = [];
    const round = roundOf(memory.process({ signer }), counted);
    expect(await round()).toEqual({ claimed: 1, failed: 1 });
    isAway = false;

    after(10, 59);
    expect(await round()).toEqual({ claimed: 0, failed: 0 });
    after(10, 60);
    expect(await round()).toEqual({ claimed: 1, failed: 0 });
    expect(counted).toEqual(['schedule failed', 'schedule renewed']);
  });
});

const run = async (outcomes: (Round | Error)[], perSecond: number) => {
  const stop = new AbortController();
  const starts: number[] = [];
  const errors: unknown[] = [];
  const round = async (): Promise<Round> => {
    starts.push(performance.now());
    const outcome = outcomes.shift();
    if (outcome instanceof Error) throw outcome;
    if (outcomes.length === 0) stop.abort();
    return outcome ?? { claimed: 0, failed: 0 };
  };
  await runRenewals(
    round,
    { ...settings, perSecond, retryMs: 30 },
    { signal: stop.signal, onError: (error) => errors.push(error) },
  );
  return { starts, errors };
};

describe('the loop', () => {
  test('keeps to its rate while there is more to do', async () => {
    const full = { claimed: roundSize({ perSecond: 200 }), failed: 0 };
    const { starts } = await run([full, full, full], 200);

    const [first = 0, , third = 0] = starts;
    expect(third - first).toBeGreaterThan(190);
  });

  test('goes on after an error, and ends when it is told to', async () => {
    const { starts, errors } = await run(
      [new Error('no database'), { claimed: 1, failed: 1 }, { claimed: 0, failed: 0 }],
      20,
    );

    expect(errors).toEqual([new Error('no database')]);
    expect(starts).toHaveLength(3);
  });
});
