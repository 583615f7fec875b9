import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from './canonical-json.ts';
import { decodeBase64, encodeBase64 } from './base64.ts';
import * as go from './decoder.ts';
import { parseMetafile } from './envelope.ts';
import { Refusal, TufError } from './errors.ts';
import { decodedFiles } from './file-meta.ts';
import { readJson } from './json.ts';
import { serverKey } from './server-key.ts';
import { createPublisher, type Part, type Signed } from './testing/publisher.ts';
import { Repository } from './testing/repository.ts';
import { gun, now, ownerOf } from './testing/scenario.ts';

/** Whether `attempt` succeeds. What fails must fail as a `TufError`: all else is thrown on. */
function accepts(attempt: () => unknown): boolean {
  try {
    attempt();
    return true;
  } catch (error) {
    if (error instanceof TufError) return false;
    throw error;
  }
}

function refusalOf(decoder: go.Decoder<unknown>, text: string): string | undefined {
  try {
    go.decode(decoder, readJson(text).value);
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

/** Text that has the look of metadata, and mistakes in it. */
const almostMetadata = fc
  .array(
    fc.oneof(
      fc.constantFrom('{', '}', '[', ']', ',', ':', '"', '\\', 'null', '1e9', '-', ' ', '\n', '\0'),
      fc.constantFrom('"signed"', '"signatures"', '"version"', '"expires"', '"sig"', '"_type"'),
      fc.string({ maxLength: 3 }),
    ),
    { maxLength: 30 },
  )
  .map((pieces) => new TextEncoder().encode(pieces.join('')));

/** Objects as clients write them, and with all that a client may do differently. */
const writtenObject = fc
  .tuple(
    fc.dictionary(
      fc.oneof(fc.string({ unit: 'binary', maxLength: 3 }), fc.string()),
      fc.jsonValue(),
    ),
    fc.constantFrom<((text: string) => string)[]>(
      (text) => canonicalJson(readJson(text).value).replace(/\p{Cc}/gu, 'c'),
      (text) => text,
      (text) => JSON.stringify(JSON.parse(text), null, 1),
      (text) => text.replace(/^\{(?!\})/, '{"a":1,'),
    ),
  )
  .map(([value, write]) => {
    // only whole numbers can be signed
    const text = JSON.stringify(value, (_, each: unknown) =>
      typeof each === 'number' ? Math.trunc(each) : each,
    );
    return text.includes('e+') ? '{}' : write(text);
  });

const envelopeOfText = (text: string) =>
  parseMetafile('targets', new TextEncoder().encode(text)).envelope;

describe('parsing', () => {
  test.each([
    ['any bytes', fc.uint8Array({ maxLength: 200 })],
    ['almost metadata', almostMetadata],
  ])('%s is read or refused as MALFORMED_JSON, and nothing else', (_, bytes) => {
    fc.assert(
      fc.property(bytes, (bytes) => {
        expect(accepts(() => parseMetafile('targets', bytes))).toBeTypeOf('boolean');
      }),
      { numRuns: 500 },
    );
  });

  test('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const { value } = readJson(text);
        expect(toPlain(value)).toEqual(JSON.parse(text));
      }),
    );
  });

  test('what is only checked is refused as what is read is, in the same words', () => {
    const files = fc.dictionary(
      fc.string({ maxLength: 3 }),
      fc.oneof(
        fc.jsonValue({ maxDepth: 2 }),
        fc.record(
          {
            length: fc.oneof(fc.nat(), fc.constantFrom(1e21, -1, 0.5, '1', null, 2 ** 53)),
            hashes: fc.oneof(
              fc.dictionary(
                fc.constantFrom('sha256', 'sha512', 'md5'),
                fc.oneof(fc.base64String(), fc.constantFrom('====', 'QQ=', 'QU\nI=', 1, null, {})),
              ),
              fc.jsonValue({ maxDepth: 1 }),
            ),
            custom: fc.jsonValue({ maxDepth: 1 }),
          },
          { requiredKeys: [] },
        ),
      ),
      { maxKeys: 4 },
    );
    const seen = { good: 0, bad: 0 };
    fc.assert(
      fc.property(files, (value) => {
        const text = JSON.stringify(value);
        const read = refusalOf(decodedFiles, text);
        expect(refusalOf(go.unread(decodedFiles), text)).toBe(read);
        seen[read === undefined ? 'good' : 'bad'] += 1;
      }),
      { numRuns: 500 },
    );
    expect(Math.min(seen.good, seen.bad)).toBeGreaterThan(20);
  });

  test('a signed part that is taken as it is written is the text that gets signed', () => {
    const taken = { yes: 0, no: 0 };
    fc.assert(
      fc.property(writtenObject, (written) => {
        const { signed, canonical } = envelopeOfText(`{"signed":${written},"signatures":[]}`);
        const text = canonicalJson(signed ?? null);
        expect(canonical && new TextDecoder('utf-8', { ignoreBOM: true }).decode(canonical)).toBe(
          canonical && text,
        );
        taken[canonical === undefined ? 'no' : 'yes'] += 1;
      }),
      { numRuns: 1000 },
    );
    expect(taken.yes).toBeGreaterThan(20);
    expect(taken.no).toBeGreaterThan(20);
  });

  test('base64 is what Node writes, and is read again', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(decodeBase64(encodeBase64(bytes))).toEqual(Buffer.from(bytes));
      }),
    );
  });
});

