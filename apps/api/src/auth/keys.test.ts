import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fingerprint, readRootCertBundle } from './keys.ts';
import { certify, criticalExtension } from '../testing/tokens.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bundle-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function bundle(content: string): string {
  const path = join(folder, 'bundle.pem');
  writeFileSync(path, content);
  return path;
}

const refusal = (path: string) => {
  try {
    readRootCertBundle(path);
    return undefined;
  } catch (error) {
    return error;
  }
};

test('a bundle may hold several certificates, text and other things', async () => {
  const [first, second] = [await certify({ name: 'first' }), await certify({ name: 'second' })];
  const key = String(first.privateKey.export({ type: 'pkcs8', format: 'pem' }));

  const path = bundle(
    `first\n${first.pem}\n${key}\nsecond\r\n${second.pem.replaceAll('\n', '\r\n')}`,
  );

  expect(readRootCertBundle(path).map(({ x509 }) => x509.subject)).toEqual([
    'CN=first',
    'CN=second',
  ]);
});

test('a bundle may hold what is good for no chain: its key still has a kid', async () => {
  const odd = criticalExtension('1.2.3.4', '0500');
  const { pem } = await certify({ name: 'odd', extensions: [odd] });

  expect(readRootCertBundle(bundle(pem))).toMatchObject([{ isUnderstood: false }]);
});

test.each([
  ['nothing', ''],
  ['text', 'hello\n'],
  ['a key', generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' })],
  ['a beginning', '-----BEGIN CERTIFICATE-----\nAAAA\n'],
])('a bundle with %s holds no certificate', (_, content) => {
  expect(refusal(bundle(String(content)))).toMatchObject({
    name: 'ConfigError',
    message: 'token auth requires at least one token signing root certificate',
  });
});

test.each([
  ['AAAA', /^unable to parse token auth root certificate: ./],
  ['', /^unable to parse token auth root certificate: ./],
  ['***', /^unable to parse token auth root certificate: ./],
])(
  'a bundle with a certificate of %j is refused, whatever else it holds',
  async (body, message) => {
    const { pem } = await certify({ name: 'good' });
    const bad = `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;

    expect(refusal(bundle(pem + bad))).toMatchObject({
      name: 'ConfigError',
      message: expect.stringMatching(message),
    });
  },
);

test('a bundle with a key that signs no tokens is refused', async () => {
  const { pem } = await certify({ name: 'edwards', key: 'Ed25519' });

  expect(refusal(bundle(pem))).toMatchObject({
    name: 'ConfigError',
    message:
      'unable to get public key from token auth root certificate: no token can be signed with ed25519',
  });
});

test('a bundle that cannot be read is named', () => {
  expect(refusal('nowhere/bundle.pem')).toMatchObject({
    name: 'ConfigError',
    message:
      'unable to open token auth root certificate bundle file "nowhere/bundle.pem": ' +
      'open nowhere/bundle.pem: no such file or directory',
  });
  expect(refusal(folder)).toMatchObject({
    name: 'ConfigError',
    message: `unable to open token auth root certificate bundle file "${folder}": open ${folder}: is a directory`,
  });
});

test('the fingerprint of a key is that of the Docker world', () => {
  // The key of a signed manifest in the documentation of the registry's image format.
  const jwk = {
    kty: 'EC',
    crv: 'P-256',
    x: '3gAwX48IQ5oaYQAYSxor6rYYc_6yjuLCjtQ9LUakg4A',
    y: 't72ge6kIA1XOjqjVoEOiPPAURltJFBMGDSQvEGVB010',
  };

  expect(fingerprint(createPublicKey({ key: jwk, format: 'jwk' }))).toBe(
    'OD6I:6DRK:JXEJ:KBM4:255X:NSAA:MUSF:E4VM:ZI6W:CUN2:L4Z6:LSF4',
  );
});
