import type { Cause } from '@scrivener/events';
import { afterEach, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer, type TestServerOptions } from '../testing/server.ts';
import { createClientOf, parseNetworks } from './client.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.close();
  server = undefined;
});

/** What the cause of a deletion says, for one that is asked for with these headers. */
async function causeOf(
  { tls, ...deps }: Pick<TestServerOptions, 'tls'> & TestServerOptions['deps'],
  headers: Record<string, string> = {},
): Promise<Cause> {
  let cause: Cause = {};
  const deleteRepository = async (_gun: unknown, given: Cause) => void (cause = given);
  server = await startTestServer({ ...(tls && { tls }), deps: { deleteRepository, ...deps } });
  await server.request('DELETE', '/v2/a/_trust/tuf/', { headers });
  return cause;
}

const proxies = (...networks: string[]) =>
  createClientOf({ remoteAddress: true, trustedProxies: parseNetworks(networks).networks });

describe('the cause of an event', () => {
  test('has the certificate that the client showed', async () => {
    const cause = await causeOf({ tls: 'mutual' });

    expect(cause.certificate).toContain('CN=notary-signer');
    expect(cause.certificate).not.toContain('\n');
    expect(cause.certificateSha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([false, true] as const)('has none where TLS (%s) asked for none', async (tls) => {
    expect(Object.keys(await causeOf({ tls }))).not.toContain('certificateSha256');
  });

  test('has no address unless the operator wants it', async () => {
    const cause = await causeOf({}, { 'X-Forwarded-For': '198.51.100.7' });

    expect(cause.remoteAddress).toBeUndefined();
  });

  test.each([
    ['who is connected', [], '198.51.100.7', '127.0.0.1'],
    ['who is connected to a trusted proxy', ['127.0.0.0/8'], '198.51.100.7', '198.51.100.7'],
    ['nobody whom a client invented', ['127.0.0.1'], '192.0.2.1, 198.51.100.7', '198.51.100.7'],
    [
      'who is in front of all of ours',
      ['127.0.0.1', '10.0.0.0/8'],
      '192.0.2.1,10.1.2.3',
      '192.0.2.1',
    ],
    ['an address of the newer kind', ['127.0.0.1/32'], '2001:db8::7', '2001:db8::7'],
    ['the proxy where it says nothing sensible', ['127.0.0.1'], 'unknown', '127.0.0.1'],
    ['the proxy where it says nothing', ['127.0.0.1'], undefined, '127.0.0.1'],
  ])('has the address of %s', async (_what, trusted, forwarded, address) => {
    const headers = forwarded === undefined ? {} : { 'X-Forwarded-For': forwarded };

    const cause = await causeOf({ clientOf: proxies(...trusted) }, headers);

    expect(cause.remoteAddress).toBe(address);
  });
});

test.each(['', 'x', '10.0.0.0/33', '::/129', '10.0.0.0/8/8', '10.0.0.0/', '10.0.0.0/a'])(
  '"%s" is no network',
  (text) => {
    expect(parseNetworks(['10.0.0.0/8', text]).wrong).toBe(text);
  },
);
