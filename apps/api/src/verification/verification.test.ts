import { createMemorySigner } from '@scrivener/signing/memory';
import {
  DEFAULT_GUARD,
  GuardRefusal,
  keyId,
  parseMetafile,
  TufError,
  type KeyId,
  type Metafile,
  type RoleName,
} from '@scrivener/tuf';
import { createPublisher, type Part, type Publisher } from '@scrivener/tuf/testing';
import { describe, expect, test } from 'vitest';
import { gunOf } from '../testing/client.ts';
import { createVerification, type Verification } from './verification.ts';

const gun = gunOf('a/b');
const now = new Date('2026-06-01T12:00:00.250Z');

const inThread = createVerification(0);
const inProcess = createVerification(Infinity);

/** What is stored, and what is uploaded on top of it. */
interface Scene {
  readonly stored: readonly Part[];
  readonly upload: readonly Part[];
}

async function cast() {
  const signer = createMemorySigner();
  const keyOf = (role: 'timestamp' | 'snapshot') =>
    signer.createKey({ gun, role, algorithm: 'ed25519' });
  const [timestamp, snapshot] = await Promise.all([keyOf('timestamp'), keyOf('snapshot')]);
  return {
    serverKeys: new Set([timestamp, snapshot].map(keyId)),
    owner: createPublisher(gun, { serverKeys: { timestamp, snapshot }, now }),
    /** Whose snapshots the server does not sign. */
    keeper: createPublisher(gun, { serverKeys: { timestamp }, now, seed: 'keeper' }),
  };
}

/** Everything that a caller can see of a verdict. */
async function verdict(verification: Verification, scene: Scene, serverKeys: ReadonlySet<KeyId>) {
  const current = new Map<RoleName, Metafile>(
    scene.stored.map(({ role, bytes }) => {
      const { version, sha256 } = parseMetafile(role, bytes);
      return [role, { role, version, sha256, bytes }];
    }),
  );
  try {
    const upload: Metafile[] = [];
    for (const { role, bytes } of scene.upload) upload.push(await verification.read(role, bytes));
    const { files, request, root } = await verification.verify({
      gun,
      versions: new Map([...current].map(([role, { version }]) => [role, version])),
      current,
      upload,
      serverKeys,
      now,
      guard: DEFAULT_GUARD,
    });
    const { snapshot } = request.timestamp;
    return {
      files: files.map(plain),
      request: {
        ...request,
        timestamp: { ...request.timestamp, snapshot: snapshot && plain(snapshot) },
      },
      root: plain(root),
    };
  } catch (error) {
    if (!(error instanceof TufError)) throw error;
    const { code, message, missing, cause } = error;
    const guard = cause instanceof GuardRefusal && {
      message: cause.message,
      files: cause.files.map(plain),
    };
    return { code, message, missing, guard };
  }
}

/** Without what was read of it, which nobody may need. */
function plain<File extends Metafile>(file: File) {
  const { bytes, ...more } = file;
  const { envelope: _, ...rest } = { envelope: undefined, ...more };
  return { ...rest, text: Buffer.from(bytes).toString() };
}

type Cast = Awaited<ReturnType<typeof cast>>;

const files = { first: 'content' };
const published = (owner: Publisher) => [owner.root(), owner.targets(files)];

