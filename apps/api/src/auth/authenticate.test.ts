import { createLogger } from '@scrivener/runtime';
import * as fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createAuthenticate, type TokenAuthOptions } from './authenticate.ts';
import { readCertificate } from './chain.ts';
import { startTestServer, type Answer, type TestServer } from '../testing/server.ts';
import {
  certify,
  goodClaims,
  ISSUER,
  SERVICE,
  signToken,
  type Identity,
} from '../testing/tokens.ts';

const REALM = 'https://auth.example.com/token';
const HASH = 'a'.repeat(64);

let signer: Identity;
let server: TestServer;
let causes: unknown[] = [];
let lines: Record<string, unknown>[] = [];
beforeAll(async () => {
  signer = await certify({ name: 'signer' });
  server = await startTestServer({
    deps: {
      authenticate: createAuthenticate(options()),
      gunPrefixes: [],
      logger: createLogger('info', { write: (text) => lines.push(JSON.parse(text)) }),
      deleteRepository: async (_gun, cause) => void causes.push(cause),
    },
  });
});
afterAll(() => server.close());
beforeEach(() => {
  causes = [];
  lines = [];
});

function options(more: Partial<TokenAuthOptions> = {}): TokenAuthOptions {
  return {
    realm: REALM,
    issuer: ISSUER,
    service: SERVICE,
    autoredirect: false,
    rootCertBundle: [readCertificate(signer.certificate.raw)],
    now: () => new Date(),
    ...more,
  };
}

/** A good token that allows this. */
function tokenFor(access: unknown, more: Record<string, unknown> = {}): Promise<string> {
  const header = { alg: 'ES256', x5c: [signer.x5c] };
  return signToken(signer.privateKey, header, goodClaims({ access, ...more }));
}
const grant = (name: string, ...actions: string[]) => ({ type: 'repository', name, actions });
const CATALOG = { type: 'registry', name: 'catalog', actions: ['*'] };

async function ask(method: string, path: string, authorization?: string): Promise<Answer> {
  const headers = authorization === undefined ? {} : { Authorization: authorization };
  return server.request(method, path, { headers });
}

/** The whole of a refusal for a repository: status, headers and body. */
function refusal(name: string, actions: readonly string[], error = ''): Answer {
  return refusalOf('repository', name, actions, error);
}

function refusalOf(type: string, name: string, actions: readonly string[], error = ''): Answer {
  const detail = actions.map(
    (action) => `{"Type":"${type}","Class":"","Name":"${name}","Action":"${action}"}`,
  );
  const body =
    '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required",' +
    `"detail":[${detail.join(',')}]}]}\n`;
  const scope = `${type}:${name}:${actions.join(',')}`;
  return {
    status: 401,
    headers: {
      'www-authenticate':
        `Bearer realm="${REALM}",service="${SERVICE}",scope="${scope}"` +
        (error && `,error="${error}"`),
      'content-type': 'application/json; charset=utf-8',
      'content-length': String(Buffer.byteLength(body)),
    },
    body,
  };
}

describe('without a token the challenge names what is needed (WIRE §1.2)', () => {
  test.each([
    ['POST', '/v2/a/b/_trust/tuf/', ['push', 'pull']],
    ['GET', `/v2/a/b/_trust/tuf/root.${HASH}.json`, ['pull']],
    ['GET', '/v2/a/b/_trust/tuf/1.root.json', ['pull']],
    ['GET', '/v2/a/b/_trust/tuf/root.json', ['pull']],
    ['GET', '/v2/a/b/_trust/tuf/targets/x.json', ['pull']],
    ['GET', '/v2/a/b/_trust/tuf/timestamp.key', ['push', 'pull']],
    ['GET', '/v2/a/b/_trust/tuf/snapshot.key', ['push', 'pull']],
    ['POST', '/v2/a/b/_trust/tuf/timestamp.key', ['*']],
    ['DELETE', '/v2/a/b/_trust/tuf/', ['*']],
    ['GET', '/v2/a/b/_trust/changefeed?records=1', ['pull']],
  ])('%s %s', async (method, path, actions) => {
    expect(await ask(method, path)).toEqual(refusal('a/b', actions));
  });

  test.each([
    ['GET', '/v2/'],
    ['GET', '/v2/_trust/changefeed?records=1'],
    ['GET', '/'],
    ['GET', '/v2'],
    ['POST', '/nowhere'],
    ['PUT', '/v2/a/_trust/tuf/root.json'],
    ['DELETE', '/metrics'],
    ['GET', '/v2/a/_trust/tuf/Root.json'],
  ])('%s %s: the catalog', async (method, path) => {
    expect(await ask(method, path)).toEqual(refusalOf('registry', 'catalog', ['*']));
  });

  test('a HEAD has the challenge and no body', async () => {
    const { status, headers, body } = await ask('HEAD', '/nowhere');

    expect({ status, headers, body }).toEqual({
      ...refusalOf('registry', 'catalog', ['*']),
      body: '',
    });
  });
});

