import type { EventStore } from '@scrivener/events';
import type { Part, Signed } from '@scrivener/tuf/testing';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { gunOf } from './testing/client.ts';
import { commandOf, inMemory, ownerOf, type TestProcesses } from './testing/processes.ts';

const gun = gunOf('a/b');

let memory: TestProcesses;
beforeEach(() => {
  memory = inMemory();
});
afterEach(() => memory.close());

const count = async () => (await memory.events.readAfter(0, Infinity)).length;
const OLD_VERSION = expect.objectContaining({ name: 'TufError', code: 'OLD_VERSION' });

/** The first publish of root and targets, and what it was. */
async function started(ownSnapshot = false) {
  const process = memory.process();
  const owner = await ownerOf(process, gun, { ownSnapshot });
  const parts = [owner.root(), owner.targets({ first: 'content' })];
  if (ownSnapshot) parts.push(owner.snapshot());
  const publish = (...files: readonly Part[]) => process.publish(commandOf(gun, files));
  const timestamp = await publish(...parts);
  return { owner, parts, publish, timestamp };
}

describe('the same bytes again', () => {
  test.each([true, false])(
    'add nothing and give the timestamp that is there (own snapshot: %s)',
    async (ownSnapshot) => {
      const { parts, publish, timestamp } = await started(ownSnapshot);
      const before = await count();

      expect(await publish(...parts)).toEqual(timestamp);
      for (const part of parts) expect(await publish(part)).toEqual(timestamp);
      expect(await count()).toBe(before);
    },
  );

  test('are looked for in the last part of a role, and not in the timestamp', async () => {
    const { owner, parts, publish, timestamp } = await started();
    const [root, targets] = parts;
    if (root === undefined || targets === undefined) throw new Error('two files were published');
    const other: Part = { role: 'timestamp', bytes: Buffer.from('{}') };

    expect(await publish(owner.targets(), targets, other)).toEqual(timestamp);
    await expect(publish(targets, owner.targets(), root)).rejects.toThrow(OLD_VERSION);
  });

  test('are current still when the server has renewed what it signs', async () => {
    const { parts, publish } = await started();
    const next = await publish();

    expect(next.version).toBe(2n);
    expect(await publish(...parts)).toEqual(next);
  });

  test('are VERSION when a later publish came in between, or one file of them is new', async () => {
    const { owner, parts, publish } = await started();
    const second = owner.targets({ second: 'content' });
    const [root] = parts;
    await publish(second);

    await expect(publish(...parts)).rejects.toThrow(OLD_VERSION);
    if (root === undefined) throw new Error('a root was published');
    await expect(publish(root, owner.targets())).rejects.toThrow(OLD_VERSION);
  });

  test('are VERSION when only the version is the same', async () => {
    const { parts, publish } = await started();
    const [, targets] = parts;
    if (targets === undefined) throw new Error('targets were published');
    const text = Buffer.from(targets.bytes).toString();
    const spaced = { ...targets, bytes: Buffer.from(text.replace('{', '{ ')) };

    await expect(publish(spaced)).rejects.toThrow(OLD_VERSION);
  });

  test('are a first publish after a deletion', async () => {
    const { parts, publish } = await started();
    await memory.process().deleteRepository(gun, {});
    const before = await count();

    expect((await publish(...parts)).version).toBe(1n);
    expect(await count()).toBe(before + 1);
  });

  test('can be read by the time of the answer, though the first answer got lost', async () => {
    const { owner } = await started();
    const next = owner.targets({ second: 'content' });
    let isLost = true;
    const events: EventStore = {
      ...memory.events,
      async append(...event) {
        const recorded = await memory.events.append(...event);
        if (isLost) throw new Error('connection reset');
        return recorded;
      },
    };
    memory.close();
    const process = memory.process({ events });
    await expect(process.publish(commandOf(gun, [next]))).rejects.toThrow('connection reset');
    isLost = false;

    await process.publish(commandOf(gun, [next]));

    expect((await memory.readModel.current(gun, 'targets'))?.version).toBe(2n);
  });

  test('from two processes at once become current once, and both hear so', async () => {
    const { owner } = await started();
    const before = await count();
    const next = owner.targets({ second: 'content' });
    const both = [memory.process(), memory.process()];

    const answers = await Promise.all(both.map((each) => each.publish(commandOf(gun, [next]))));

    expect(answers[0]).toEqual(answers[1]);
    expect(await count()).toBe(before + 1);
  });
});

test('an update without files makes the next snapshot and timestamp each time', async () => {
  const { publish } = await started();
  const before = await count();

  expect([(await publish()).version, (await publish()).version]).toEqual([2n, 3n]);
  expect(await count()).toBe(before + 2);
});

