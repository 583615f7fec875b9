import { firstBrokenLink } from '@scrivener/events';
import { certificatesExpireAt, expiryOf, keyId, parseMetafile, verifyUpdate } from '@scrivener/tuf';
import { describe, expect, test } from 'vitest';
import { firstHistory } from './history.ts';

const { gun, drafts, serverKeys } = firstHistory('bench.example/history', new Date());
const published = drafts.at(-1);
const refs = published?.event.type === 'UpdatePublished' ? published.event.data.metafiles : [];
const upload = refs.map(({ role, sha256 }) =>
  parseMetafile(role, published?.files.get(sha256) ?? new Uint8Array()),
);

describe('the history that the generator writes', () => {
  test('is two keys and a publish of four files, in a whole chain', () => {
    expect(drafts.map(({ event }) => event.type)).toEqual([
      'KeyCreated',
      'KeyCreated',
      'UpdatePublished',
    ]);
    expect(refs.map(({ role }) => role)).toEqual(['root', 'targets', 'snapshot', 'timestamp']);
    const stream = drafts.map((draft, index) => ({ ...draft, position: index + 1 }));
    expect(firstBrokenLink(stream)).toBeUndefined();
  });

  test('holds what the rules accept', () => {
    const verified = verifyUpdate({
      gun,
      versions: new Map(),
      current: new Map(),
      upload: upload.filter(({ role }) => role !== 'timestamp'),
      serverKeys: new Set(Object.values(serverKeys).map(keyId)),
      now: new Date(),
    });

    expect(verified.metafiles).toHaveLength(3);
  });

  test('notes the expiries that are in the files', () => {
    const [root] = upload;
    expect(refs.map(({ expires }) => expires)).toEqual(
      upload.map((file) => expiryOf(file).toISOString()),
    );
    expect(refs[0]?.certificatesExpire).toBe(
      root && certificatesExpireAt(root, gun)?.toISOString(),
    );
  });
});