function toPlain(value: unknown): unknown {
  if (value instanceof Map) {
    const plain: Record<string, unknown> = {};
    for (const [name, member] of value as Map<string, unknown>) {
      Object.defineProperty(plain, name, { value: toPlain(member), enumerable: true });
    }
    return plain;
  }
  if (Array.isArray(value)) return value.map(toPlain);
  return typeof value === 'object' && value !== null && 'literal' in value
    ? Number(value.literal)
    : value;
}

describe('an update', () => {
  const path = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
  const files = fc.dictionary(
    path.filter((each) => each !== '__proto__'),
    fc.string(),
    {
      maxKeys: 5,
    },
  );

  test('that the owner signs is accepted, whatever the targets are called', () => {
    fc.assert(
      fc.property(files, fc.boolean(), (files, snapshot) => {
        const repository = new Repository(gun, now);
        const owner = ownerOf(repository, { snapshot });
        const parts = [owner.root(), owner.targets(files)];
        repository.publish(...parts, ...(snapshot ? [] : [owner.snapshot()]));
        expect(repository.versions()).toEqual({ root: 1, targets: 1, snapshot: 1, timestamp: 1 });
      }),
      { numRuns: 30 },
    );
  });

  test('with any byte of a file changed is refused, or says the same', () => {
    const repository = new Repository(gun, now);
    const owner = ownerOf(repository, { snapshot: false });
    const parts = [owner.root(), owner.targets({ a: 'x' }), owner.snapshot()];
    const where = fc.tuple(
      fc.nat({ max: parts.length - 1 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
    );

    fc.assert(
      fc.property(where, ([index, at, bits]) => {
        const changed = parts.map((part, each) =>
          each === index ? flipped(part, at, bits) : part,
        );
        const before = parts[index];
        const after = changed[index];
        const accepted = accepts(() => repository.verify(...changed));
        expect(accepted && before && after ? signedText(after) : undefined).toBe(
          accepted && before ? signedText(before) : undefined,
        );
      }),
      { numRuns: 300 },
    );
  });

  test('with any member of a signed part replaced is accepted or refused, and nothing else', () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom(null, {}, [], [null], { root: null }, 0, -1, 1.5, '', 'QQ==', 'targets/a'),
    );
    const role = fc.constantFrom('root', 'targets', 'targets/a', 'snapshot');
    fc.assert(
      fc.property(
        role,
        fc.array(fc.nat(), { minLength: 1, maxLength: 5 }),
        value,
        (role, path, value) => {
          const repository = new Repository(gun, now);
          const owner = ownerOf(repository, { snapshot: false });
          owner.delegate('targets/a');
          const change = (signed: Signed) => {
            replace(signed, path, value);
          };
          const options = (each: string) => (each === role ? { change } : {});
          const parts = [
            owner.root(options('root')),
            owner.targets({ x: 'y' }, options('targets')),
            owner.delegation('targets/a', {}, options('targets/a')),
            owner.snapshot(options('snapshot')),
          ];
          expect(accepts(() => repository.publish(...parts))).toBeTypeOf('boolean');
        },
      ),
      { numRuns: 200 },
    );
  });

  test('signed by another owner is refused', () => {
    fc.assert(
      fc.property(fc.string(), (seed) => {
        const repository = new Repository(gun, now);
        const owner = ownerOf(repository, { snapshot: true });
        repository.publish(owner.root(), owner.targets());
        const { publicKey } = serverKey('ed25519', Buffer.alloc(32, 1));
        const thief = createPublisher(gun, {
          serverKeys: { timestamp: publicKey },
          seed: `${seed}!`,
          now,
        });
        thief.targets();
        expect(accepts(() => repository.verify(thief.targets()))).toBe(false);
      }),
      { numRuns: 20 },
    );
  });
});

function flipped({ role, bytes }: Part, at: number, bits: number): Part {
  const changed = Uint8Array.from(bytes);
  const index = at % changed.length;
  changed[index] = (changed[index] ?? 0) ^ bits;
  return { role, bytes: changed };
}

function signedText({ role, bytes }: Part): string {
  return canonicalJson(parseMetafile(role, bytes).envelope.signed ?? null);
}

/** Puts `value` where the path leads: each number picks a member, as far as there are any. */
function replace(container: object, [first = 0, ...rest]: readonly number[], value: unknown): void {
  const members = Object.entries(container);
  const [name, member] = members[first % members.length] ?? ['x', undefined];
  if (rest.length > 0 && typeof member === 'object' && member !== null) {
    replace(member as object, rest, value);
  } else {
    Object.assign(container, { [name]: value });
  }
}
