import { createCipheriv, createDecipheriv, pbkdf2Sync, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { createSealer, SealError } from './seal.ts';

const environment = { NOTARY_SIGNER_TIMESTAMP_1: 'open sesame', NOTARY_SIGNER_OLD: 'shibboleth' };
const sealer = createSealer(environment, 'timestamp_1');
const secret = randomBytes(121);

/**
 * What the old Signer writes (SIGNER §2.3), from the primitives of RFC 7518 and with nothing of the
 * library that the code under test uses.
 */
function oldSeal(payload: Uint8Array, passphrase: string, rounds = 8192): string {
  const alg = 'PBES2-HS256+A128KW';
  const salt = randomBytes(12);
  const header = encode(
    JSON.stringify({ alg, enc: 'A256GCM', p2c: rounds, p2s: salt.toString('base64url') }),
  );
  const contentKey = randomBytes(32);
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', contentKey, iv).setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([cipher.update(payload), cipher.final()]);
  const wrap = createCipheriv('aes128-wrap', derive(alg, salt, passphrase, rounds), KEY_WRAP_IV);
  const wrapped = Buffer.concat([wrap.update(contentKey), wrap.final()]);
  return [header, ...[wrapped, iv, ciphertext, cipher.getAuthTag()].map(encode)].join('.');
}

/** The other way round. */
function oldUnseal(jwe: string, passphrase: string): Buffer {
  const [header = '', wrapped = '', iv = '', ciphertext = '', tag = ''] = jwe.split('.');
  const { alg, p2c, p2s } = JSON.parse(Buffer.from(header, 'base64url').toString());
  const kek = derive(alg, Buffer.from(p2s, 'base64url'), passphrase, p2c);
  const unwrap = createDecipheriv('aes128-wrap', kek, KEY_WRAP_IV);
  const contentKey = Buffer.concat([unwrap.update(wrapped, 'base64url'), unwrap.final()]);
  const cipher = createDecipheriv('aes-256-gcm', contentKey, Buffer.from(iv, 'base64url'));
  cipher.setAAD(Buffer.from(header)).setAuthTag(Buffer.from(tag, 'base64url'));
  return Buffer.concat([cipher.update(ciphertext, 'base64url'), cipher.final()]);
}

const KEY_WRAP_IV = Buffer.from('a6a6a6a6a6a6a6a6', 'hex');

function derive(alg: string, salt: Uint8Array, passphrase: string, rounds: number): Buffer {
  const saltInput = Buffer.concat([Buffer.from(alg), Buffer.from([0]), salt]);
  return pbkdf2Sync(passphrase, saltInput, rounds, 16, 'sha256');
}

function encode(bytes: string | Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function header(jwe: string): unknown {
  return JSON.parse(Buffer.from(jwe.split('.')[0] ?? '', 'base64url').toString());
}

describe('seal', () => {
  test('writes what the old Signer could read', async () => {
    const { alias, jwe } = await sealer.seal(secret);

    expect(alias).toBe('timestamp_1');
    expect(header(jwe)).toEqual({
      alg: 'PBES2-HS256+A128KW',
      enc: 'A256GCM',
      p2c: 8192,
      p2s: expect.any(String),
    });
    expect(oldUnseal(jwe, 'open sesame')).toEqual(secret);
  });

  test('never gives the same seal twice', async () => {
    expect(await sealer.seal(secret)).not.toEqual(await sealer.seal(secret));
  });
});

describe('unseal', () => {
  test('opens what was sealed', async () => {
    expect(Buffer.from(await sealer.unseal(await sealer.seal(secret)))).toEqual(secret);
  });

  test('opens what the old Signer sealed under another alias', async () => {
    const unsealed = await sealer.unseal({ alias: 'old', jwe: oldSeal(secret, 'shibboleth') });

    expect(Buffer.from(unsealed)).toEqual(secret);
  });

  test('says which variable is missing', async () => {
    const jwe = oldSeal(secret, 'x');

    await expect(sealer.unseal({ alias: 'Timestamp-9', jwe })).rejects.toMatchObject({
      name: 'SealError',
      code: 'NO_PASSPHRASE',
      message: expect.stringContaining('NOTARY_SIGNER_TIMESTAMP-9'),
    });
  });

  const sealed = oldSeal(secret, 'shibboleth');
  const parts = sealed.split('.');
  test.each([
    ['a wrong passphrase', oldSeal(secret, 'sibboleth')],
    ['a ciphertext that was changed', [...parts.slice(0, 3), 'AAAA', parts[4]].join('.')],
    [
      'a header that was changed',
      [encode('{"alg":"dir","enc":"A256GCM"}'), ...parts.slice(1)].join('.'),
    ],
    [
      'rounds without end',
      oldSeal(secret, 'shibboleth', 1).replace(
        /^[^.]+/,
        encode(
          '{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":2000000000,"p2s":"AAAAAAAAAAAAAAAA"}',
        ),
      ),
    ],
    ['what is no JWE', 'x'],
  ])('does not open %s', async (_, jwe) => {
    await expect(sealer.unseal({ alias: 'old', jwe })).rejects.toMatchObject({
      name: 'SealError',
      code: 'SEAL_BROKEN',
    });
  });
});

describe('createSealer', () => {
  test.each([{}, { NOTARY_SIGNER_TIMESTAMP_1: '' }])('refuses to start with %o', (variables) => {
    expect(() => createSealer(variables, 'timestamp_1')).toThrow(SealError);
    expect(() => createSealer(variables, 'timestamp_1')).toThrow(
      'no passphrase for the key alias "timestamp_1": set the environment variable NOTARY_SIGNER_TIMESTAMP_1',
    );
  });
});
