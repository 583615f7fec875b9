// What an operator sees of the running programs: traces, lines of log, health and metrics.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../scripts/processes.ts';
import { startCluster, type Cluster, type Program } from './cluster.ts';
import { addTarget, createCollection } from './collection.ts';
import { startCollector, type CollectedSpan, type Collector } from './collector.ts';
import { exchange } from './tuf-http.ts';

/** Spans leave every two seconds; a busy machine may take longer. */
const PATIENCE = { timeout: 25_000, interval: 100 };

let collector: Collector;
let cluster: Cluster;
/** Where worker and projector serve what they say about themselves. */
let monitors: readonly [worker: string, projector: string];

beforeAll(async () => {
  collector = await startCollector();
  const [worker, projector] = await Promise.all([freePort(), freePort()]);
  monitors = [`http://127.0.0.1:${worker}`, `http://127.0.0.1:${projector}`];
  cluster = await startCluster({
    environment: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      NOTARY_SIGNER_METRICS_ADDR: `127.0.0.1:${worker}`,
      NOTARY_SERVER_METRICS_ADDR: `127.0.0.1:${projector}`,
    },
  });
});
afterAll(async () => {
  await cluster?.stop();
  await collector?.close();
});

type Line = Readonly<Record<string, unknown>>;

const linesOf = (program: Program): readonly Line[] =>
  cluster.processes[program]
    .flatMap((process) => process.log().split('\n'))
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);

const posts = () =>
  linesOf('api').filter(
    ({ msg, 'http.request.method': method }) => msg === 'response completed' && method === 'POST',
  );

/** Those of programs and libraries that are no business of ours: their number may change. */
const isOfStores = ({ name }: CollectedSpan) => /^(?:pg\.query|evalsha|[a-z]+$)/.test(name);

const scrape = async (url: string) => {
  const { status, body } = await exchange('GET', `${url}/metrics`);
  expect(status).toBe(200);
  return body.toString();
};

const get = async (url: string) => {
  const response = await fetch(url);
  return { status: response.status, body: await response.text() };
};

/** Of the API. */
const page = async (name: string) => {
  const { status, body } = await exchange('GET', `${cluster.urls[0]}/_notary_server/${name}`);
  return [status, JSON.parse(body.toString())];
};

describe('a POST', () => {
  let trace: readonly CollectedSpan[];
  let posted: Line;

  test('is one trace through API, queue, worker, append and projection', async () => {
    const collection = await createCollection(cluster.urls[0]);
    const answer = await addTarget(cluster.urls[0], collection, 'targets', 'secret-name');
    expect(answer.status).toBe(200);
    await expect.poll(posts, PATIENCE).toHaveLength(2);
    posted = posts()[1] ?? {};
    const traced = () => collector.spans.filter(({ traceId }) => traceId === posted['trace_id']);

    // Either the projector or, where it is late, the API itself.
    await expect
      .poll(
        () =>
          traced()
            .filter((span) => !isOfStores(span))
            .map(({ service, name }) =>
              name.startsWith('project ') ? name : `${service}: ${name}`,
            )
            .sort(),
        PATIENCE,
      )
      .toEqual([
        'notary-server: POST UpdateTUF',
        'notary-server: append UpdatePublished',
        'notary-server: ask sign',
        'notary-server: wait until projected',
        'notary-signer: do sign',
        'project UpdatePublished',
      ]);
    trace = traced();
    expect(new Set(trace.map(({ spanId }) => spanId)).size).toBe(trace.length);
  });

  test('has each span below the one that caused it', () => {
    const byId = new Map(trace.map((span) => [span.spanId, span.name]));
    const parents = trace
      .map(({ name, parentSpanId }) => [
        name.replace(/^pg\.query:(append).*$/, '$1 by SQL').replace(/^pg\.query.*$/, 'SQL'),
        byId.get(parentSpanId) ?? 'nothing',
      ])
      .filter(([name]) => name !== 'SQL');

    expect(Object.fromEntries(parents)).toEqual({
      'POST UpdateTUF': 'nothing',
      'ask sign': 'POST UpdateTUF',
      evalsha: 'ask sign',
      'do sign': 'ask sign',
      'append UpdatePublished': 'POST UpdateTUF',
      'append by SQL': 'append UpdatePublished',
      'wait until projected': 'POST UpdateTUF',
      'project UpdatePublished': 'POST UpdateTUF',
    });
  });

  test('shows its trace nothing of what was published or signed', () => {
    const said = JSON.stringify(trace);

    expect(said).not.toContain('secret-name');
    expect(said).not.toContain('keyid');
    expect(trace.find(({ name }) => name === 'evalsha')?.attributes).toMatchObject({
      'db.query.text': 'evalsha',
    });
  });

  test('has its trace id in every line of log about it', async () => {
    const ids = { trace_id: posted['trace_id'] };
    const server = trace.find(({ name }) => name === 'POST UpdateTUF');
    const worker = trace.find(({ name }) => name === 'do sign');

    expect(posted['span_id']).toBe(server?.spanId);
    expect(linesOf('signer-worker')).toContainEqual(
      expect.objectContaining({ ...ids, msg: 'answered', job: 'sign', span_id: worker?.spanId }),
    );
    await expect
      .poll(() => linesOf('projector').filter(({ msg }) => msg === 'projected').length, PATIENCE)
      .toBeGreaterThanOrEqual(1);
    const projected = linesOf('projector').filter(({ trace_id }) => trace_id === ids.trace_id);
    for (const line of projected) {
      expect(line).toMatchObject({
        type: 'UpdatePublished',
        'http.request.id': posted['http.request.id'],
        span_id: server?.spanId,
      });
    }
  });

  test('is followed where the client began the trace; probes and scrapes leave none', async () => {
    const traceId = 'feedfacefeedfacefeedfacefeedface';
    const traceparent = `00-${traceId}-00000000000000aa-01`;
    for (const path of ['/_notary_server/health', '/_notary_server/ready', '/metrics', '/v2/']) {
      await exchange('GET', cluster.urls[0] + path, undefined, { traceparent });
    }

    await expect
      .poll(() => collector.spans.filter((span) => span.traceId === traceId), PATIENCE)
      .toMatchObject([{ name: 'GET Version', parentSpanId: '00000000000000aa' }]);
  });
});