test.each([
  ['GET', '/v2//', 301],
  ['POST', '/v2/a//_trust/tuf/', 301],
  ['PATCH', '/v2/a/_trust/tuf/', 405],
  ['OPTIONS', '/nowhere', 405],
  ['GET', '/_notary_server/health', 200],
  ['GET', '/metrics', 200],
])('%s %s needs no token: %i', async (method, path, status) => {
  const answer = await ask(method, path);

  expect(answer.status).toBe(status);
  expect(answer.headers).not.toHaveProperty('www-authenticate');
});

test('GUN prefixes come first', async () => {
  const narrow = await startTestServer({
    deps: { authenticate: createAuthenticate(options()), gunPrefixes: ['a/'] },
  });

  const answers = await Promise.all(
    [
      ['GET', '/v2/b/_trust/tuf/root.json'],
      ['POST', '/v2/b/_trust/tuf/'],
      ['GET', '/v2/a/b/_trust/tuf/root.json'],
    ].map(([method = '', path = '']) => narrow.request(method, path)),
  );

  expect(answers.map(({ status }) => status)).toEqual([404, 400, 401]);
  await narrow.close();
});

test('an upload that is refused gets its answer, though nobody reads the form', async () => {
  const body = 'x'.repeat(500_000);

  expect(await server.request('POST', '/v2/a/_trust/tuf/', { body })).toEqual(
    refusal('a', ['push', 'pull']),
  );
});

describe('what is no bearer token at all gets no error=', () => {
  test.each([
    'Basic YTpi',
    'Bearer',
    'Bearer ',
    'bearer',
    'Bearer  x',
    'Bearer x y',
    'Bearer\tx',
    'Token x',
    'x',
    ',',
  ])('%j', async (authorization) => {
    expect(await ask('GET', '/v2/a/_trust/tuf/root.json', authorization)).toEqual(
      refusal('a', ['pull']),
    );
  });
});

test.each(['Bearer', 'bearer', 'BEARER', 'bEaReR'])('%s is the first word', async (word) => {
  const authorization = `${word} ${await tokenFor([grant('a', 'pull')])}`;

  expect(await ask('GET', '/v2/a/_trust/changefeed?records=1', authorization)).toMatchObject({
    status: 200,
  });
});

test('of several Authorization headers the first counts', async () => {
  const good = `Bearer ${await tokenFor([CATALOG])}`;

  expect(await askTwice(good, 'Basic x')).toMatch(/^HTTP\/1.1 200 /);
  expect(await askTwice('Basic x', good)).toMatch(/^HTTP\/1.1 401 /);
});

function askTwice(first: string, second: string): Promise<string> {
  return server.raw(
    `GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: ${first}\r\n` +
      `Authorization: ${second}\r\nConnection: close\r\n\r\n`,
  );
}

