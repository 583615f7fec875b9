import { keyId } from '@scrivener/tuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { gunOf } from './testing/client.ts';
import { commandOf, inMemory, ownerOf, type TestProcesses } from './testing/processes.ts';

const gun = gunOf('a/b');

let memory: TestProcesses;
beforeEach(() => {
  memory = inMemory();
});
afterEach(() => memory.close());

/** The read model of a process that is never told of any projection. */
const stuck = () => ({
  ...memory.readModel,
  reached: () => new Promise<boolean>(() => {}),
  project: () => new Promise<'idle'>(() => {}),
});

describe('a new key, while nothing is projected', () => {
  test('is answered, for nobody reads keys from the read model', async () => {
    const { rotateKey, serverKey } = memory.process({ readModel: stuck() });

    expect(await serverKey(gun, 'timestamp', {})).toBeDefined();
    expect(await rotateKey(gun, 'snapshot', {})).toBeDefined();
  });

  test('is the key of every other process, and signs there', async () => {
    const owner = await ownerOf(memory.process({ readModel: stuck() }), gun);
    const other = memory.process();

    const timestamp = await other.publish(commandOf(gun, [owner.root(), owner.targets()]));
    expect(timestamp.version).toBe(1n);

    const third = memory.process({ readModel: stuck() });
    expect(await third.serverKey(gun, 'timestamp', {})).toEqual(
      await memory.process().serverKey(gun, 'timestamp', {}),
    );
  });
});

test('a key is recorded on top of what other processes added meanwhile, each key once', async () => {
  const processes = [memory.process(), memory.process(), memory.process()];
  const [first] = processes;
  if (first === undefined) throw new RangeError('three were made');
  const owner = await ownerOf(first, gun);
  await first.publish(commandOf(gun, [owner.root(), owner.targets()]));

  await Promise.all(
    processes.flatMap(({ rotateKey }) => [
      rotateKey(gun, 'timestamp', {}),
      rotateKey(gun, 'snapshot', {}),
    ]),
  );

  const keyids = (await memory.events.readStream(gun, 0)).flatMap(({ event }) =>
    event.type === 'KeyCreated' ? [event.data.keyid] : [],
  );
  expect(new Set(keyids).size).toBe(keyids.length);
  const made = await Promise.all(processes.map(({ rotateKey }) => rotateKey(gun, 'timestamp', {})));
  for (const key of made) expect(keyids).toContain(keyId(key));
});