describe('metrics', () => {
  test('of the API tell of queue, signer, log and projection', async () => {
    const text = await scrape(cluster.urls[0]);

    for (const line of [
      /^scrivener_publishes_total\{outcome="published"\} 2$/m,
      /^scrivener_publishes_total\{outcome="unavailable"\} 0$/m,
      /^scrivener_sign_job_duration_seconds_count\{job="sign",outcome="signed"\} 2$/m,
      /^scrivener_sign_job_duration_seconds_count\{job="create-key",outcome="signed"\} 2$/m,
      /^scrivener_queue_jobs\{state="waiting"\} 0$/m,
      /^scrivener_queue_jobs\{state="failed"\} 0$/m,
      /^scrivener_queue_workers 1$/m,
      /^scrivener_log_position 4$/m,
      /^scrivener_projection_position 4$/m,
      /^scrivener_projection_lag_events 0$/m,
      /^scrivener_projection_lag_seconds 0$/m,
      /^scrivener_source_up\{source="database"\} 1$/m,
      /^scrivener_source_up\{source="queue"\} 1$/m,
      /^notary_server_http_requests_total\{code="0",method="post",operation="UpdateTUF"\} 2$/m,
    ]) {
      expect(text).toMatch(line);
    }
  });

  test('and health of worker and projector are on a listener of their own', async () => {
    const [worker, projector] = monitors;

    const jobs = (await get(`${worker}/metrics`)).body;
    expect(jobs).toMatch(
      /^scrivener_job_duration_seconds_count\{job="sign",outcome="signed"\} 2$/m,
    );
    expect(jobs).toMatch(/^scrivener_jobs_refused_total\{reason="forged"\} 0$/m);
    expect((await get(`${projector}/metrics`)).body).toMatch(/^scrivener_log_position 4$/m);
    for (const monitor of monitors) {
      for (const page of ['health', 'ready', 'live']) {
        expect(await get(`${monitor}/_notary_server/${page}`)).toEqual({ status: 200, body: '{}' });
      }
    }
  });
});

describe('health', () => {
  test('says what is away, live does not mind, and metrics go on', async () => {
    const [worker] = cluster.processes['signer-worker'];
    worker?.signal('SIGKILL');
    const noWorker = { 'Trust operational': 'no signer worker is connected to the queue' };

    await expect.poll(() => page('health'), PATIENCE).toEqual([503, noWorker]);
    expect(await page('ready')).toEqual([503, noWorker]);
    expect(await page('live')).toEqual([200, {}]);

    await cluster.redis.stop();
    const noQueue = { 'Trust operational': 'the queue does not answer' };
    await expect.poll(() => page('health'), PATIENCE).toEqual([503, noQueue]);
    const { status, body } = await exchange('GET', `${cluster.urls[0]}/metrics`);
    expect(status).toBe(200);
    expect(body.toString()).toMatch(/^scrivener_source_up\{source="queue"\} 0$/m);
    expect(body.toString()).not.toMatch(/^scrivener_queue_jobs\{/m);
    expect(body.toString()).toMatch(/^scrivener_log_position 4$/m);
  });
});
