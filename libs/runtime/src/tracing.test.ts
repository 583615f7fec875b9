import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { fieldsOf, flushTraces, hasTraces, inSpan, recordSpan, tracePoint } from './tracing.ts';

const run = promisify(execFile);

describe('while traces are off', () => {
  test('there is no place in any trace, and work is done all the same', async () => {
    expect(hasTraces()).toBe(false);
    expect(await inSpan('x', {}, async () => tracePoint())).toEqual({});
    await expect(inSpan('x', {}, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    recordSpan({ name: 'x', parent: { traceId: 'a', spanId: 'b' }, startedAt: new Date() });
    await flushTraces();
  });

  test('a place that was written down makes fields of a log, as far as it is known', () => {
    expect(fieldsOf({})).toEqual({});
    expect(fieldsOf({ traceId: 't' })).toEqual({ trace_id: 't' });
    expect(fieldsOf({ traceId: 't', spanId: 's' })).toEqual({ trace_id: 't', span_id: 's' });
  });
});

/** Runs a few lines of a program that was started with the flag, under these variables. */
function program(lines: string, environment: Readonly<Record<string, string>>) {
  const tracing = JSON.stringify(join(import.meta.dirname, 'tracing.ts'));
  const source = `
    import { beginSpan, inSpan, recordSpan, tracePoint, flushTraces, hasTraces } from ${tracing};
    import { createServer, request } from 'node:http';
    ${lines}`;
  const telemetry = join(import.meta.dirname, 'telemetry.ts');
  const args = ['--import', telemetry, '--input-type=module', '--eval', source];
  return run(process.execPath, args, { env: { PATH: process.env['PATH'], ...environment } });
}

/** A request to oneself; `inSpan` in its handler. */
const REQUEST = `
  const server = createServer((req, res) => {
    void inSpan('inner', {}, async () => console.log(JSON.stringify(tracePoint()))).then(() => res.end());
  });
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    request({ port, host: '127.0.0.1', path: process.env.TARGET ?? '/x' }, (res) => {
      res.resume().on('end', async () => {
        await flushTraces();
        process.exit();
      });
    }).end();
  });`;

describe('the telemetry module', () => {
  test('starts nothing unless it is asked to', async () => {
    const { stdout, stderr } = await program('console.log(hasTraces()); ' + REQUEST, {});

    expect([stdout, stderr]).toEqual(['false\n{}\n', '']);
  });

  test('makes spans of requests, and of what is done for them', async () => {
    const { stdout } = await program(REQUEST, { OTEL_TRACES_EXPORTER: 'console' });

    const [, traceId] =
      /^\{"traceId":"([0-9a-f]{32})","spanId":"[0-9a-f]{16}"\}/.exec(stdout) ?? [];
    expect(stdout.match(new RegExp(`\\n  traceId: '${traceId}'`, 'g'))).toHaveLength(2);
    expect(stdout).toMatch(/\n {2}name: 'inner'/);
    expect(stdout).toMatch(/\n {2}name: 'GET'/);
  });

  test('begins a trace for work that nobody asked for, and only for that which says so', async () => {
    const { stdout } = await program(
      `await inSpan('of nobody', {}, async () => {});
      await beginSpan('renew', {}, () => inSpan('below', {}, async () => {}));
      await flushTraces();
      process.exit();`,
      { OTEL_TRACES_EXPORTER: 'console' },
    );

    expect(stdout.match(/\n {2}name: '.*'/g)).toEqual(["\n  name: 'below'", "\n  name: 'renew'"]);
    expect(new Set(stdout.match(/\n {2}traceId: '.*'/g)).size).toBe(1);
  });

  test('writes no span down that is not recorded, but its trace', async () => {
    const environment = { OTEL_TRACES_EXPORTER: 'console', OTEL_TRACES_SAMPLER: 'always_off' };

    expect((await program(REQUEST, environment)).stdout).toMatch(
      /^\{"traceId":"[0-9a-f]{32}"\}\n$/,
    );
  });

  test.each(['/metrics', '/_notary_server/live', '/_notary_server/health?a'])(
    'pays no attention to %s',
    async (target) => {
      const environment = { OTEL_TRACES_EXPORTER: 'console', TARGET: target };

      expect((await program(REQUEST, environment)).stdout).toBe('{}\n');
    },
  );

  test('says once that no collector is there, and goes on', async () => {
    const { stderr } = await program(
      `recordSpan({
        name: 'x',
        parent: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) },
        startedAt: new Date(),
      });
      await flushTraces();
      recordSpan({
        name: 'y',
        parent: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) },
        startedAt: new Date(),
      });
      await flushTraces();
      setTimeout(() => {}, 4_000);`,
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_TIMEOUT: '500' },
    );

    expect(stderr).toMatch(/^\{"level":"warning","msg":"traces: spans are lost: [^\n]*\}\n$/);
  });

  test('refuses to start where it is asked for what there is not', async () => {
    const started = program('', { OTEL_TRACES_EXPORTER: 'zipkin' });

    await expect(started).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^\{"level":"fatal","msg":"OTEL_TRACES_EXPORTER must be .*","time":".*"\}\n$/,
      ),
    });
  });
});
