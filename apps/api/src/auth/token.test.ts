import { constants, createHmac, createPrivateKey, sign, type KeyObject } from 'node:crypto';
import { exportJWK, type JWK } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createAuthenticate } from './authenticate.ts';
import { readCertificate } from './chain.ts';
import { fingerprint } from './keys.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import {
  certify,
  criticalExtension,
  forgeToken,
  goodClaims,
  inVersion1,
  ISSUER,
  SERVICE,
  signToken,
  type Claims,
  type Identity,
  type KeyKind,
} from '../testing/tokens.ts';

const NOW = new Date('2026-06-01T12:00:00Z');
const at = (seconds: number) => Math.floor(NOW.getTime() / 1000) + seconds;
const days = (count: number) => new Date(NOW.getTime() + count * 86_400_000);
const current = { notBefore: days(-1), notAfter: days(1) };

type Signing = Exclude<KeyKind, 'Ed25519'>;

/** Those of the bundle: a CA and some that sign tokens themselves. */
let ca: Identity;
let own: Record<Signing, Identity>;
let expired: Identity;
/** A CA that lets no other CA stand below itself. */
let narrow: Identity;
let stranger: Identity;
/** A CA of the first version of X.509. */
let old: Identity;
let server: TestServer;
let clock = NOW;
beforeEach(() => {
  clock = NOW;
});

beforeAll(async () => {
  ca = await certify({ name: 'CA', ca: true, ...current });
  narrow = await certify({ name: 'narrow CA', ca: true, pathLength: 0, ...current });
  old = inVersion1(await certify({ name: 'old', ...current }));
  stranger = await certify({ name: 'CA', ca: true, ...current });
  expired = await certify({ name: 'expired', notBefore: days(-9), notAfter: days(-1), ca: true });
  own = {
    RSA: await certify({ name: 'RSA', key: 'RSA', ...current }),
    'RSA-1024': await certify({ name: 'short', key: 'RSA-1024', ...current }),
    'P-256': await certify({ name: 'P-256', ...current }),
    'P-384': await certify({ name: 'P-384', key: 'P-384', ...current }),
    'P-521': await certify({ name: 'P-521', key: 'P-521', ...current }),
  };
  const bundle = [ca, narrow, expired, old, ...Object.values(own)];
  server = await startTestServer({
    deps: {
      authenticate: createAuthenticate({
        realm: 'https://auth.example.com/token',
        issuer: ISSUER,
        service: SERVICE,
        autoredirect: false,
        rootCertBundle: bundle.map(({ certificate }) => readCertificate(certificate.raw)),
        now: () => clock,
      }),
    },
  });
});
afterAll(() => server.close());

const claims = (more: Claims = {}) => goodClaims({ exp: at(300), nbf: at(-10), ...more });
const leaf = (issuer: Identity, more = {}) =>
  certify({ name: 'leaf', issuer, ...current, ...more });

/** `accepted`, or the `error` of the challenge. */
async function verdict(token: string): Promise<string> {
  const { status, headers } = await server.request('GET', '/v2/a/_trust/changefeed?records=1', {
    headers: { Authorization: `Bearer ${token}` },
  });
  if (status === 200) return 'accepted';
  const error = /,error="(\w+)"$/.exec(headers['www-authenticate'] ?? '')?.[1];
  return `${status} ${error}`;
}
const ACCEPTED = 'accepted';
const INVALID = '401 invalid_token';

/** A good token with other claims, signed by a key of the bundle. */
const withClaims = (more: Claims) =>
  signToken(own['P-256'].privateKey, { alg: 'ES256', x5c: [own['P-256'].x5c] }, claims(more));

/** A token with a good signature over whatever stands in `text`. */
function withText(text: string, header: object = {}): string {
  const { privateKey, x5c } = own['P-256'];
  return forgeToken({ alg: 'ES256', x5c: [x5c], ...header }, text, (input) =>
    sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
  );
}
const asText = (more: string) =>
  JSON.stringify(claims({ exp: undefined, nbf: undefined })).replace('{', `{${more},`);

test('good claims as text are accepted, so that what follows can fail for one reason only', async () => {
  expect(await verdict(withText(asText(`"exp":${at(300)}`)))).toBe(ACCEPTED);
});

