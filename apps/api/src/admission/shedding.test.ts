import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { createAdmission, FREE_BYTES, type AdmissionLimits } from './admission.ts';

const generous = { uploads: 10, uploadsBytes: 1_000, changes: 10, waiting: 10, waitMs: 1_000 };
const UNAVAILABLE =
  '{"errors":[{"code":"UNAVAILABLE","message":"The service cannot answer in time. Please try again."}]}\n';

let server: TestServer;
afterEach(() => server.close());

/** Where the clock says that an hour goes by between any two looks at it. */
const start = async (limits: Partial<AdmissionLimits>, hasty = false) => {
  let time = 0;
  const now = hasty ? () => (time += 3_600_000) : () => performance.now();
  const admission = createAdmission({ ...generous, ...limits }, now);
  server = await startTestServer({ deps: { admission } });
  return admission;
};
const head = (length: number, more = '') =>
  `POST /v2/a/_trust/tuf/ HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n${more}` +
  'Content-Type: multipart/form-data; boundary=b\r\n\r\n';
const isShed = (answer: string) => {
  expect(answer).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
  expect(answer).toMatch(/^Retry-After: 5\r$/m);
  expect(answer).toMatch(/^Connection: close\r$/m);
  expect(answer.slice(answer.indexOf('\r\n\r\n') + 4)).toBe(UNAVAILABLE);
};

test('an upload for which there is no room is answered before its body comes, and not asked for it', async () => {
  const admission = await start({ uploads: 1 });
  const first = server.connect();
  first.write(head(100));
  await expect.poll(() => admission.figures().uploads).toBe(1);
  const second = server.connect();
  second.write(head(5, 'Expect: 100-continue\r\n'));
  const [answer] = await once(second, 'data');

  isShed(String(answer));
  expect(await server.request('GET', '/v2/')).toMatchObject({ status: 200 });
  first.destroy();
  second.destroy();
});

test('an upload without a length is answered as soon as there is no room for more of it', async () => {
  const admission = await start({});
  admission.receive(undefined).received(FREE_BYTES + 1_000);
  const socket = server.connect();
  const chunk = 'x'.repeat(FREE_BYTES + 1);
  socket.write(
    'POST /v2/a/_trust/tuf/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n' +
      `Content-Type: multipart/form-data; boundary=b\r\n\r\n${chunk.length.toString(16)}\r\n${chunk}\r\n`,
  );
  const [answer] = await once(socket, 'data');

  isShed(String(answer));
  expect(admission.figures()).toMatchObject({ uploads: 1 });
  socket.destroy();
});

test('a slow upload is told that it has to make room', async () => {
  const admission = await start({ uploads: 1 }, true);
  const slow = server.connect();
  const answer = text(slow);
  slow.write(`${head(100)}--b`);
  await expect.poll(() => admission.figures().uploads).toBe(1);
  const next = await server.request('POST', '/v2/a/_trust/tuf/', {
    headers: { 'Content-Type': 'multipart/form-data; boundary=b' },
    body: '--b--',
  });
  slow.end();

  isShed(await answer);
  expect(next.status).toBe(400); // it was read
  expect(admission.figures()).toMatchObject({ uploads: 0, shed: { slow: 1 } });
});

test.each([
  ['more than an upload may take', 10_000, 413],
  ['more than there is room for now', 1_000, 503],
])('JSON that would take %s once it is parsed is not parsed', async (_what, objects, status) => {
  const admission = await start({ uploadsBytes: 100_000 });
  admission.receive(undefined).received(FREE_BYTES + 1);
  const json = `[${'{},'.repeat(objects)}`; // not even JSON, as a parser would say
  const body = `--b\r\nContent-Disposition: form-data; filename="targets"\r\n\r\n${json}\r\n--b--`;

  expect(
    await server.request('POST', '/v2/a/_trust/tuf/', {
      headers: { 'Content-Type': 'multipart/form-data; boundary=b' },
      body,
    }),
  ).toMatchObject({ status });
});

test('every upload gives its place back, however it ends', async () => {
  const admission = await start({ uploads: 1 });
  const upload = { headers: { 'Content-Type': 'multipart/form-data; boundary=b' } };
  for (const body of ['--b--', 'nonsense', '', '--b\r\nA: b\r\n\r\n{}\r\n--b--']) {
    expect(await server.request('POST', '/v2/a/_trust/tuf/', { ...upload, body })).toMatchObject({
      status: 400,
    });
  }
  const broken = server.connect();
  broken.write(head(100));
  await expect.poll(() => admission.figures().uploads).toBe(1);
  broken.destroy();

  await expect.poll(() => admission.figures().uploads).toBe(0);
});
