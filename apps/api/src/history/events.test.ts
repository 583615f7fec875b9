import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createAuthenticate } from '../auth/authenticate.ts';
import { readCertificate } from '../auth/chain.ts';
import { firstPublish, gunOf, post } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import {
  certify,
  goodClaims,
  ISSUER,
  SERVICE,
  signToken,
  type Identity,
} from '../testing/tokens.ts';
import { createFeed } from './feed.ts';
import { eventsPage } from './events.ts';

const PATH = '/_notary_server/v1/events';

let server: TestServer;
let sockets: Socket[] = [];
// Positions 1 to 3 are of a/b, 4 to 6 of c.
beforeAll(async () => {
  server = await startTestServer();
  for (const gun of ['a/b', 'c']) await firstPublish(server, gunOf(gun));
});
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
});
afterAll(() => server.close());

const ask = async (query: string, authorization?: string, of = server) => {
  const headers = authorization === undefined ? {} : { Authorization: authorization };
  const { status, body } = await of.request('GET', `${PATH}${query}`, { headers });
  expect([status, body]).toEqual([200, expect.any(String)]);
  return eventsPage.parse(JSON.parse(body));
};
const positions = ({ events }: { events: readonly { position: number }[] }) =>
  events.map(({ position }) => position);

/** Reads what a stream says until `enough`, or until it ends. */
function follow(query: string, enough: (text: string) => boolean, headers = ''): Promise<string> {
  const socket = connect(server.port, '127.0.0.1');
  sockets.push(socket);
  socket.write(`GET ${PATH}?${query} HTTP/1.1\r\nHost: a\r\n${headers}\r\n`);
  return new Promise((resolve, reject) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (enough(text)) resolve(text);
    });
    socket.on('error', reject).on('close', () => resolve(text));
  });
}
const open = (text: string) => text.includes('\r\n\r\n');
const grant = (name: string, ...actions: string[]) => ({ type: 'repository', name, actions });
const ids = (text: string) => [...text.matchAll(/^id: (\d+)\ndata:/gm)].map(([, id]) => Number(id));

