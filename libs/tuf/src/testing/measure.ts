/*
 * What OpenSSL (`node:crypto`), which this room uses, and @noble/curves do per second, side by side:
 * `npm run measure -w @scrivener/tuf`. ADR 0004 rests on it. Medians of five rounds.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { verifySignature } from '../algorithms.ts';
import { generateServerKey, importServerKey } from '../server-key.ts';

const ROUNDS = 5;
/** How long a round lasts, in milliseconds. */
const ROUND = 300;

const payload = Buffer.alloc(600, 'a');

for (const algorithm of ['ecdsa', 'ed25519'] as const) {
  const noble = algorithm === 'ecdsa' ? p256 : ed25519;
  const key = generateServerKey(algorithm);
  const { publicKey, method } = key;
  const packed = key.exportPrivate();
  const sig = Buffer.from(key.sign(payload).sig, 'base64');
  const secret = noble.utils.randomSecretKey();
  const point = noble.getPublicKey(secret);
  const theirs = noble.sign(payload, secret);

  console.log(`${algorithm}, per second      node:crypto    noble   ratio`);
  compare(
    'sign',
    () => key.sign(payload),
    () => noble.sign(payload, secret),
  );
  compare(
    'verify',
    () => verifySignature(publicKey, method, payload, sig),
    () => noble.verify(theirs, payload, point),
  );
  compare(
    'new key',
    () => generateServerKey(algorithm),
    () => noble.getPublicKey(noble.utils.randomSecretKey()),
  );
  compare(
    'import',
    () => importServerKey(algorithm, packed),
    () => noble.getPublicKey(secret),
  );
}

function compare(what: string, ours: () => unknown, nobles: () => unknown): void {
  const [fast, slow] = [median(ours), median(nobles)];
  const columns = [what.padEnd(20), fast.toFixed(0).padStart(12), slow.toFixed(0).padStart(9)];
  console.log(`${columns.join(' ')} ${(fast / slow).toFixed(1).padStart(7)}`);
}

function median(work: () => unknown): number {
  const rates = Array.from({ length: ROUNDS }, () => rate(work)).toSorted((a, b) => a - b);
  return rates[Math.floor(ROUNDS / 2)] ?? Number.NaN;
}

function rate(work: () => unknown): number {
  const begin = performance.now();
  let times = 0;
  while (performance.now() - begin < ROUND) {
    work();
    times += 1;
  }
  return times / ((performance.now() - begin) / 1_000);
}
