import { createHash } from 'node:crypto';
import { createLogger } from '@scrivener/runtime';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createAuthenticate, createRecallPuller } from '../auth/authenticate.ts';
import { readCertificate } from '../auth/chain.ts';
import { createTokens } from '../auth/tokens.ts';
import { createMetrics } from '../monitoring/metrics.ts';
import { firstPublish, gunOf, post } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { certify, goodClaims, ISSUER, SERVICE, signToken, type Claims } from '../testing/tokens.ts';

const GUN = gunOf('docker.io/library/alpine');
const at = (file: string, gun: string = GUN) => `/v2/${gun}/_trust/tuf/${file}`;
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
/** After which the server closes the connection, so that the answer is all that comes. */
const get = (target: string, ...headers: readonly string[]) =>
  [`GET ${target} HTTP/1.1`, ...headers, 'Connection: close', '', ''].join('\r\n');

const tag = () => `"${sha256(root)}"`;
/** A line of log without what is another each time. */
const fields = (line: string) => ({
  ...(JSON.parse(line) as object),
  time: 0,
  'http.request.id': 0,
  'http.request.remoteaddr': 0,
  'http.response.duration': 0,
});

let hot: TestServer;
/** The same but for the way that is tested here. */
let express: TestServer;
let fromMemory: number;
let lines: string[];
let root: string;
beforeAll(async () => {
  const metrics = createMetrics();
  const logger = createLogger('info', { write: (line) => lines.push(line) });
  lines = [];
  hot = await startTestServer({
    deps: {
      logger,
      metrics: {
        ...metrics,
        observeKept: (...answered) => {
          fromMemory += 1;
          metrics.observeKept(...answered);
        },
      },
    },
  });
  express = await startTestServer({ deps: hot.deps, hot: false });
  await firstPublish(hot, GUN);
  for (const gun of ['b%20c', 'é']) await firstPublish(hot, gunOf(decodeURI(gun)));
  root = (await express.request('GET', at('root.json'))).body;
  const files = ['1.root.json', `root.${sha256(root)}.json`, 'timestamp.json', 'snapshot.json'];
  for (const file of files) await express.request('GET', at(file));
});
afterAll(async () => {
  await express.close();
  await hot.close();
});
beforeEach(() => {
  fromMemory = 0;
  lines = [];
});

const undated = (answer: string) => {
  expect(answer).toMatch(/^Date: .* GMT\r$/m);
  return answer.replace(/^Date: .*\r$/m, 'Date');
};

describe('an answer from memory is byte for byte that of Express', () => {
  test.each<[string, () => string]>([
    ['a current name', () => get(at('root.json'), 'Host: x')],
    ['the timestamp', () => get(at('timestamp.json'), 'Host: x')],
    ['the snapshot', () => get(at('snapshot.json'), 'Host: x')],
    ['a version', () => get(at('1.root.json'), 'Host: x')],
    ['a checksum', () => get(at(`root.${sha256(root)}.json`), 'Host: x')],
    ['a client that has it', () => get(at('root.json'), 'Host: x', `If-None-Match: ${tag()}`)],
    ['one that has something', () => get(at('root.json'), 'HOST: x', 'if-none-match: *')],
    ['a weak tag', () => get(at('root.json'), 'Host: x', `IF-NONE-MATCH: "a", W/${tag()}`)],
    ['one that has another', () => get(at('root.json'), 'Host: x', 'If-None-Match: "a"')],
    ['headers that do not matter', () => get(at('root.json'), 'Host: x', 'Range: bytes=0-1')],
    ['a token that nobody wants', () => get(at('root.json'), 'Host: x', 'Authorization: Bearer x')],
    ['an empty Host', () => get(at('root.json'), 'Host:')],
    [
      'one who waits to be told to go on',
      () => get(at('root.json'), 'Host: x', 'Expect: 100-continue'),
    ],
  ])('for %s', async (_what, request) => {
    const answer = await hot.raw(request());

    expect(fromMemory).toBe(1);
    expect(undated(answer)).toBe(undated(await express.raw(request())));
  });

  test('on a connection that stays open', async () => {
    const twice = get(at('root.json'), 'Host: x').replace('Connection: close\r\n', '');
    const requests = `${twice}${get(at('1.root.json'), 'Host: x')}`;

    const answer = await hot.raw(requests);

    expect(fromMemory).toBe(2);
    expect(undated(undated(answer))).toBe(undated(undated(await express.raw(requests))));
  });
});