const good = () => withClaims({});
const padded = (text: string) => text.padEnd(Math.ceil(text.length / 4) * 4, '=');

describe('the form of a token', () => {
  const part = (index: number, change: (part: string) => string) => async () => {
    const parts = (await good()).split('.');
    parts[index] = change(parts[index] ?? '');
    return parts.join('.');
  };

  test.each([
    ['three parts', ACCEPTED, good],
    ['a padded signature', ACCEPTED, part(2, padded)],
    ['a fourth part', INVALID, async () => `${await good()}.x`],
    ['a dot at the end', INVALID, async () => `${await good()}.`],
    ['a dot at the start', INVALID, async () => `.${await good()}`],
    ['two parts', INVALID, async () => (await good()).replace(/\.[^.]*$/, '')],
    ['dots alone', INVALID, () => '..'],
    ['a single dot', INVALID, () => '.'],
    ['one word', INVALID, () => 'token'],
    ['no signature', INVALID, part(2, () => '')],
    ['a signature of nothing but padding', INVALID, part(2, () => '==')],
    ['a character of no alphabet', INVALID, part(2, (text) => `${text.slice(0, -1)}!`)],
    ['standard base64', INVALID, part(2, (text) => `++//${text.slice(4)}`)],
    ['too much padding', INVALID, part(2, (text) => `${text}====`)],
    ['a tab', INVALID, part(2, (text) => `${text.slice(0, 9)}\t${text.slice(9)}`)],
    ['a length that no bytes have', INVALID, part(2, () => 'AAAAA')],
    [
      'another signature',
      INVALID,
      part(2, (text) => (text[0] === 'A' ? 'B' : 'A') + text.slice(1)),
    ],
    ['a header that is not JSON', INVALID, part(0, () => 'e30x')],
    ['claims that are not JSON', INVALID, () => withText('{')],
    ['claims that are null', INVALID, () => withText('null')],
    ['claims that are a list', INVALID, () => withText('[]')],
    ['a header that is no object', INVALID, part(0, () => Buffer.from('1').toString('base64url'))],
    ['claims beyond 64 KiB', INVALID, () => withClaims({ jti: 'x'.repeat(50_000) })],
    ['a token of 900 kB', INVALID, () => 'x.'.repeat(450_000)],
    ['claims nested 20000 deep', INVALID, () => withText(`{"a":${'['.repeat(20_000)}`)],
    ['a well closed nesting', INVALID, () => withText(nested(12_000))],
  ])('%s: %s', async (_, expected, token) => {
    expect(await verdict(await token())).toBe(expected);
  });
});

function nested(depth: number): string {
  return `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`;
}

