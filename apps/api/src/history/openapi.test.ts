import type { EventStore } from '@scrivener/events';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAuthenticate } from '../auth/authenticate.ts';
import { readCertificate } from '../auth/chain.ts';
import { Unavailable } from '../errors.ts';
import { resolveTarget } from '../paths.ts';
import { firstPublish, gunOf, post } from '../testing/client.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { certify, ISSUER, SERVICE } from '../testing/tokens.ts';
import type { Past } from './at.ts';
import { createFeed } from './feed.ts';
import { describeApi } from './openapi.ts';
import { createStreams } from './streams.ts';

const description = describeApi();
type PathItem = Readonly<
  Record<string, { operationId: string; responses: Record<string, Answered> }>
>;
interface Answered {
  readonly content?: Readonly<Record<string, { schema: object }>>;
}
const paths = Object.entries(description.paths) as unknown as [string, PathItem][];

/** Values that stand for the parameters of a path. */
const filled = (path: string) =>
  path.replace('{gun}', 'a/b').replace('{moment}', '3').replace('{role}', 'targets/releases');

const away = async (): Promise<never> => {
  throw new Unavailable('the store is away');
};

/** Of those that refuse to be asked without. */
const QUERIES: Readonly<Record<string, string>> = {
  '/_notary_server/v1/guns/{gun}/diff': '?from=0',
};

test('is well-formed OpenAPI 3.1', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(description));

  expect(errors).toBeUndefined();
  expect(valid).toBe(true);
});

describe('every described operation is where the router has it', () => {
  const operations = paths.flatMap(([path, item]) =>
    Object.entries(item).map(([method, { operationId }]) => ({ path, method, operationId })),
  );
  test.each(operations)('$method $path', ({ path, method, operationId }) => {
    const found = resolveTarget(method.toUpperCase(), filled(path));

    const operation = found.kind === 'route' ? found.route.operation : found.kind;
    expect(operation).toBe(operationId.replace(/Head$/, ''));
  });

  test.each(paths)('and no other method leads anywhere: %s', (path, item) => {
    const others = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'].filter(
      (method) => !(method.toLowerCase() in item),
    );
    for (const method of others) {
      const found = resolveTarget(method, filled(path));
      expect(found.kind === 'route' && found.route.operation).toBe('NotFound');
    }
  });
});

