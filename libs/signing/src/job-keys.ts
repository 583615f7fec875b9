import { createSecretKey, hkdfSync, randomBytes, type KeyObject } from 'node:crypto';

/** A file of job keys that cannot be used; `message` is for the operator and holds no secret. */
export class JobKeyError extends Error {
  override readonly name = 'JobKeyError';
}

/**
 * What API and workers share, so that each knows the other's words from those of anybody else who
 * can write to the queue. The first key of each list seals, all of them open. Jobs and answers have
 * keys of their own: an answer can never be taken for a job.
 */
export interface JobKeys {
  readonly jobs: readonly [KeyObject, ...KeyObject[]];
  readonly answers: readonly [KeyObject, ...KeyObject[]];
}

/** A shorter secret could be guessed from any job that was sealed with it. */
const LEAST_BYTES = 32;
/** A rotation needs two; each one more is one more try at every forged job. */
const MOST_KEYS = 16;

/**
 * Reads a file of job keys: one secret of at least 32 bytes a line, as base64 or hex; blank lines
 * and lines that begin with `#` do not count. Throws `JobKeyError`.
 */
export function parseJobKeys(text: string): JobKeys {
  const secrets = text
    .split(/\r\n|\n|\r/)
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
    .map(({ line, number }) => parseSecret(line, number));
  const [first, ...others] = secrets;
  if (first === undefined) throw new JobKeyError('no key in it: openssl rand -base64 32 makes one');
  if (secrets.length > MOST_KEYS) throw new JobKeyError(`more than ${MOST_KEYS} keys in it`);
  const derive = (purpose: string): readonly [KeyObject, ...KeyObject[]] => [
    deriveKey(first, purpose),
    ...others.map((secret) => deriveKey(secret, purpose)),
  ];
  return { jobs: derive('jobs'), answers: derive('answers') };
}

/** A new secret, as a line for a file of job keys. */
export function createJobKey(): string {
  return randomBytes(LEAST_BYTES).toString('base64');
}

function parseSecret(line: string, number: number): Buffer {
  const secret = decode(line);
  if (secret === undefined) throw new JobKeyError(`line ${number} is neither base64 nor hex`);
  if (secret.length < LEAST_BYTES) {
    throw new JobKeyError(
      `line ${number} holds ${secret.length} bytes: a key has at least ${LEAST_BYTES}`,
    );
  }
  return secret;
}

/** What reads as hex is hex: base64 of that length without any other letter is not met by chance. */
function decode(line: string): Buffer | undefined {
  if (/^(?:[0-9a-f]{2})+$/i.test(line)) return Buffer.from(line, 'hex');
  const bytes = Buffer.from(line, 'base64'); // takes the URL's alphabet, too, and anything else
  const plain = line
    .replaceAll('-', '+')
    .replaceAll('_', '/')
    .replace(/={1,2}$/, '');
  return bytes.toString('base64').replace(/=+$/, '') === plain ? bytes : undefined;
}

/** HKDF (RFC 5869). The version is in the name, so that a later protocol has keys of its own. */
function deriveKey(secret: Buffer, purpose: string): KeyObject {
  return createSecretKey(
    Buffer.from(hkdfSync('sha256', secret, '', `scrivener queue 1: ${purpose}`, 32)),
  );
}