describe('the claims', () => {
  test.each<[Claims, string]>([
    [{ iss: 'somebody' }, INVALID],
    [{ iss: undefined }, INVALID],
    [{ iss: [ISSUER] }, INVALID],
    [{ iss: ISSUER.toUpperCase() }, INVALID],
    [{ aud: 'another' }, INVALID],
    [{ aud: undefined }, INVALID],
    [{ aud: [SERVICE] }, INVALID],
    [{ exp: at(0) }, ACCEPTED],
    [{ exp: at(-60) }, ACCEPTED],
    [{ exp: at(-61) }, INVALID],
    [{ exp: undefined }, INVALID],
    [{ exp: null }, INVALID],
    [{ exp: 0 }, INVALID],
    [{ exp: -1 }, INVALID],
    [{ exp: at(300) + 0.5 }, INVALID],
    [{ exp: String(at(300)) }, INVALID],
    [{ exp: true }, INVALID],
    [{ exp: { at: 1 } }, INVALID],
    [{ nbf: undefined }, ACCEPTED],
    [{ nbf: null }, ACCEPTED],
    [{ nbf: at(60) }, ACCEPTED],
    [{ nbf: at(61) }, INVALID],
    [{ nbf: 1.5 }, INVALID],
    [{ nbf: '1' }, INVALID],
    [{ iat: at(9999) }, ACCEPTED],
    [{ iat: undefined }, ACCEPTED],
    [{ iat: 1.5 }, INVALID],
    [{ iat: 'today' }, INVALID],
    [{ sub: undefined }, ACCEPTED],
    [{ sub: '' }, ACCEPTED],
    [{ sub: 1 }, INVALID],
    [{ jti: undefined }, ACCEPTED],
    [{ jti: null }, ACCEPTED],
    [{ jti: 1 }, INVALID],
    [{ access: 'all' }, INVALID],
    [{ access: {} }, INVALID],
    [{ access: ['a'] }, INVALID],
    [{ access: [[]] }, INVALID],
    [{ access: [{ type: 1 }] }, INVALID],
    [{ access: [{ type: 'repository', name: 'a', actions: 'pull' }] }, INVALID],
    [{ access: [{ type: 'repository', name: 'a', actions: [1] }] }, INVALID],
    [{ access: [null] }, '401 insufficient_scope'],
    [{ access: [null], iss: 'somebody' }, INVALID],
    [{ anything: { else: [1.5] } }, ACCEPTED],
  ])('%j: %s', async (more, expected) => {
    expect(await verdict(await withClaims(more))).toBe(expected);
  });

  test.each([
    ['"exp":1.0e12', INVALID],
    [`"exp":${at(300)}.0`, INVALID],
    ['"exp":4e9', INVALID],
    ['"exp":9223372036854775807', ACCEPTED],
    ['"exp":9223372036854775808', INVALID],
    ['"exp":99999999999999999999999999', INVALID],
    [`"exp":${at(300)},"nbf":-9223372036854775808`, ACCEPTED],
    [`"exp":${at(300)},"x":[1.0,1e3,-0,1e999]`, ACCEPTED],
    [`"exp":0,"exp":${at(300)}`, ACCEPTED],
    [`"exp":${at(300)},"exp":0`, INVALID],
    [`"Exp":${at(300)}`, INVALID],
    [`"exp":${at(300)},"__proto__":{"iss":"x"},"constructor":1`, ACCEPTED],
  ])('as they are written: %s: %s', async (text, expected) => {
    expect(await verdict(withText(asText(text)))).toBe(expected);
  });

  test('bytes that are no UTF-8', async () => {
    const header = Buffer.from(JSON.stringify({ alg: 'ES256', x5c: [own['P-256'].x5c] }));
    const body = Buffer.from(asText(`"exp":${at(300)},"sub":"\xff"`), 'latin1');
    const input = Buffer.from(`${header.toString('base64url')}.${body.toString('base64url')}`);
    const signature = sign('sha256', input, {
      key: own['P-256'].privateKey,
      dsaEncoding: 'ieee-p1363',
    });

    expect(await verdict(`${input.toString()}.${signature.toString('base64url')}`)).toBe(INVALID);
  });
});