describe('the thread and the process come to the same', () => {
  test.each<[string, string | undefined, (cast: Cast) => Scene]>([
    ['a first publish', undefined, ({ owner }) => ({ stored: [], upload: published(owner) })],
    [
      'the next targets',
      undefined,
      ({ owner }) => ({ stored: published(owner), upload: [owner.targets({ next: 'content' })] }),
    ],
    ['nothing', 'VALIDATION', () => ({ stored: [], upload: [] })],
    [
      'a delegation of stored targets',
      undefined,
      ({ owner }) => {
        owner.delegate('targets/a');
        return { stored: published(owner), upload: [owner.delegation('targets/a')] };
      },
    ],
    [
      'a snapshot that the owner signed',
      undefined,
      ({ keeper }) => ({ stored: [], upload: [...published(keeper), keeper.snapshot()] }),
    ],
    [
      'the last part of a role',
      undefined,
      ({ owner }) => ({
        stored: published(owner),
        upload: [owner.targets({ other: 'content' }), owner.targets({ next: 'content' })],
      }),
    ],
    [
      'no JSON',
      'MALFORMED_JSON',
      ({ owner }) => ({
        stored: published(owner),
        upload: [{ role: 'targets', bytes: Buffer.from('{"signed":') }],
      }),
    ],
    [
      'a missing snapshot',
      'BAD_HIERARCHY',
      ({ keeper }) => ({ stored: [], upload: published(keeper) }),
    ],
    [
      'targets of somebody else',
      'BAD_TARGETS',
      ({ owner, keeper }) => ({ stored: published(owner), upload: [keeper.targets()] }),
    ],
    [
      'a root of somebody else',
      'BAD_ROOT',
      ({ owner, keeper }) => ({ stored: published(owner), upload: [keeper.root()] }),
    ],
    [
      'a snapshot of somebody else',
      'BAD_SNAPSHOT',
      ({ owner, keeper }) => ({
        stored: [],
        upload: [...published(owner), ...published(keeper).slice(2), keeper.snapshot()],
      }),
    ],
    [
      'the same version again',
      'OLD_VERSION',
      ({ owner }) => {
        const stored = published(owner);
        return { stored, upload: stored.slice(1) };
      },
    ],
    [
      'a stored root that does not verify',
      'UNTRUSTED_STATE',
      ({ owner, keeper }) => {
        const [root] = published(owner);
        const text = Buffer.from(root?.bytes ?? []).toString();
        const broken = { role: 'root' as const, bytes: Buffer.from(text.replace('"2', '"3')) };
        return { stored: [broken], upload: [keeper.targets()] };
      },
    ],
    [
      'what the guard refuses',
      'BAD_TARGETS',
      ({ owner }) => ({
        stored: published(owner),
        upload: [owner.targets({}, { change: (signed) => (signed['version'] = 5_000_000) })],
      }),
    ],
  ])('%s', async (_, code, sceneOf) => {
    const { serverKeys, ...others } = await cast();
    const scene = sceneOf({ serverKeys, ...others });

    const here = await verdict(inProcess, scene, serverKeys);

    expect(await verdict(inThread, scene, serverKeys)).toEqual(here);
    expect('code' in here ? here.code : undefined).toBe(code);
  });

  test('and the guard names the files that it refuses', async () => {
    const { owner, serverKeys } = await cast();
    const stored = published(owner);
    const far = owner.targets({}, { change: (signed) => (signed['version'] = 5_000_000) });

    expect(await verdict(inThread, { stored, upload: [far] }, serverKeys)).toMatchObject({
      guard: { files: [{ role: 'targets', version: 5_000_000n }] },
    });
  });
});

/** Takes the verifier seconds. */
const huge = (): Uint8Array => Buffer.from(`{"signed":{"a":[${'{},'.repeat(1_500_000)}{}]}}`);
const small = Buffer.from('{"signed":{"version":7}}');

describe('a file that takes too much', () => {
  const unavailable = expect.objectContaining({ name: 'Unavailable' });

  test('time is given up', async () => {
    const verification = createVerification(0, { taskMs: 50 });

    await expect(verification.read('targets', huge())).rejects.toThrow(unavailable);
    await expect(verification.read('targets', huge())).rejects.toThrow(unavailable);
  });

  test('memory is given up, and the next one is read', async () => {
    const verification = createVerification(0, { heapMb: 32 });

    await expect(verification.read('targets', huge())).rejects.toThrow(unavailable);
    expect(await verification.read('targets', small)).toMatchObject({ version: 7n });
  });

  test('keeps nobody waiting but other large ones, and of those only so many', async () => {
    const verification = createVerification(1_000_000, { waiting: 1 });
    const large = huge();
    const order: string[] = [];
    const read = (name: string, bytes: Uint8Array) =>
      verification.read('targets', bytes).then(
        () => order.push(name),
        ({ name: error }: Error) => order.push(`${name}: ${error}`),
      );

    await Promise.all([
      read('first', large),
      read('second', large),
      read('third', large),
      read('small', small),
    ]);

    expect(order.toSorted()).toEqual(['first', 'second', 'small', 'third: Unavailable']);
    expect(order.indexOf('small')).toBeLessThan(order.indexOf('first'));
  });
});