describe('an update that waited while another landed', () => {
  const unsigned = { signers: [] };

  test('is VERSION where that published its role, without a look at its signatures', async () => {
    const { owner, publish } = await started();
    const same = { ...unsigned, change: (signed: Signed) => (signed['version'] = 2) };
    const winner = publish(owner.targets({ second: 'content' }));

    await expect(publish(owner.targets({ other: 'content' }, same))).rejects.toThrow(OLD_VERSION);
    await winner;
  });

  test('is verified where it is still the next version', async () => {
    const { owner, publish } = await started();
    const winner = publish(owner.targets({ second: 'content' }));
    const next = publish(owner.targets({ third: 'content' }, unsigned));

    await expect(next).rejects.toThrow(expect.objectContaining({ code: 'BAD_TARGETS' }));
    await winner;
  });
});

/** A process that has published once; to it the repository stays as it was then. */
async function behind() {
  const process = memory.process({ join: () => ({ mayAnswer: () => true }) });
  const owner = await ownerOf(process, gun);
  const first = [owner.root(), owner.targets({ first: 'content' })];
  await process.publish(commandOf(gun, first));
  const publish = (...files: readonly Part[]) => process.publish(commandOf(gun, files));
  const elsewhere = (...files: readonly Part[]) => memory.process().publish(commandOf(gun, files));
  return { owner, first, publish, elsewhere };
}

describe('a process that has not been told what others published', () => {
  test('publishes on top of it, and loses nothing', async () => {
    const { owner, publish, elsewhere } = await behind();
    owner.delegate('targets/a');
    await elsewhere(owner.targets(), owner.delegation('targets/a'));

    expect((await publish(owner.delegation('targets/a'))).version).toBe(3n);
    expect((await memory.readModel.current(gun, 'targets'))?.version).toBe(2n);
    expect((await memory.readModel.current(gun, 'targets/a'))?.version).toBe(2n);
  });

  test('refuses nothing by what was before', async () => {
    const { owner, publish, elsewhere } = await behind();
    owner.rotate('targets');
    await elsewhere(owner.root(), owner.targets());

    expect((await publish(owner.targets({ next: 'content' }))).version).toBe(3n);
  });

  test('says who was slower, whatever else the faster one changed', async () => {
    const { owner, publish, elsewhere } = await behind();
    const slower = owner.targets({ slower: 'content' });
    owner.rotate('targets');
    await elsewhere(owner.root(), owner.targets());

    await expect(publish(slower)).rejects.toThrow(OLD_VERSION);
  });

  test('does not take for current what was', async () => {
    const { owner, first, publish, elsewhere } = await behind();
    const next = owner.targets({ next: 'content' });
    const timestamp = await elsewhere(next);

    await expect(publish(...first)).rejects.toThrow(OLD_VERSION);
    expect(await publish(next)).toEqual(timestamp);
    await memory.process().deleteRepository(gun, {});
    expect((await publish(...first)).version).toBe(1n);
  });

  test('reads the log once where it publishes what is next, and never where it is not behind', async () => {
    let reads = 0;
    const readStream: EventStore['readStream'] = (...question) => {
      reads += 1;
      return memory.events.readStream(...question);
    };
    const process = memory.process({
      events: { ...memory.events, readStream },
      join: () => ({ mayAnswer: () => true }),
    });
    const owner = await ownerOf(process, gun);
    await process.publish(commandOf(gun, [owner.root(), owner.targets()]));
    reads = 0;

    await process.publish(commandOf(gun, [owner.targets({ second: 'content' })]));
    expect(reads).toBe(0);
    await memory.process().publish(commandOf(gun, [owner.targets({ third: 'content' })]));
    await process.publish(commandOf(gun, [owner.targets({ fourth: 'content' })]));
    expect(reads).toBe(1);
  });
});

test.each([1, 30])(
  'of the stored files an update reads two, however many roles (%i) there are',
  async (roles) => {
    const { owner, publish } = await started();
    const names = Array.from({ length: roles }, (_, n) => `targets/role${n}` as const);
    for (const name of names) owner.delegate(name);
    await publish(owner.targets(), ...names.map((name) => owner.delegation(name)));
    let asked = 0;
    const readBytes: EventStore['readBytes'] = (checksums) => {
      asked += checksums.length;
      return memory.events.readBytes(checksums);
    };
    const another = memory.process({ events: { ...memory.events, readBytes } });

    await another.publish(commandOf(gun, [owner.targets({ next: 'content' })]));

    expect(asked).toBe(2); // root and snapshot
  },
);
