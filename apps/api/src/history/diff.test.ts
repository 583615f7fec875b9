import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { firstPublish, gunOf, post } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { diffDocument } from './diff.ts';

const PATH = '/_notary_server/v1/guns/a/b/diff';
const GUN = gunOf('a/b');

let server: TestServer;
let keyid = '';
// positions: 1 and 2 keys, 3 first publish, 4 targets, 5 other keys, 6 a delegation, 7 deletion
beforeAll(async () => {
  server = await startTestServer();
  const owner = await firstPublish(server, GUN);
  const publish = async (...parts: Parameters<typeof post>[2]) => {
    const { status, body } = await post(server, GUN, parts);
    expect([status, body]).toEqual([200, '']);
  };
  await publish(owner.targets({ first: 'other content', second: 'content' }));
  owner.rotate('targets');
  await publish(owner.root(), owner.targets({ third: 'content' }));
  const collaborator = owner.newKey();
  keyid = collaborator.keyid;
  owner.delegate('targets/releases', { keys: [collaborator] });
  await publish(owner.targets(), owner.delegation('targets/releases', { fourth: 'content' }));
  await server.request('DELETE', '/v2/a/b/_trust/tuf/');
});
afterAll(() => server.close());

const diff = async (query: string) => {
  const { status, body } = await server.request('GET', `${PATH}?${query}`);
  expect([status, body]).toEqual([200, expect.any(String)]);
  return diffDocument.parse(JSON.parse(body));
};
const shown = ({ targets }: Awaited<ReturnType<typeof diff>>) =>
  targets.map(({ change, role, name, by }) => `${change} ${role} ${name} by ${by}`);

describe('the difference', () => {
  test.each([
    ['from=3&to=3', []],
    ['from=0&to=3', ['added targets first by 3']],
    ['from=3&to=4', ['moved targets first by 4', 'added targets second by 4']],
    ['from=4&to=5', ['added targets third by 5']],
    ['from=5&to=6', ['added targets/releases fourth by 6']],
    [
      'from=3&to=6',
      [
        'moved targets first by 6',
        'added targets second by 6',
        'added targets third by 6',
        'added targets/releases fourth by 6',
      ],
    ],
    [
      'from=6',
      [
        'removed targets first by 7',
        'removed targets second by 7',
        'removed targets third by 7',
        'removed targets/releases fourth by 7',
      ],
    ],
  ])('%s has these targets', async (query, expected) => {
    expect(shown(await diff(query))).toEqual(expected);
  });

  test('has versions, keys and what happened in between', async () => {
    const found = await diff('from=4&to=5');

    expect([found.from, found.to]).toEqual([
      { position: 4, version: 4 },
      { position: 5, version: 5 },
    ]);
    expect(found.roles.map(({ role, from, to }) => `${role} ${from} to ${to}`)).toEqual([
      'root 1 to 2',
      'snapshot 2 to 3',
      'targets 2 to 3',
      'timestamp 2 to 3',
    ]);
    expect(found.signers).toMatchObject([
      { role: 'targets', named_by: 'root', added: [expect.any(String)], by: 5 },
    ]);
    expect(found.signers[0]?.removed).toHaveLength(1);
    expect(found.events).toMatchObject([
      { position: 5, type: 'UpdatePublished', cause: { request_id: expect.any(String) } },
    ]);
    expect(found.events_total).toBe(1);
  });

  test('has the keys of a new delegation', async () => {
    expect((await diff('from=5&to=6')).signers).toEqual([
      { role: 'targets/releases', named_by: 'targets', added: [keyid], removed: [], by: 6 },
    ]);
  });

  test('shows where a tag moved from and to', async () => {
    const [moved] = (await diff('from=3&to=4')).targets;

    expect([moved?.from?.length, moved?.to?.length]).toEqual(['7', '13']);
    expect(moved?.to?.hashes['sha256']).toMatch(/^[0-9a-f]{64}$/);
  });

  test('comes page by page', async () => {
    const found: string[] = [];
    let after: number | undefined = 0;
    while (after !== undefined) {
      const page: Awaited<ReturnType<typeof diff>> = await diff(
        `from=3&to=6&limit=3&after=${after}`,
      );
      found.push(...shown(page));
      after = page.next;
    }

    expect(found).toEqual(shown(await diff('from=3&to=6')));
  });

  test.each([
    ['', 'from'],
    ['from=x', 'from'],
    ['from=99', 'from'],
    ['from=1&to=99', 'to'],
    ['from=1&to=2999-01-01T00:00:00Z', 'to'],
    ['from=4&to=3', 'to'],
    ['from=1&limit=0', 'limit'],
    ['from=1&after=-1', 'after'],
  ])('%s is refused for its %s', async (query, name) => {
    const { status, body } = await server.request('GET', `${PATH}?${query}`);

    expect(status).toBe(400);
    expect(body).toContain(`"detail":"invalid ${name} parameter: must be `);
  });

  test('of a repository that never was is nothing', async () => {
    const { body } = await server.request('GET', '/_notary_server/v1/guns/nothing/diff?from=0');

    expect(JSON.parse(body)).toMatchObject({ roles: [], targets: [], events: [] });
  });
});
