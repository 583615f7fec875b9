import { setTimeout as sleep } from 'node:timers/promises';
import { text } from 'node:stream/consumers';
import { createLogger } from '@scrivener/runtime';
import { SigningError } from '@scrivener/signing';
import { sha256Of, TufError, type TufErrorCode } from '@scrivener/tuf';
import type { Signed } from '@scrivener/tuf/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { Unavailable } from '../errors.ts';
import type { PublishCommand } from '../publish.ts';
import { firstPublish, formOf, gunOf, post } from '../testing/client.ts';
import { startTestServer, type Answer, type TestServer } from '../testing/server.ts';

const PATH = '/v2/a/b/_trust/tuf/';
const EMPTY_OK = { status: 200, headers: { 'content-length': '0' }, body: '' };

const refused = (status: number, error: string): Answer => {
  const body = `{"errors":[${error}]}\n`;
  const headers = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
  };
  return { status, headers, body };
};
const MALFORMED_UPLOAD =
  '{"code":"MALFORMED_UPLOAD","message":"The body of your request is malformed."}';
const NO_FILENAME = '{"code":"NO_FILENAME","message":"No file/role name provided."}';
const MALFORMED_JSON =
  '{"code":"MALFORMED_JSON","message":"JSON sent by the client could not be parsed by the server"}';
const invalidRole = (detail: string) =>
  `{"code":"INVALID_ROLE","message":"The role you are attempting to operate on is invalid.","detail":${detail}}`;
const invalidUpdate = (detail = '') =>
  `{"code":"INVALID_UPDATE","message":"Update sent by the client is invalid."${detail}}`;

const part = (disposition: string, content = '{}', more = '') =>
  `--b\r\nContent-Disposition: ${disposition}\r\n${more}\r\n${content}\r\n`;

const detail = (name: string, error: string) => `,"detail":{"Name":"${name}","Error":${error}}`;

