import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { createJobKey, JobKeyError, parseJobKeys } from './job-keys.ts';
import { openJob, sealJob } from './job-seal.ts';

const secret = randomBytes(32);
const place = { id: 'sign-1', name: 'sign' };
const sealedBy = (file: string) => sealJob(parseJobKeys(file), place, {}, 1_000);
const opens = (file: string, sealed: unknown) => openJob(parseJobKeys(file), place, sealed, 0).ok;

describe('a file of job keys', () => {
  test.each<[string, string]>([
    ['base64', secret.toString('base64')],
    ['base64 without padding', secret.toString('base64').replace('=', '')],
    ['base64 for URLs', secret.toString('base64url')],
    ['hex', secret.toString('hex')],
    ['capital hex', secret.toString('hex').toUpperCase()],
    ['blanks around it', `  ${secret.toString('hex')}\t`],
    ['comments and blank lines', `# made in May\n\n${secret.toString('hex')}\n#\n`],
    ['line ends of Windows', `# made in May\r\n${secret.toString('base64')}\r\n`],
  ])('may have its key as %s', (_, file) => {
    expect(opens(secret.toString('base64'), sealedBy(file))).toBe(true);
  });

  test('seals with its first key and opens with all', () => {
    const [old, next] = [createJobKey(), createJobKey()];

    expect(opens(`${old}\n${next}`, sealedBy(next))).toBe(true);
    expect(opens(`${next}\n${old}`, sealedBy(old))).toBe(true);
    expect(opens(old, sealedBy(`${next}\n${old}`))).toBe(false);
    expect(opens(next, sealedBy(`${next}\n${old}`))).toBe(true);
  });

  test.each<[string, string, string]>([
    ['nothing', '', 'no key in it: openssl rand -base64 32 makes one'],
    ['only comments', '# later\n', 'no key in it: openssl rand -base64 32 makes one'],
    ['a short key', 'c2hvcnQ=', 'line 1 holds 5 bytes: a key has at least 32'],
    ['31 bytes of hex', '00'.repeat(31), 'line 1 holds 31 bytes: a key has at least 32'],
    ['a passphrase', '# mine\ncorrect horse', 'line 2 is neither base64 nor hex'],
    ['PEM', '-----BEGIN PRIVATE KEY-----', 'line 1 is neither base64 nor hex'],
    ['base64 with a letter too many', `${'A'.repeat(44)}A`, 'line 1 is neither base64 nor hex'],
    ['seventeen keys', `${'00'.repeat(32)}\n`.repeat(17), 'more than 16 keys in it'],
  ])('with %s is refused', (_, file, message) => {
    expect(() => parseJobKeys(file)).toThrow(new JobKeyError(message));
  });

  test('does not show in what it became', () => {
    const keys = inspect(parseJobKeys(secret.toString('hex')), { depth: 9, showHidden: true });

    expect(keys).not.toContain(secret.toString('hex'));
  });
});

test('a new job key is one that can be read, and is never the same', () => {
  expect(() => parseJobKeys(createJobKey())).not.toThrow();
  expect(createJobKey()).not.toBe(createJobKey());
});