describe('is left to Express', () => {
  test.each([
    ['no Host', get(at('root.json'))],
    ['two Hosts', get(at('root.json'), 'Host: x', 'Host: x')],
    [
      'two lists of tags',
      get(at('root.json'), 'Host: x', 'If-None-Match: "a"', 'If-None-Match: *'),
    ],
    ['HTTP/1.0', get(at('root.json'), 'Host: x').replace('1.1', '1.0')],
    ['HEAD', get(at('root.json'), 'Host: x').replace('GET', 'HEAD')],
    ['PUT', get(at('root.json'), 'Host: x').replace('GET', 'PUT')],
    ['a body', `${get(at('root.json'), 'Host: x', 'Content-Length: 2')}{}`],
    [
      'a body in chunks',
      `${get(at('root.json'), 'Host: x', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
    ],
    ['a foreign encoding', get(at('root.json'), 'Host: x', 'Transfer-Encoding: gzip')],
    ['a query', get(`${at('root.json')}?x=1`, 'Host: x')],
    ['an escape', get(at('root.json').replace('alpine', '%61lpine'), 'Host: x')],
    ['a path that is not clean', get(at('root.json').replace('/library', '//library'), 'Host: x')],
    ['a whole URL', get(`http://x${at('root.json')}`, 'Host: x')],
    ['a broken escape', get(at('root.json').replace('alpine', '%zz'), 'Host: x')],
    ['a GUN with a blank', get(at('root.json', 'b%20c'), 'Host: x')],
    ['a GUN beyond ASCII', get(at('root.json', '%C3%A9'), 'Host: x')],
    ['what is not there', get(at('2.root.json'), 'Host: x')],
  ])('%s', async (_what, request) => {
    // whatever is kept under such a path: asked for twice
    await express.raw(request);
    const answer = await hot.raw(request);

    expect(fromMemory).toBe(0);
    expect(undated(answer)).toBe(undated(await express.raw(request)));
  });

  test('a target that reads like the path of another repository', async () => {
    // the GUN holds a percent sign and two digits, which are no escape there
    await firstPublish(hot, gunOf('x%41y'));
    await express.request('GET', at('root.json', 'x%2541y'));

    const answer = await hot.raw(get(at('root.json', 'x%41y'), 'Host: x'));

    expect(answer).toMatch(/^HTTP\/1.1 404 /);
  });

  test('a client that has said all it wanted to say', async () => {
    const socket = hot.connect();
    socket.end(get(at('root.json'), 'Host: x').replace('Connection: close\r\n', ''));
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);

    expect(Buffer.concat(chunks).toString()).toContain(root);
  });
});

describe('an answer from memory', () => {
  test('is never what was current before a publish', async () => {
    const gun = gunOf('moving');
    const owner = await firstPublish(hot, gun);
    for (let version = 2; version < 6; version += 1) {
      await hot.request('GET', at('targets.json', gun));
      await post(hot, gun, [owner.targets({ [`file-${version}`]: 'content' })]);

      const { body } = await hot.request('GET', at('targets.json', gun));
      expect(body).toContain(`"version":${version}`);
      const { body: timestamp } = await hot.request('GET', at('timestamp.json', gun));
      expect(timestamp).toContain(`"version":${version}`);
    }
    expect(fromMemory).toBe(3); // what the publish before had made current
  });

  test('is none for a repository that was deleted', async () => {
    const gun = gunOf('going');
    await firstPublish(hot, gun);
    await hot.request('GET', at('1.root.json', gun));
    await hot.request('DELETE', at('', gun));

    expect((await hot.request('GET', at('1.root.json', gun))).status).toBe(404);
  });

  test('is logged and counted like any other', async () => {
    const request = get(
      at('root.json'),
      'Host: x',
      'User-Agent: y',
      `If-None-Match: "${sha256(root)}"`,
    );
    const scrape = async () => (await hot.request('GET', '/metrics')).body;
    const counted = async () =>
      /http_requests_total\{code="304",method="get",operation="GetRole"\} (\d+)/.exec(
        await scrape(),
      )?.[1] ?? 0;
    const before = Number(await counted());

    await hot.raw(request);
    await express.raw(request);

    const [memory = '', other = ''] = lines.filter((line) => line.includes('root.json'));
    expect(fields(memory)).toEqual(fields(other));
    expect(Number(await counted())).toBe(before + 2);
  });
});

