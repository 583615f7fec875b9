import { SigningError, type Signer } from '@scrivener/signing';
import { TufError } from '@scrivener/tuf';
import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { Unavailable } from '../errors.ts';
import { countPublishes, queueGauges, timedSigner } from './signing-metrics.ts';

const failing = (reason: Error) => () => Promise.reject(reason);

test.each([
  ['published', async () => {}],
  ['overtaken', failing(new TufError('OLD_VERSION', 'another update was faster'))],
  ['refused', failing(new TufError('BAD_ROOT', 'no'))],
  ['unavailable', failing(new SigningError('UNAVAILABLE', 'no signer answered in time'))],
  ['unavailable', failing(new Unavailable('no answer within 10000 ms'))],
  ['unavailable', failing(Object.assign(new Error('connect'), { code: 'ECONNREFUSED' }))],
  ['failed', failing(new TypeError('a mistake of ours'))],
])('a publish is counted as %s, and ends as it would have', async (outcome, publish) => {
  const register = new Registry();
  const counted = countPublishes(register)(publish);

  expect(await counted({}).catch((error: unknown) => error)).toEqual(
    await publish().catch((error: unknown) => error),
  );

  const text = await register.metrics();
  expect(text).toContain(`scrivener_publishes_total{outcome="${outcome}"} 1\n`);
  expect(text.match(/^scrivener_publishes_total\{outcome="[a-z]+"\} 0$/gm)).toHaveLength(4);
});

test('questions to the signer are timed by what was asked and what came of it', async () => {
  const register = new Registry();
  const key = { keytype: 'ed25519', public: 'AAAA' };
  const request = {} as Parameters<Signer['sign']>[0];
  const signer = (sign: Signer['sign']): Signer => ({
    createKey: async () => key,
    sign,
    close: async () => {},
  });
  const outcomes = [
    failing(new SigningError('UNAVAILABLE', 'late')),
    failing(new SigningError('UNKNOWN_KEY', 'which?')),
    failing(new TypeError('a mistake of ours')),
  ];
  let sign = outcomes[0];
  const timed = timedSigner(
    signer(() => sign?.() ?? Promise.reject(new Error())),
    register,
  );

  expect(await timed.createKey({} as Parameters<Signer['createKey']>[0])).toBe(key);
  for (sign of outcomes) await expect(timed.sign(request)).rejects.toBeInstanceOf(Error);

  const text = await register.metrics();
  for (const labels of [
    'job="create-key",outcome="signed"',
    'job="sign",outcome="unavailable"',
    'job="sign",outcome="refused"',
    'job="sign",outcome="failed"',
  ]) {
    expect(text).toContain(`scrivener_sign_job_duration_seconds_count{${labels}} 1\n`);
  }
});

test('the queue shows its jobs by state, and nothing once it cannot be asked', async () => {
  const register = new Registry();
  const depth = { waiting: 3, active: 2, delayed: 1, failed: 0 };
  const source = queueGauges(register, {
    depth: async () => depth,
    health: async () => ({ queue: true, workers: 4, state: 'answering' }),
  });

  await source.collect();
  const text = await register.metrics();
  expect(text).toContain('scrivener_queue_jobs{state="waiting"} 3\n');
  expect(text).toContain('scrivener_queue_jobs{state="active"} 2\n');
  expect(text).toContain('scrivener_queue_jobs{state="delayed"} 1\n');
  expect(text).toContain('scrivener_queue_jobs{state="failed"} 0\n');
  expect(text).toContain('scrivener_queue_workers 4\n');

  source.forget();
  expect(await register.metrics()).not.toMatch(/^scrivener_queue/m);
});