describe('a good token', () => {
  const changes = '/v2/a/_trust/changefeed?records=1';
  const root = '/v2/a/_trust/tuf/root.json';
  const update = '/v2/a/_trust/tuf/';
  const key = '/v2/a/_trust/tuf/timestamp.key';

  test.each([
    ['GET', changes, [grant('a', 'pull')], 200],
    ['GET', root, [grant('a', 'pull')], 404],
    ['GET', root, [grant('a', '*')], 404],
    ['GET', root, [grant('b', 'pull'), grant('a', 'x'), grant('a', 'pull')], 404],
    ['GET', root, [{ ...grant('a', 'pull'), class: 'plugin', more: 1 }], 404],
    ['GET', key, [grant('a', 'push', 'pull')], 200],
    ['GET', key, [grant('a', 'push'), grant('a', 'pull')], 200],
    ['GET', key, [grant('a', '*')], 200],
    ['POST', update, [grant('a', 'pull', 'push')], 400],
    ['POST', key, [grant('a', '*')], 200],
    ['DELETE', update, [grant('a', '*')], 200],
    ['GET', '/v2/', [CATALOG], 200],
    ['GET', '/v2/_trust/changefeed?records=1', [CATALOG], 200],
    ['GET', '/nowhere', [CATALOG], 404],
  ])('allows %s %s with %j: %i', async (method, path, access, status) => {
    const answer = await ask(method, path, `Bearer ${await tokenFor(access)}`);

    expect(answer.status).toBe(status);
    expect(answer.headers).not.toHaveProperty('www-authenticate');
  });

  test.each([
    ['GET', root, undefined, ['pull']],
    ['GET', root, null, ['pull']],
    ['GET', root, [], ['pull']],
    ['GET', root, [null], ['pull']],
    ['GET', root, [null, grant('a', 'pull')], ['pull']],
    ['GET', root, [grant('a', 'push')], ['pull']],
    ['GET', root, [{ type: 'repository', name: 'a' }], ['pull']],
    ['GET', root, [grant('A', 'pull')], ['pull']],
    ['GET', root, [grant('a/b', 'pull')], ['pull']],
    ['GET', root, [{ ...grant('a', 'pull'), type: 'registry' }], ['pull']],
    ['GET', root, [{ Type: 'repository', Name: 'a', Actions: ['pull'] }], ['pull']],
    ['GET', root, [CATALOG], ['pull']],
    ['GET', key, [grant('a', 'pull')], ['push', 'pull']],
    ['GET', key, [grant('a', 'push')], ['push', 'pull']],
    ['POST', update, [grant('a', 'pull')], ['push', 'pull']],
    ['POST', key, [grant('a', 'push', 'pull')], ['*']],
    ['DELETE', update, [grant('a', 'push', 'pull', 'delete')], ['*']],
  ])('does not allow %s %s with %j', async (method, path, access, wanted) => {
    expect(await ask(method, path, `Bearer ${await tokenFor(access)}`)).toEqual(
      refusal('a', wanted, 'insufficient_scope'),
    );
  });

  test('for a repository does not open the catalog', async () => {
    const token = await tokenFor([grant('catalog', '*')]);

    expect(await ask('GET', '/v2/', `Bearer ${token}`)).toEqual(
      refusalOf('registry', 'catalog', ['*'], 'insufficient_scope'),
    );
  });
});