describe('recorded answers are as described', () => {
  let server: TestServer;
  const schemas = new Map<string, ValidateFunction>();
  beforeAll(async () => {
    server = await startTestServer();
    const owner = await firstPublish(server, gunOf('a/b'));
    await post(server, gunOf('a/b'), [owner.targets({ second: 'content' })]);
    await server.request('DELETE', '/v2/a/b/_trust/tuf/');
    const ajv = addFormats.default(new Ajv2020({ strict: false }));
    ajv.addSchema(description, 'api');
    for (const [path, item] of paths) {
      for (const [status, { content }] of Object.entries(item['get']?.responses ?? {})) {
        if (content?.['application/json'] === undefined) continue;
        const pointer = `${path.replaceAll('~', '~0').replaceAll('/', '~1')}/get/responses/${status}/content/application~1json/schema`;
        const validate = ajv.getSchema(`api#/paths/${encodeURI(pointer)}`);
        if (validate !== undefined) schemas.set(`${path} ${status}`, validate);
      }
    }
  });
  afterAll(() => server.close());

  test.each([
    ['/_notary_server/v1/expiring', 'expiring', 200],
    ['/_notary_server/v1/expiring', 'expiring?within=x', 400],
    ['/_notary_server/v1/events', 'events', 200],
    ['/_notary_server/v1/events', 'events?limit=1', 200],
    ['/_notary_server/v1/events', 'events?after=x', 400],
    ['/_notary_server/v1/events', 'events?gun=a%00', 404],
    ['/_notary_server/v1/guns/{gun}/at/{moment}/{role}.json', 'guns/a/b/at/x/root.json', 400],
    ['/_notary_server/v1/guns/{gun}/at/{moment}/{role}.json', 'guns/a/b/at/1/root.json', 404],
    ['/_notary_server/v1/guns/{gun}/diff', 'guns/a/b/diff?from=0&to=4', 200],
    ['/_notary_server/v1/guns/{gun}/diff', 'guns/a/b/diff?from=3', 200],
    ['/_notary_server/v1/guns/{gun}/diff', 'guns/a/b/diff?from=0&to=4&limit=1', 200],
    ['/_notary_server/v1/guns/{gun}/diff', 'guns/a/b/diff', 400],
    ['/_notary_server/v1/guns/{gun}/history.svg', 'guns/c/history.svg', 404],
    ['/_notary_server/v1/openapi.json', 'openapi.json', 200],
  ])('%s: GET %s, %i', async (path, request, expected) => {
    const { status, body } = await server.request('GET', `/_notary_server/v1/${request}`);

    expect(status).toBe(expected);
    const validate = schemas.get(`${path} ${status}`);
    expect(validate?.(JSON.parse(body))).toBe(true);
    expect(validate?.errors ?? null).toBeNull();
  });

  /** Every described operation with what a request of it looks like, but for this description itself. */
  const requests = paths
    .filter(([path]) => !path.endsWith('/openapi.json'))
    .map(([path, item]) => [path, `${filled(path)}${QUERIES[path] ?? ''}`, item] as const);

  test.each(requests)('%s: without a token, 401', async (path, request, item) => {
    const { certificate } = await certify({ name: 'signer' });
    const authenticate = createAuthenticate({
      realm: 'https://tokens.example/',
      issuer: ISSUER,
      service: SERVICE,
      autoredirect: false,
      rootCertBundle: [readCertificate(certificate.raw)],
      now: () => new Date(),
    });
    const closed = await startTestServer({ deps: { authenticate } });

    const { status, body, headers } = await closed.request('GET', request);

    await closed.close();
    expect([status, item['get']?.responses['401']]).toEqual([401, expect.anything()]);
    expect(headers['www-authenticate']).toContain('Bearer realm="https://tokens.example/"');
    expect(schemas.get(`${path} 401`)?.(JSON.parse(body))).toBe(true);
  });

  test.each(requests)('%s: while a store is away, 503', async (path, request) => {
    const events: Past['events'] & Pick<EventStore, 'readStream'> = {
      readBytes: away,
      lastPosition: away,
      readAfter: away,
      subscribe: away,
      readStream: away,
    };
    const streams = createStreams(events);
    const past = { ...server.deps.past, events, streams };
    const deps = { past, feed: createFeed(events, streams, 3), expiries: { soonest: away } };
    const poor = await startTestServer({ deps });

    const { status, body, headers } = await poor.request('GET', request);

    await poor.close();
    expect([status, headers['retry-after']]).toEqual([503, expect.stringMatching(/^\d+$/)]);
    expect(schemas.get(`${path} 503`)?.(JSON.parse(body))).toBe(true);
  });

  test('events of a stream are events of a page', async () => {
    const socket = server.connect();
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.write('GET /_notary_server/v1/events?stream=1 HTTP/1.1\r\nHost: a\r\n\r\n');
    await vi.waitFor(() => expect(text).toContain('RepositoryDeleted'), { timeout: 10_000 });
    socket.destroy();

    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).toContain('Content-Type: text/event-stream\r\n');
    const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, data = '']) => JSON.parse(data));
    const page = { events, next: events.length, more: false };
    expect(events).toHaveLength(5);
    const validate = schemas.get('/_notary_server/v1/events 200');
    expect([validate?.(page), validate?.errors ?? null]).toEqual([true, null]);
  });

  test('and what is served is this description', async () => {
    const { body, headers } = await server.request('GET', '/_notary_server/v1/openapi.json');

    expect(JSON.parse(body)).toEqual(JSON.parse(JSON.stringify(description)));
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
  });
});