describe('the algorithm must be that of the key', () => {
  test.each<[Signing, string, string]>([
    ['RSA', 'RS256', ACCEPTED],
    ['RSA', 'RS384', ACCEPTED],
    ['RSA', 'RS512', ACCEPTED],
    ['RSA', 'PS256', INVALID],
    ['RSA-1024', 'RS256', INVALID],
    ['P-256', 'ES256', ACCEPTED],
    ['P-384', 'ES384', ACCEPTED],
    ['P-521', 'ES512', ACCEPTED],
  ])('%s with %s: %s', async (kind, alg, expected) => {
    const { privateKey, x5c } = own[kind];
    const scheme = alg.startsWith('PS')
      ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
      : {};
    const token = forgeToken({ alg, x5c: [x5c] }, JSON.stringify(claims()), (input) =>
      sign(`sha${alg.slice(2)}`, input, { key: privateKey, dsaEncoding: 'ieee-p1363', ...scheme }),
    );

    expect(await verdict(token)).toBe(expected);
  });

  test.each<[Signing, string, string]>([
    ['P-256', 'ES384', 'sha384'],
    ['P-256', 'ES512', 'sha512'],
    ['P-384', 'ES256', 'sha256'],
    ['P-384', 'ES512', 'sha512'],
    ['P-521', 'ES256', 'sha256'],
    ['P-521', 'ES384', 'sha384'],
    ['P-256', 'RS256', 'sha256'],
    ['P-256', 'es256', 'sha256'],
    ['P-256', '', 'sha256'],
    ['RSA', 'ES256', 'sha256'],
    ['RSA', 'RS1', 'sha1'],
  ])('%s with %s over %s', async (kind, alg, digest) => {
    const { privateKey: key, x5c } = own[kind];
    const token = forgeToken({ alg, x5c: [x5c] }, JSON.stringify(claims()), (input) =>
      sign(digest, input, { key, dsaEncoding: 'ieee-p1363' }),
    );

    expect(await verdict(token)).toBe(INVALID);
  });

  test('a signature in DER', async () => {
    const { privateKey, x5c } = own['P-256'];
    const token = forgeToken({ alg: 'ES256', x5c: [x5c] }, JSON.stringify(claims()), (input) =>
      sign('sha256', input, privateKey),
    );

    expect(await verdict(token)).toBe(INVALID);
  });

  test.each(['none', 'None', 'NONE', undefined, null, 1])('alg %j', async (alg) => {
    const header = { alg, x5c: [own['P-256'].x5c] };

    for (const signature of ['', 'none', 'x'.repeat(64)]) {
      const token = forgeToken(header, JSON.stringify(claims()), () => Buffer.from(signature));
      expect(await verdict(token)).toBe(INVALID);
    }
  });

  test.each(['HS256', 'HS384', 'HS512'])('%s with the public key as its secret', async (alg) => {
    const { publicKey, certificate, x5c, pem } = own.RSA;
    const secrets = [
      publicKey.export({ type: 'spki', format: 'pem' }),
      publicKey.export({ type: 'spki', format: 'der' }),
      publicKey.export({ type: 'pkcs1', format: 'der' }),
      pem,
      certificate.raw,
    ];

    for (const secret of secrets) {
      for (const key of [{ x5c: [x5c] }, { kid: fingerprint(publicKey) }]) {
        const token = forgeToken({ alg, ...key }, JSON.stringify(claims()), (input) =>
          createHmac(alg.replace('HS', 'sha'), secret).update(input).digest(),
        );
        expect(await verdict(token)).toBe(INVALID);
      }
    }
  });

  test.each([
    ['an unknown member', { crit: ['x'], x: 1 }],
    ['b64', { crit: ['b64'], b64: false }],
    ['nothing', { crit: [] }],
    ['no list', { crit: 'exp' }],
  ])('critical: %s', async (_, header) => {
    expect(await verdict(withText(asText(`"exp":${at(300)}`), header))).toBe(INVALID);
  });

  test.each([{ typ: 'at+jwt' }, { typ: '' }, { typ: null }, { cty: 'x' }, { zip: 'DEF' }])(
    '%j changes nothing',
    async (header) => {
      expect(await verdict(withText(asText(`"exp":${at(300)}`), header))).toBe(ACCEPTED);
    },
  );
});

/** A key of WebCrypto is bound to one digest, this one is not. */
function unbound(key: KeyObject): KeyObject {
  return createPrivateKey(key.export({ type: 'pkcs8', format: 'pem' }));
}

/** A token for which `signer` says with `header` who it is. */
const signedBy = async (signer: Identity, header: Record<string, unknown>) =>
  verdict(await signToken(signer.privateKey, { alg: 'ES256', ...header }, claims()));

/** A token of the first identity, with all of them as its chain. */
const chained = (...chain: readonly Identity[]) => {
  const [signer] = chain;
  if (signer === undefined) throw new Error('a chain has a leaf');
  return signedBy(signer, { x5c: chain.map(({ x5c }) => x5c) });
};

const intermediate = (issuer: Identity, more = {}) =>
  certify({ name: 'intermediate', ca: true, issuer, ...current, ...more });