describe('the form', () => {
  let server: TestServer;
  let published: PublishCommand[] = [];
  beforeAll(async () => {
    server = await startTestServer({
      deps: {
        publish: async (command) => {
          published.push(command);
          return {
            role: 'timestamp',
            version: 1n,
            sha256: sha256Of(Buffer.of()),
            length: 0,
            expires: '2027-01-01T00:00:00.000Z',
            madeBy: 'server',
          };
        },
      },
    });
  });
  afterAll(() => server.close());
  beforeEach(() => {
    published = [];
  });

  const send = (body: string, contentType = 'multipart/form-data; boundary=b') =>
    server.request('POST', PATH, { headers: { 'Content-Type': contentType }, body });
  const files = () =>
    published.flatMap(({ upload }) =>
      upload.map(({ role, bytes }) => [role, Buffer.from(bytes).toString()]),
    );

  test('becomes one command, in its own order, doubles and timestamps included', async () => {
    const parts = [
      part('form-data; name="files"; filename="targets"', '{"signed":null}'),
      part('form-data; name="files"; filename="root.json"', '{ }'),
      part('form-data; name="files"; filename="timestamp"'),
      part('form-data; name="files"; filename="targets"', 'null'),
    ];

    expect(await send(`${parts.join('')}--b--\r\n`)).toEqual(EMPTY_OK);
    expect(published).toMatchObject([{ gun: 'a/b', cause: { requestId: expect.any(String) } }]);
    expect(files()).toEqual([
      ['targets', '{"signed":null}'],
      ['root', '{ }'],
      ['timestamp', '{}'],
      ['targets', 'null'],
    ]);
  });

  test('may be empty', async () => {
    expect(await send('--b--')).toEqual(EMPTY_OK);
    expect(files()).toEqual([]);
  });

  test.each([
    ['attachment; filename=root', 'root'],
    ['form-data; filename="root.json"', 'root'],
    [`form-data; filename*=UTF-8''targets%2Fa`, 'targets/a'],
    ['form-data; filename*0=ro; filename*1=ot', 'root'],
    ['form-data; filename="targets/a/b"', 'targets/a/b'],
  ])('names a role: %s', async (disposition, role) => {
    expect(await send(`${part(disposition)}--b--`)).toEqual(EMPTY_OK);
    expect(files()).toEqual([[role, '{}']]);
  });

  test('has only quoted-printable undone', async () => {
    const quoted = 'Content-Transfer-Encoding: Quoted-Printable\r\n';
    const base64 = 'Content-Transfer-Encoding: base64\r\n';
    const form =
      part('x; filename=root', '{=7D', quoted) + part('x; filename=targets', '{}', base64);

    expect(await send(`${form}--b--`)).toEqual(EMPTY_OK);
    expect(files()).toEqual([
      ['root', '{}'],
      ['targets', '{}'],
    ]);
  });

  test('may be sent in chunks', async () => {
    const chunks = `--b\r\nContent-Disposition: x; filename=root\r\n\r\n{}\r\n--b--`.match(
      /.{1,5}/gs,
    );
    const encoded = (chunks ?? []).map((chunk) => `${chunk.length}\r\n${chunk}\r\n`).join('');
    const answer = await server.raw(
      `POST ${PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n` +
        `Content-Type: multipart/form-data; boundary=b\r\n\r\n${encoded}0\r\n\r\n`,
    );

    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(files()).toEqual([['root', '{}']]);
  });

  test.each([
    ['no type', '--b--', ''],
    ['JSON', '{}', 'application/json'],
    ['another multipart', '--b--', 'multipart/related; boundary=b'],
    ['no boundary', '--b--', 'multipart/form-data'],
    ['an empty body', '', undefined],
    ['garbage', 'hello', undefined],
    ['a form without end', part('x; filename=root'), undefined],
    ['a form that is cut in a header', '--b\r\nContent-Disp', undefined],
    ['a broken header', '--b\r\nhello\r\n\r\n{}\r\n--b--', undefined],
  ])('is malformed: %s', async (_what, body, contentType) => {
    expect(await send(body, contentType)).toEqual(refused(400, MALFORMED_UPLOAD));
    expect(published).toEqual([]);
  });

  test.each([
    ['a part without a disposition', '--b\r\nContent-Type: x\r\n\r\n{}\r\n', NO_FILENAME],
    ['an empty disposition', part(''), NO_FILENAME],
    ['a plain field', part('form-data; name=files'), NO_FILENAME],
    ['an empty name', part('form-data; filename=""'), NO_FILENAME],
    ['only .json', part('form-data; filename=".json"'), NO_FILENAME],
    ['a parameter without value', part('form-data; filename'), NO_FILENAME],
    ['a parameter twice', part('form-data; filename=root; filename=root'), NO_FILENAME],
    ['two endings', part('x; filename=root.json.json'), invalidRole('"root.json"')],
    ['a directory', part('x; filename="/tmp/root"'), invalidRole('"/tmp/root"')],
    ['a bad delegation', part('x; filename="targets/A"'), invalidRole('"targets/A"')],
    ['markup', part('x; filename="<&>"'), invalidRole('"\\u003c\\u0026\\u003e"')],
    ['no JSON', part('x; filename=root', 'x'), MALFORMED_JSON],
    ['no file', part('x; filename=root', ''), MALFORMED_JSON],
    ['a list', part('x; filename=root', '[]'), MALFORMED_JSON],
    ['a fraction', part('x; filename=root', '{"signed":{"version":1.0}}'), MALFORMED_JSON],
  ])('is refused for %s', async (_what, body, error) => {
    const good = part('form-data; filename=targets');

    expect(await send(`${good}${body}${good}--b--`)).toEqual(refused(400, error));
    expect(published).toEqual([]);
  });

  test('is refused for its first problem', async () => {
    const form = part('x; filename=bad') + part('x') + part('x; filename=root', 'x');

    expect(await send(form)).toEqual(refused(400, invalidRole('"bad"')));
  });

  test('is refused with 413 beyond the limit, announced or not', async () => {
    const large = 'x'.repeat(1024 * 1024 + 1);
    expect(await send(large)).toEqual(refused(413, MALFORMED_UPLOAD));

    const headers = {
      'Content-Type': 'multipart/form-data; boundary=b',
      'Transfer-Encoding': 'chunked',
    };
    expect(await server.request('POST', PATH, { headers, body: large })).toEqual(
      refused(413, MALFORMED_UPLOAD),
    );
  });

  test('a client that goes on sending after a refusal can read the answer', async () => {
    const socket = server.connect();
    const received = text(socket);
    socket.write(
      `POST ${PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n` +
        'Content-Type: multipart/form-data; boundary=b\r\n\r\n',
    );
    for (let sent = 0; sent < 20; sent += 1) {
      socket.write(Buffer.alloc(1_000_000, 'x'));
      await sleep(5);
    }
    socket.end();

    expect(await received).toMatch(
      /^HTTP\/1\.1 413 .*\r\nConnection: close\r\n.*MALFORMED_UPLOAD/s,
    );
  });
});

