import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createJobKey, parseJobKeys } from './job-keys.ts';
import {
  CLOCK_SKEW,
  LONGEST_DEADLINE,
  openAnswer,
  openJob,
  sealAnswer,
  sealJob,
  type SealedJob,
} from './job-seal.ts';

const keys = parseJobKeys(createJobKey());
const place = { id: 'sign-1', name: 'sign' };
const NOW = 1_800_000_000_000;
const sealed = sealJob(keys, place, { gun: 'a' }, NOW + 13_000);
const forged = { ok: false, reason: 'forged' };

/** Of each bit of the text, the text with that bit the other way round. */
const flips = (text: string) => {
  const bytes = Buffer.from(text);
  return fc.integer({ min: 0, max: bytes.length * 8 - 1 }).map((bit) => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    return changed.toString();
  });
};

const fromJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

describe('a sealed job', () => {
  test('opens to what was sealed', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.string(),
        fc.dictionary(fc.string(), fc.string()),
        (id, name, data) => {
          const job = sealJob(keys, { id, name }, data, NOW);

          expect(openJob(keys, { id, name }, JSON.parse(JSON.stringify(job)), NOW)).toEqual({
            ok: true,
            data: JSON.parse(JSON.stringify(data)),
            seal: job.mac,
            expires: NOW,
          });
        },
      ),
    );
  });

  test('is refused with any bit of it changed', () => {
    fc.assert(
      fc.property(flips(JSON.stringify(sealed)), (text) => {
        expect(openJob(keys, place, fromJson(text), NOW)).toEqual(forged);
      }),
      { numRuns: 2_000 },
    );
  });

  test.each<[string, Partial<Record<keyof SealedJob | 'extra', unknown>>]>([
    ['another body', { body: '{"gun":"b"}' }],
    ['the same JSON in another spelling', { body: '{"gun": "a"}' }],
    ['another expiry', { expires: NOW + 14_000 }],
    ['another nonce', { nonce: '0'.repeat(32) }],
    ['another version', { version: 2 }],
    ['a member too many', { extra: 1 }],
    ['a MAC of no bytes', { mac: '' }],
    ['a MAC in capitals', { mac: sealed.mac.toUpperCase() }],
    ['half a MAC', { mac: sealed.mac.slice(0, 32) }],
    ['a MAC that is no text', { mac: [sealed.mac] }],
    ['an expiry that is no number', { expires: `${sealed.expires}` }],
  ])('is refused with %s', (_, change) => {
    expect(openJob(keys, place, { ...sealed, ...change }, NOW)).toEqual(forged);
  });

  test.each([null, undefined, 'x', 7, [], {}, { gun: 'a' }])('is not %j', (data) => {
    expect(openJob(keys, place, data, NOW)).toEqual(forged);
  });

  test.each([
    { id: 'sign-2', name: 'sign' },
    { id: 'sign-1', name: 'create-key' },
    { id: 'sign-1sign', name: '' },
  ])('is refused at another place: %j', (other) => {
    expect(openJob(keys, other, sealed, NOW)).toEqual(forged);
  });

  test('is refused by holders of other keys', () => {
    expect(openJob(parseJobKeys(createJobKey()), place, sealed, NOW)).toEqual(forged);
  });

  test.each<[string, number, object]>([
    ['a millisecond before its expiry', sealed.expires - 1, { ok: true }],
    ['at its expiry', sealed.expires, { ok: true }],
    ['a millisecond later', sealed.expires + 1, { ok: false, reason: 'expired' }],
    ['by a clock that is far behind', NOW - 3_600_000, { ok: false, reason: 'early' }],
    ['as early as a job can be', sealed.expires - LONGEST_DEADLINE - 2 * CLOCK_SKEW, { ok: true }],
  ])('opened %s', (_, now, outcome) => {
    expect(openJob(keys, place, sealed, now)).toMatchObject(outcome);
  });

  test('is another each time, so that a question can be put again', () => {
    const again = sealJob(keys, place, { gun: 'a' }, sealed.expires);

    expect(again.mac).not.toBe(sealed.mac);
  });
});

describe('a sealed answer', () => {
  const answer = { ok: true, keytype: 'ecdsa', public: 'AAAA' };
  const given = sealAnswer(keys, 'create-key-1', answer);

  test('opens to what was sealed', () => {
    expect(openAnswer(keys, 'create-key-1', given)).toEqual({ answer });
  });

  test('is refused with any bit of it changed', () => {
    fc.assert(
      fc.property(flips(JSON.stringify(given)), (text) => {
        expect(openAnswer(keys, 'create-key-1', fromJson(text))).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  test('is refused as the answer to another job', () => {
    expect(openAnswer(keys, 'create-key-2', given)).toBeUndefined();
  });

  test('is no job, and a job is no answer', () => {
    const job = { ...sealJob(keys, place, answer, NOW) };
    const { version, body, mac } = job;

    expect(openAnswer(keys, place.id, { version, body, mac })).toBeUndefined();
    expect(openJob(keys, place, { ...job, ...given }, NOW)).toEqual(forged);
  });
});