describe('a page of events', () => {
  test('has what happened, in order, with the keys that signed', async () => {
    const page = await ask('');

    expect(positions(page)).toEqual([1, 2, 3, 4, 5, 6]);
    expect([page.next, page.more]).toEqual([6, false]);
    const [, , published] = page.events;
    expect(published?.type).toBe('UpdatePublished');
    expect(published?.metafiles?.map(({ role }) => role).sort()).toEqual([
      'root',
      'snapshot',
      'targets',
      'timestamp',
    ]);
    for (const { keyids } of published?.metafiles ?? []) expect(keyids).toHaveLength(1);
    const timestampKey = page.events.find(({ key }) => key?.role === 'timestamp')?.key?.keyid;
    const timestamp = published?.metafiles?.find(({ role }) => role === 'timestamp');
    expect(timestamp?.keyids).toEqual([timestampKey]);
  });

  test('goes on where the one before ended', async () => {
    const found: number[] = [];
    for (let after = 0, more = true; more;) {
      const page = await ask(`?limit=4&after=${after}`);
      found.push(...positions(page));
      ({ next: after, more } = page);
    }

    expect(found).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test.each([
    ['?gun=c', [4, 5, 6]],
    ['?gun=a%2Fb&after=1', [2, 3]],
    ['?gun=c&limit=1&after=4', [5]],
    ['?gun=d', []],
    ['?after=6', []],
    ['?after=1000000', []],
  ])('%s has %j', async (query, expected) => {
    expect(positions(await ask(query))).toEqual(expected);
  });

  test('waits for the next event', async () => {
    const { next } = await ask('');
    const waiting = ask(`?wait=30&after=${next}`);
    await post(server, gunOf('d'), []);
    await server.request('GET', '/v2/d/_trust/tuf/timestamp.key');

    expect(positions(await waiting)).toEqual([next + 1]);
  });

  test('is empty when nothing happened in time', async () => {
    const { next } = await ask('');

    expect(await ask(`?wait=1&after=${next}`)).toEqual({ events: [], next, more: false });
  });

  test.each([
    ['after=-1', 'after'],
    ['after=x', 'after'],
    ['after=9007199254740992', 'after'],
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['wait=31', 'wait'],
    ['stream=yes', 'stream'],
    ['gun=*', 'gun'],
  ])('%s is refused for its %s', async (query, name) => {
    const { status, body } = await server.request('GET', `${PATH}?${query}`);

    expect(status).toBe(400);
    expect(body).toContain(`"detail":"invalid ${name} parameter: must be `);
  });
});

describe('a stream of events', () => {
  test('begins behind what the client knows, and goes on with what happens', async () => {
    const { next } = await ask('');
    const said = follow(
      'stream=1',
      (text) => ids(text).at(-1) === next + 1,
      'Last-Event-ID: 2\r\n',
    );
    await server.request('GET', '/v2/e/_trust/tuf/timestamp.key');

    const text = await said;
    expect(ids(text)).toEqual(Array.from({ length: next - 1 }, (_, index) => index + 3));
    expect(text).toContain('Content-Type: text/event-stream\r\n');
  });

  test('is given to a client that accepts nothing else', async () => {
    const text = await follow(
      'after=5',
      (said) => ids(said).length > 0,
      'Accept: text/event-stream\r\n',
    );

    expect(ids(text)[0]).toBe(6);
  });

  test('says how far it is where there is nothing to tell', async () => {
    const text = await follow('stream=1&gun=nothing&after=4', (said) => said.includes('id: 4\n\n'));

    expect(ids(text)).toEqual([]);
  });

  test('is refused with 503 where all places are taken, until one is free', async () => {
    for (let place = 0; place < 3; place += 1) await follow('stream=1', open);

    expect(await follow('stream=1', open)).toContain('HTTP/1.1 503');
    expect(await follow('wait=1&after=99', open)).toContain('HTTP/1.1 503');
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => follow('stream=1', open)).toContain('HTTP/1.1 200');
  });

  test('ends when the server closes', async () => {
    const other = await startTestServer();
    const socket = connect(other.port, '127.0.0.1');
    socket.write(`GET ${PATH}?stream=1 HTTP/1.1\r\nHost: a\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
    const closed = new Promise((resolve) => socket.resume().once('close', () => resolve('closed')));

    await other.close();
    expect(await closed).toBe('closed');
  });
});

describe('with tokens, events', () => {
  let signer: Identity;
  let closed: TestServer;
  beforeAll(async () => {
    signer = await certify({ name: 'signer' });
    const authenticate = createAuthenticate({
      realm: 'https://auth.example.com/token',
      issuer: ISSUER,
      service: SERVICE,
      autoredirect: false,
      rootCertBundle: [readCertificate(signer.certificate.raw)],
      now: () => new Date(),
    });
    const { past } = server.deps;
    const feed = createFeed(past.events, past.streams, 3);
    closed = await startTestServer({ deps: { authenticate, past, feed } });
  });
  afterAll(() => closed.close());

  const bearer = async (access: readonly unknown[], more = {}) => {
    const header = { alg: 'ES256', x5c: [signer.x5c] };
    const claims = goodClaims({ access, ...more });
    return `Bearer ${await signToken(signer.privateKey, header, claims)}`;
  };
  const ALL = { type: 'registry', name: 'catalog', actions: ['*'] };

  test.each([
    ['those of what may be pulled', [grant('c', 'pull')], '?limit=1', [4]],
    ['none of what may be pushed only', [grant('a/b', 'push'), grant('c', '*')], '', [4, 5, 6]],
    ['all for an administrator', [ALL], '?limit=5', [1, 2, 3, 4, 5]],
    ['one repository for who may pull it', [grant('a/b', 'pull')], '?gun=a/b', [1, 2, 3]],
    ['one repository for an administrator', [ALL], '?gun=a/b', [1, 2, 3]],
  ])('are %s', async (_what, access, query, expected) => {
    expect(positions(await ask(query, await bearer(access), closed))).toEqual(expected);
  });

  test('that are hidden are stepped over, and the next page begins behind them', async () => {
    const { events, next } = await ask('', await bearer([grant('a/b', 'pull')]), closed);

    expect(events).toHaveLength(3);
    expect(next).toBeGreaterThanOrEqual(6);
  });

  test.each([
    ['', [], 'registry:catalog:*'],
    ['', [grant('c', 'push')], 'registry:catalog:*'],
    ['?gun=a/b', [grant('c', 'pull')], 'repository:a/b:pull'],
  ])('%s are refused with %j, and the token to ask for is named', async (query, access, scope) => {
    const { status, headers, body } = await closed.request('GET', `${PATH}${query}`, {
      headers: { Authorization: await bearer(access) },
    });

    expect(status).toBe(401);
    expect(headers['www-authenticate']).toContain(`scope="${scope}",error="insufficient_scope"`);
    expect(JSON.parse(body).errors[0].code).toBe('UNAUTHORIZED');
  });

  test.each([
    [[grant('a/b', 'pull')], 200],
    [[ALL], 200],
    [[grant('a/b', 'push')], 401],
    [[grant('c', 'pull')], 401],
  ])('and the past are for who may pull: %j gets %i', async (access, status) => {
    const answered = await closed.request('GET', '/_notary_server/v1/guns/a/b/at/3/root.json', {
      headers: { Authorization: await bearer(access) },
    });

    expect(answered.status).toBe(status);
  });

  test('stop being streamed when the token ends', async () => {
    const exp = Math.floor(Date.now() / 1000) - 58;
    const authorization = await bearer([ALL], { exp });

    const { body } = await closed.request('GET', `${PATH}?stream=1&after=5`, {
      headers: { Authorization: authorization },
    });

    expect(ids(body)[0]).toBe(6);
  });
});