describe('a challenge is quoted as Go quotes', () => {
  test.each([
    ['é/日本', String.raw`repository:é/日本:pull`],
    ['a "b"\\c', String.raw`repository:a \"b\"\\c:pull`],
    ['a\nb\tc\x07\x1b\x7f', String.raw`repository:a\nb\tc\a\x1b\x7f:pull`],
    ['\u00a0\u200b\u{e0001}', String.raw`repository:\u00a0\u200b\U000e0001:pull`],
    ['😀 <&>', String.raw`repository:😀 <&>:pull`],
  ])('%j', async (gun, scope) => {
    const { headers, status } = await ask(
      'GET',
      `/v2/${encodeURIComponent(gun)}/_trust/changefeed`,
    );

    const challenge = Buffer.from(headers['www-authenticate'] ?? '', 'latin1').toString();
    expect(status).toBe(401);
    expect(challenge).toBe(`Bearer realm="${REALM}",service="${SERVICE}",scope="${scope}"`);
  });

  test('realm and service, too', async () => {
    const odd = await startTestServer({
      deps: { authenticate: createAuthenticate(options({ realm: 'a"b', service: 'c\\d' })) },
    });

    expect((await odd.request('GET', '/v2/')).headers['www-authenticate']).toBe(
      String.raw`Bearer realm="a\"b",service="c\\d",scope="registry:catalog:*"`,
    );
    await odd.close();
  });

  test('with autoredirect the realm is on the host that was asked', async () => {
    const redirecting = await startTestServer({
      deps: { authenticate: createAuthenticate(options({ autoredirect: true })) },
    });
    const realm = async (host: string) => {
      const { headers } = await redirecting.request('GET', '/v2/', { headers: { Host: host } });
      return /realm="(.*)",service/.exec(headers['www-authenticate'] ?? '')?.[1];
    };

    expect(await realm('notary.example.com')).toBe('https://notary.example.com/auth/token');
    expect(await realm('localhost:4443')).toBe('https://localhost:4443/auth/token');
    expect(await realm('a"b')).toBe(String.raw`https://a\"b/auth/token`);
    await redirecting.close();
  });
});

async function remove(sub: unknown): Promise<void> {
  const token = await tokenFor([grant('a', '*')], { sub });
  await ask('DELETE', '/v2/a/_trust/tuf/', `Bearer ${token}`);
}

/** The last line of a request. */
function completed(): Promise<Record<string, unknown> | undefined> {
  return vi.waitFor(() => {
    const line = lines.find(({ msg }) => msg === 'response completed');
    expect(line).toBeDefined();
    return line;
  });
}

describe('who asked', () => {
  test('is the cause of what happens, and in the log', async () => {
    await remove('alice "é"');

    expect(causes).toEqual([{ requestId: expect.any(String), subject: 'alice "é"' }]);
    expect(await completed()).toMatchObject({ 'auth.user.name': 'alice "é"' });
  });

  test.each([undefined, null, ''])('is nobody where the token says %j', async (sub) => {
    await remove(sub);

    expect(causes).toEqual([{ requestId: expect.any(String) }]);
    expect(await completed()).not.toHaveProperty('auth.user.name');
  });

  test('and what was wrong with the token is told to the log alone', async () => {
    const token = await tokenFor([], { iss: 'mallory' });
    const { body } = await ask('GET', '/v2/', `Bearer ${token}`);
    await completed();

    expect(lines[0]).toMatchObject({
      level: 'info',
      msg: expect.stringMatching(/^unauthorized: authentication required: /),
      reason: 'the token is from somebody else',
    });
    expect(body).not.toContain('somebody');
  });
});

test('whatever stands in Authorization, the answer is a challenge', async () => {
  const part = fc.oneof(
    fc.base64String(),
    fc.string({ unit: fc.constantFrom('a', 'Z', '0', '-', '_', '=', '.') }),
    fc.json().map((text) => Buffer.from(text).toString('base64url')),
    fc
      .record(
        {
          alg: fc.constantFrom<unknown>('none', 'HS256', 'ES256', 'RS256', 1, null),
          kid: fc.anything(),
          jwk: fc.anything(),
          x5c: fc.anything(),
          crit: fc.anything(),
        },
        { requiredKeys: [] },
      )
      .map((header) => Buffer.from(JSON.stringify(header, withoutBigInts)).toString('base64url')),
  );
  const token = fc.array(part, { maxLength: 5 }).map((parts) => parts.join('.'));
  const authorization = fc.oneof(
    fc.string({ unit: 'binary' }).map(printable),
    token.map((text) => `Bearer ${printable(text)}`),
  );

  await fc.assert(
    fc.asyncProperty(authorization, async (value) => {
      const answer = await ask('GET', '/v2/', value);

      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="/);
    }),
    { numRuns: 500 },
  );
});

/** What Node sends in a header. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e\x80-\xff]/g, '');
}

function withoutBigInts(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