describe('x5c: a chain to the bundle', () => {
  test.each<[string, string, () => Promise<string>]>([
    ['a leaf of the CA', ACCEPTED, async () => chained(await leaf(ca))],
    ['a leaf and its CA', ACCEPTED, async () => chained(await leaf(ca), ca)],
    ['a self-signed certificate of the bundle', ACCEPTED, () => chained(own['P-256'])],
    ['the CA itself', ACCEPTED, () => chained(ca)],
    [
      'an intermediate between',
      ACCEPTED,
      async () => {
        const between = await intermediate(ca);
        return chained(await leaf(between), between);
      },
    ],
    [
      'two intermediates, out of order, with strangers among them',
      ACCEPTED,
      async () => {
        const upper = await intermediate(ca, { name: 'upper' });
        const lower = await intermediate(upper, { name: 'lower' });
        return chained(await leaf(lower), stranger, upper, expired, lower);
      },
    ],
    [
      'an intermediate that is missing',
      INVALID,
      async () => chained(await leaf(await intermediate(ca))),
    ],
    ['a foreign CA', INVALID, async () => chained(await leaf(stranger))],
    ['a foreign CA that comes along', INVALID, async () => chained(await leaf(stranger), stranger)],
    [
      'a foreign CA, and a good CA beside it',
      INVALID,
      async () => chained(await leaf(stranger), ca, stranger),
    ],
    ['a stranger who signed for himself', INVALID, () => chained(stranger)],
    [
      'a foreign intermediate by the name of a good one',
      INVALID,
      async () => {
        const forged = await intermediate(stranger);
        return chained(await leaf(forged), forged, await intermediate(ca));
      },
    ],
    [
      'a leaf as a CA',
      INVALID,
      async () => {
        const first = await leaf(ca, { name: 'first' });
        return chained(await leaf(first), first);
      },
    ],
    [
      'a certificate of the bundle that is no CA as a CA',
      INVALID,
      async () => chained(await leaf(own['P-256']), own['P-256']),
    ],
    [
      'an expired leaf',
      INVALID,
      async () => chained(await leaf(ca, { notBefore: days(-9), notAfter: days(-2) })),
    ],
    [
      'a leaf that is not valid yet',
      INVALID,
      async () => chained(await leaf(ca, { notBefore: days(1), notAfter: days(2) })),
    ],
    [
      'an expired intermediate',
      INVALID,
      async () => {
        const between = await intermediate(ca, { notBefore: days(-9), notAfter: days(-2) });
        return chained(await leaf(between), between);
      },
    ],
    ['an expired certificate of the bundle', INVALID, () => chained(expired)],
    ['a leaf of an expired CA', INVALID, async () => chained(await leaf(expired))],
    ['a CA without other CAs below', ACCEPTED, async () => chained(await leaf(narrow))],
    [
      'a CA without other CAs below, and one below',
      INVALID,
      async () => {
        const between = await intermediate(narrow);
        return chained(await leaf(between), between);
      },
    ],
    [
      'an intermediate without other CAs below, and one below',
      INVALID,
      async () => {
        const upper = await intermediate(ca, { name: 'upper', pathLength: 0 });
        const lower = await intermediate(upper, { name: 'lower' });
        return chained(await leaf(lower), lower, upper);
      },
    ],
    [
      'a leaf that names another issuer',
      INVALID,
      async () => chained(await leaf(ca, { issuerName: 'CN=nobody' })),
    ],
    ['a CA of the first version of X.509', ACCEPTED, async () => chained(await leaf(old))],
    [
      'an intermediate of the first version',
      INVALID,
      async () => {
        const between = inVersion1(own['P-256']);
        return chained(await leaf(between), between);
      },
    ],
    ['a leaf signed over SHA-1', INVALID, async () => chained(await leaf(ca, { hash: 'SHA-1' }))],
    [
      'a critical extension that nobody knows',
      INVALID,
      async () => chained(await leaf(ca, { extensions: [criticalExtension('1.2.3.4', '0500')] })),
    ],
    ['the leaf last', INVALID, async () => signedBy(ca, { x5c: [(await leaf(ca)).x5c, ca.x5c] })],
    ['a leaf that is itself a CA', ACCEPTED, async () => chained(await leaf(ca, { ca: true }))],
    [
      'eleven certificates',
      INVALID,
      async () => chained(await leaf(ca), ...Array.from({ length: 10 }, () => ca)),
    ],
  ])('%s: %s', async (_, expected, token) => {
    expect(await token()).toBe(expected);
  });

  test('that was good is not so for ever', async () => {
    const soon = await leaf(ca, { notAfter: new Date(NOW.getTime() + 30_000) });
    const token = await signToken(
      soon.privateKey,
      { alg: 'ES256', x5c: [soon.x5c] },
      claims({ exp: at(3600) }),
    );

    expect(await verdict(token)).toBe(ACCEPTED);
    clock = new Date(NOW.getTime() + 60_000);
    expect(await verdict(token)).toBe(INVALID);
  });

  test('of a key that is not the leaf’s', async () => {
    expect(await signedBy(stranger, { x5c: [(await leaf(ca)).x5c] })).toBe(INVALID);
  });

  test('an RSA leaf of an EC CA, an EC leaf of an RSA CA', async () => {
    const rsa = await leaf(ca, { key: 'RSA' });
    const key = unbound(rsa.privateKey);

    expect(await verdict(await signToken(key, { alg: 'RS512', x5c: [rsa.x5c] }, claims()))).toBe(
      ACCEPTED,
    );
  });

  test('the alternative names and purposes of a leaf do not matter', async () => {
    const purposes = criticalExtension('2.5.29.37', '300a06082b06010505070301');

    expect(await chained(await leaf(ca, { extensions: [purposes] }))).toBe(ACCEPTED);
  });

  test.each<[string, () => unknown]>([
    ['no list', () => own['P-256'].x5c],
    ['a number', () => [1]],
    ['null', () => [null]],
    ['an empty text', () => ['']],
    ['no base64', () => ['***']],
    ['base64url', () => [own['P-256'].certificate.raw.toString('base64url')]],
    ['blanks', () => [`    ${own['P-256'].x5c}`]],
    ['no certificate', () => [Buffer.from('no').toString('base64')]],
    ['half a certificate', () => [own['P-256'].x5c.slice(0, 200)]],
    ['a certificate and a byte more', () => [withByte(own['P-256'])]],
    ['PEM', () => [Buffer.from(own['P-256'].pem).toString('base64')]],
    ['a good leaf before one that cannot be read', () => [own['P-256'].x5c, 'AAAA']],
  ])('that is unreadable: %s', async (_, x5c) => {
    expect(await signedBy(own['P-256'], { x5c: x5c() })).toBe(INVALID);
  });

  test('in lines is good, without its padding it is not', async () => {
    const signer = await withPadding();
    const lines = signer.x5c.replaceAll(/.{64}/g, '$&\r\n');

    expect(await signedBy(signer, { x5c: [signer.x5c] })).toBe(ACCEPTED);
    expect(await signedBy(signer, { x5c: [lines] })).toBe(ACCEPTED);
    expect(await signedBy(signer, { x5c: [signer.x5c.replace(/=+$/, '')] })).toBe(INVALID);
  });

  test.each([[], null])('%j counts as none', async (x5c) => {
    const kid = fingerprint(own['P-256'].publicKey);

    expect(await signedBy(own['P-256'], { x5c })).toBe(INVALID);
    expect(await signedBy(own['P-256'], { x5c, kid })).toBe(ACCEPTED);
  });

  test('comes before jwk and kid', async () => {
    const good = {
      jwk: await exportJWK(own['P-256'].publicKey),
      kid: fingerprint(own['P-256'].publicKey),
    };

    expect(await signedBy(own['P-256'], { ...good, x5c: [stranger.x5c] })).toBe(INVALID);
  });
});