const ask = (server: TestServer, ...authorization: readonly string[]) =>
  server.raw(
    get(at('root.json'), 'Host: x', ...authorization.map((value) => `Authorization: ${value}`)),
  );

describe('where tokens are asked for', () => {
  let now: Date;
  let closed: TestServer;
  let closedExpress: TestServer;
  let tokenFor: (name: string, claims?: Claims) => Promise<string>;
  beforeAll(async () => {
    const { certificate, x5c, privateKey } = await certify({ name: 'signer' });
    tokenFor = async (name, claims) => {
      const access = [{ type: 'repository', name, actions: ['pull'] }];
      return signToken(privateKey, { alg: 'ES256', x5c: [x5c] }, goodClaims({ access, ...claims }));
    };
    const auth = {
      realm: 'https://tokens.example/',
      issuer: ISSUER,
      service: SERVICE,
      autoredirect: false,
      rootCertBundle: [readCertificate(certificate.raw)],
      now: () => now,
    };
    const tokens = createTokens(auth);
    const deps = { ...hot.deps, authenticate: createAuthenticate(auth, tokens) };
    closed = await startTestServer({ deps, recallPuller: createRecallPuller(tokens) });
    closedExpress = await startTestServer({ deps, hot: false });
  });
  beforeEach(() => {
    now = new Date();
  });
  afterAll(async () => {
    await closedExpress.close();
    await closed.close();
  });

  test('a token that was good before is let in, byte for byte as by Express', async () => {
    const bearer = `bearer ${await tokenFor(GUN)}`;
    const first = await ask(closed, bearer);
    expect(fromMemory).toBe(0);

    const second = await ask(closed, bearer);

    expect(fromMemory).toBe(1);
    expect(undated(second)).toBe(undated(first));
    expect(second).toContain(root);
    const [one = '', two = ''] = lines.filter((line) => line.includes('root.json'));
    expect(fields(one)).toEqual(fields(two));
    expect(fields(two)).toMatchObject({ 'auth.user.name': 'somebody' });
  });

  test.each<[string, (good: string) => Promise<readonly string[]> | readonly string[]]>([
    ['no token', () => []],
    ['a token for another repository', async () => [`Bearer ${await tokenFor('other')}`]],
    ['a token that was changed', (good) => [`Bearer ${good.slice(0, -8)}AAAAAAAA`]],
    ['a token and more', (good) => [`Bearer ${good} x`]],
    ['another scheme', (good) => [`Basic ${good}`]],
    ['nothing, and a good token behind it', (good) => ['Bearer', `Bearer ${good}`]],
  ])('%s is left to Express, which refuses it', async (_what, authorizationOf) => {
    const good = await tokenFor(GUN);
    await ask(closed, `Bearer ${good}`);
    const authorization = await authorizationOf(good);
    await ask(closed, ...authorization);

    const answer = await ask(closed, ...authorization);

    expect(fromMemory).toBe(0);
    expect(answer).toMatch(/^HTTP\/1.1 401 /);
    expect(undated(answer)).toBe(undated(await ask(closedExpress, ...authorization)));
  });

  test('a token is let in until it ends and not before it begins', async () => {
    const bearer = `Bearer ${await tokenFor(GUN)}`;
    await ask(closed, bearer);
    const real = now.getTime();

    for (const [seconds, status] of [
      [359, 200],
      [362, 401],
      [0, 200],
      [-72, 401],
    ] as const) {
      now = new Date(real + seconds * 1_000);
      expect(await ask(closed, bearer)).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    }
    expect(fromMemory).toBe(2);
  });

  test('a token is let in no longer than the certificate of its key', async () => {
    const exp = Math.floor(now.getTime() / 1_000) + 86_400;
    const bearer = `Bearer ${await tokenFor(GUN, { exp })}`;
    await ask(closed, bearer);
    const real = now.getTime();
    now = new Date(real + 3_500_000);
    expect(await ask(closed, bearer)).toMatch(/^HTTP\/1.1 200 /);

    now = new Date(real + 3_700_000);

    expect(await ask(closed, bearer)).toMatch(/^HTTP\/1.1 401 /);
    expect(fromMemory).toBe(1);
  });
});