describe('a use case that throws', () => {
  let server: TestServer;
  let thrown: unknown;
  beforeAll(async () => {
    server = await startTestServer({
      deps: {
        publish: async () => {
          throw thrown;
        },
      },
    });
  });
  afterAll(() => server.close());

  const empty = { headers: { 'Content-Type': 'multipart/form-data; boundary=b' }, body: '--b--' };

  test.each<[TufErrorCode, string]>([
    ['MALFORMED_JSON', MALFORMED_JSON],
    ['INVALID_ROLE', invalidRole('"\\u003csaid\\u003e"')],
    ['BAD_ROOT', invalidUpdate(detail('ErrBadRoot', '{"Msg":"\\u003csaid\\u003e"}'))],
    ['BAD_TARGETS', invalidUpdate(detail('ErrBadTargets', '{"Msg":"\\u003csaid\\u003e"}'))],
    ['BAD_SNAPSHOT', invalidUpdate(detail('ErrBadSnapshot', '{"Msg":"\\u003csaid\\u003e"}'))],
    [
      'BAD_HIERARCHY',
      invalidUpdate(detail('ErrBadHierarchy', '{"Missing":"snapshot","Msg":"\\u003csaid\\u003e"}')),
    ],
    ['VALIDATION', invalidUpdate(detail('ErrValidation', '{"Msg":"\\u003csaid\\u003e"}'))],
    ['UNTRUSTED_STATE', invalidUpdate()],
    [
      'OLD_VERSION',
      '{"code":"VERSION","message":"A newer version of metadata is already available.","detail":{}}',
    ],
  ])('%s is a 400', async (code, error) => {
    thrown = new TufError(code, '<said>');

    expect(await server.request('POST', PATH, empty)).toEqual(refused(400, error));
  });

  test.each([
    ['a deadline', new Unavailable('no answer within 1 ms')],
    ['a silent signer', new SigningError('UNAVAILABLE', 'secret')],
  ])('%s is a 503 that says when to ask again', async (_what, error) => {
    thrown = error;
    const { headers, ...answer } = refused(
      503,
      '{"code":"UNAVAILABLE","message":"The service cannot answer in time. Please try again."}',
    );

    expect(await server.request('POST', PATH, empty)).toEqual({
      ...answer,
      headers: { ...headers, 'retry-after': '5' },
    });
  });

  test.each([
    ['anything unforeseen', new Error('secret')],
    ['a value', 'secret'],
    ['a lost key', new SigningError('UNKNOWN_KEY', 'secret')],
  ])('%s is a 500 that tells nothing', async (_what, error) => {
    thrown = error;

    expect(await server.request('POST', PATH, empty)).toEqual(
      refused(500, '{"code":"UNKNOWN","message":"unknown error","detail":{}}'),
    );
  });
});

const withVersion = (version: number) => ({
  change: (signed: Signed) => Object.assign(signed, { version }),
});

describe('the whole way', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
  });
  afterAll(() => server.close());

  test('an update is readable as soon as it is answered', async () => {
    const gun = gunOf('whole/way');
    const owner = await firstPublish(server, gun);
    const next = owner.targets({ second: 'content' });

    expect(await post(server, gun, [next])).toEqual(EMPTY_OK);
    const { body } = await server.request('GET', `/v2/${gun}/_trust/tuf/targets.json`);
    expect(body).toBe(Buffer.from(next.bytes).toString());
  });

  test('the same update twice is 200, unlike with the old server, until another one follows', async () => {
    const gun = gunOf('twice');
    const owner = await firstPublish(server, gun);
    const next = [owner.targets({ second: 'content' })];

    expect(await post(server, gun, next)).toEqual(EMPTY_OK);
    expect(await post(server, gun, next)).toEqual(EMPTY_OK);
    expect(await post(server, gun, [owner.targets({ third: 'content' })])).toEqual(EMPTY_OK);
    expect(await post(server, gun, next)).toEqual(
      refused(
        400,
        '{"code":"VERSION","message":"A newer version of metadata is already available.","detail":{}}',
      ),
    );
  });

  test('what would lock clients out is refused, and named in the log by its checksum', async () => {
    const gun = gunOf('poison');
    const owner = await firstPublish(server, gun);
    const part = owner.targets({}, withVersion(2_000_000_000));
    const warned: unknown[] = [];
    const child = vi.spyOn(server.deps.logger, 'child').mockImplementation((fields) => {
      const log = createLogger('fatal').child(fields);
      vi.spyOn(log, 'warn').mockImplementation((...line: unknown[]) => warned.push(line));
      return log as never;
    });

    const refusal = await post(server, gun, [part]);
    child.mockRestore();

    const message = 'targets refused: version 2000000000 is more than 1000000 above version 1';
    expect(refusal).toEqual(
      refused(400, invalidUpdate(detail('ErrBadTargets', `{"Msg":"${message}"}`))),
    );
    const file = { role: 'targets', version: '2000000000', sha256: sha256Of(part.bytes) };
    expect(warned).toEqual([[{ refused: [file] }, `the guard refused an update: ${message}`]]);
    expect(await post(server, gun, [owner.targets({}, withVersion(2))])).toEqual(EMPTY_OK);
  });

  test('a first update without root is refused with what is missing', async () => {
    const error = '{"Msg":"no pre-existing root and no root provided in update."}';

    expect(await server.request('POST', PATH, formOf([]))).toEqual(
      refused(400, invalidUpdate(`,"detail":{"Name":"ErrValidation","Error":${error}}`)),
    );
  });
});