/** The length of a certificate is not the same every time. */
async function withPadding(): Promise<Identity> {
  for (;;) {
    const signer = await leaf(ca);
    if (signer.x5c.endsWith('=')) return signer;
  }
}

function withByte({ certificate }: Identity): string {
  return Buffer.concat([certificate.raw, Buffer.of(0)]).toString('base64');
}

async function withJwk(
  signer: Identity,
  more: object | ((jwk: JWK) => unknown) = {},
): Promise<string> {
  const jwk = await exportJWK(signer.publicKey);
  return signedBy(signer, { jwk: typeof more === 'function' ? more(jwk) : { ...jwk, ...more } });
}

describe('jwk', () => {
  test('is a key of the bundle, or unknown', async () => {
    expect(await withJwk(own['P-256'])).toBe(ACCEPTED);
    expect(await withJwk(ca)).toBe(ACCEPTED);
    expect(await withJwk(stranger)).toBe(INVALID);
    expect(await withJwk(await leaf(ca))).toBe(INVALID);
  });

  test('of RSA', async () => {
    const key = unbound(own.RSA.privateKey);
    const jwk = await exportJWK(own.RSA.publicKey);

    expect(await verdict(await signToken(key, { alg: 'RS256', jwk }, claims()))).toBe(ACCEPTED);
  });

  test('of the bundle is good though its certificate has expired', async () => {
    expect(await withJwk(expired)).toBe(ACCEPTED);
  });

  test('with x5c: the chain counts, and its leaf has the same key', async () => {
    const signer = await leaf(ca);
    const other = await leaf(ca);
    const jwk = await exportJWK(signer.publicKey);

    expect(await withJwk(signer, { x5c: [signer.x5c] })).toBe(ACCEPTED);
    expect(await withJwk(signer, { x5c: [other.x5c] })).toBe(INVALID);
    expect(await withJwk(stranger, { x5c: [stranger.x5c] })).toBe(INVALID);
    expect(await withJwk(stranger, { x5c: [signer.x5c] })).toBe(INVALID);
    expect(await signedBy(other, { jwk: { ...jwk, x5c: [other.x5c] } })).toBe(INVALID);
    expect(await withJwk(own['P-256'], { x5c: 'a text counts as none' })).toBe(ACCEPTED);
    expect(await withJwk(own['P-256'], { x5c: [] })).toBe(INVALID);
    expect(await withJwk(own['P-256'], { x5c: [1] })).toBe(INVALID);
  });

  test('with a kid: it must be right', async () => {
    const signer = own['P-256'];

    expect(await withJwk(signer, { kid: fingerprint(signer.publicKey) })).toBe(ACCEPTED);
    expect(await withJwk(signer, { kid: fingerprint(ca.publicKey) })).toBe(INVALID);
    expect(await withJwk(signer, { kid: '' })).toBe(INVALID);
    expect(await withJwk(signer, { kid: null })).toBe(INVALID);
  });

  test.each<[string, (jwk: JWK) => unknown]>([
    ['a text', () => 'x'],
    ['a list', () => []],
    ['an empty object', () => ({})],
    ['a secret', () => ({ kty: 'oct', k: 'AAAA' })],
    ['another type', (jwk) => ({ ...jwk, kty: 'OKP' })],
    ['another curve', (jwk) => ({ ...jwk, crv: 'P-384' })],
    ['no curve', (jwk) => ({ ...jwk, crv: undefined })],
    ['a number for x', (jwk) => ({ ...jwk, x: 1 })],
    ['no point', (jwk) => ({ ...jwk, y: jwk.x })],
    ['no y', (jwk) => ({ ...jwk, y: undefined })],
    ['RSA of nothing', () => ({ kty: 'RSA', n: '', e: '' })],
    ['RSA of a huge modulus', () => ({ kty: 'RSA', n: 'f'.repeat(40_000), e: 'AQAB' })],
  ])('that is unreadable: %s', async (_, change) => {
    expect(await withJwk(own['P-256'], change)).toBe(INVALID);
  });

  test('comes before kid; null counts as none', async () => {
    const kid = fingerprint(own['P-256'].publicKey);

    expect(await signedBy(own['P-256'], { kid, jwk: {} })).toBe(INVALID);
    expect(await signedBy(own['P-256'], { kid, jwk: null })).toBe(ACCEPTED);
  });
});

describe('kid', () => {
  test('is the fingerprint of a key of the bundle', async () => {
    const kid = fingerprint(own['P-256'].publicKey);

    expect(kid).toMatch(/^([A-Z2-7]{4}:){11}[A-Z2-7]{4}$/);
    expect(await signedBy(own['P-256'], { kid })).toBe(ACCEPTED);
    expect(await signedBy(stranger, { kid })).toBe(INVALID);
    expect(await signedBy(stranger, { kid: fingerprint(stranger.publicKey) })).toBe(INVALID);
    expect(await signedBy(own['P-256'], { kid: kid.toLowerCase() })).toBe(INVALID);
    expect(await signedBy(own['P-256'], { kid: kid.replaceAll(':', '') })).toBe(INVALID);
    expect(await signedBy(own['P-256'], { kid: '__proto__' })).toBe(INVALID);
  });

  test.each([{}, { kid: '' }, { kid: null }, { jku: 'https://example.com' }, { x5u: 'x' }])(
    'or nothing that says which key it was: %j',
    async (header) => {
      expect(await signedBy(own['P-256'], header)).toBe(INVALID);
    },
  );

  test.each([1, {}, ['x']])('that is no text: %j', async (kid) => {
    expect(await signedBy(own['P-256'], { kid, x5c: [own['P-256'].x5c] })).toBe(INVALID);
  });
});
