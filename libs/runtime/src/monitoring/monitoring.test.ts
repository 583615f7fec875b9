import { setTimeout as sleep } from 'node:timers/promises';
import { Gauge } from 'prom-client';
import { describe, expect, test, vi } from 'vitest';
import { createChecks } from './checks.ts';
import { createRegisters, takeFigures } from './figures.ts';
import { serveMonitor } from './monitor.ts';
import { projectionGauges } from './projection-gauges.ts';
import { createRegistry, createRender } from './registry.ts';
import { shareAnswers } from './share-answers.ts';

const threeBehind = async () => ({ position: 12, checkpoint: 9, behindMs: 2_500 });
const never = () => new Promise<never>(() => {});

describe('shareAnswers', () => {
  test('puts one question for a crowd, and a new one once the answer is no longer fresh', async () => {
    let asked = 0;
    const ask = shareAnswers(
      async () => {
        await sleep(20);
        return (asked += 1);
      },
      { limitMs: 5_000, freshMs: 10 },
    );

    expect(await Promise.all(Array.from({ length: 1_000 }, ask))).toEqual(Array(1_000).fill(1));
    await sleep(50);
    expect(await ask()).toBe(2);
  });

  test('gives up a question that hangs, for all who wait, and asks again', async () => {
    let hangs = true;
    const ask = shareAnswers(async () => (hangs ? never() : 'here'), { limitMs: 20, freshMs: 0 });

    expect(await Promise.allSettled([ask(), ask()])).toEqual([
      expect.objectContaining({ status: 'rejected' }),
      expect.objectContaining({ status: 'rejected' }),
    ]);
    hangs = false;
    await expect.poll(() => ask().catch(() => 'not yet')).toBe('here');
  });
});

describe('createChecks', () => {
  test('names what is wrong, also where a check throws or hangs, and bounds its time', async () => {
    const started = performance.now();
    const checks = createChecks(
      {
        fine: async () => undefined,
        broken: async () => 'a wheel is off',
        throws: () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.7:5432')),
        hangs: never,
      },
      100,
    );

    expect(await checks()).toEqual({
      broken: 'a wheel is off',
      throws: 'no answer',
      hangs: 'no answer',
    });
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test('is over with a trouble as soon as that is over', async () => {
    let wrong: string | undefined = 'away';
    const checks = createChecks({ one: async () => wrong });
    expect(await checks()).toEqual({ one: 'away' });

    wrong = undefined;

    await expect.poll(checks, { timeout: 5_000 }).toEqual({});
  });
});

describe('a scrape', () => {
  test.each(['_getActiveHandles', '_getActiveRequests'])(
    'does not ask for process.%s, which ends a process now and then',
    async (name) => {
      const asked = vi.spyOn(process as unknown as Record<string, () => unknown>, name);

      const text = await createRegistry().metrics();
      const { own } = await takeFigures(createRegisters(1));

      expect(asked).not.toHaveBeenCalled();
      expect(text).toMatch(/^nodejs_active_resources_total \d+$/m);
      expect(own.map((metric) => metric.name)).toContain('nodejs_active_resources_total');
      asked.mockRestore();
    },
  );

  test('has the figures of the sources that answer, and says which do not', async () => {
    const register = createRegistry();
    const gauge = new Gauge({ name: 'depth', help: 'd', registers: [register] });
    let mood: 'answers' | 'hangs' | 'throws' = 'answers';
    const collect = async () => {
      if (mood === 'hangs') await never();
      if (mood === 'throws') throw new Error('away');
      gauge.set(7);
    };
    const source = { name: 'queue', collect, forget: () => gauge.remove() };
    const render = createRender(register, [source, projectionGauges(register, threeBehind)]);

    const whole = await render();
    for (const line of [
      'depth 7',
      'scrivener_source_up{source="queue"} 1',
      'scrivener_source_up{source="database"} 1',
      'scrivener_log_position 12',
      'scrivener_projection_position 9',
      'scrivener_projection_lag_events 3',
      'scrivener_projection_lag_seconds 2.5',
    ]) {
      expect(whole).toContain(`\n${line}\n`);
    }
    expect(whole).toMatch(/\nscrivener_build_info\{node="\d+[^"]*",version="\d[^"]*"\} 1\n/);

    for (const trouble of ['throws', 'hangs'] as const) {
      mood = trouble;
      const partial = await render();
      expect(partial).not.toMatch(/^depth /m);
      expect(partial).toContain('\nscrivener_source_up{source="queue"} 0\n');
      expect(partial).toContain('\nscrivener_projection_lag_events 3\n');
    }
    mood = 'answers';
    expect(await render()).toContain('\ndepth 7\n');
  });
});

describe('serveMonitor', () => {
  test('answers probes and scrapes, and is alive but not ready while it drains', async () => {
    let wrong: Record<string, string> = {};
    const monitor = await serveMonitor(
      { host: '127.0.0.1', port: 0 },
      { health: async () => wrong, metrics: async () => 'a 1\n' },
    );
    const get = async (path: string, method = 'GET') => {
      const response = await fetch(`http://127.0.0.1:${monitor.port}${path}`, { method });
      return [response.status, await response.text()];
    };

    expect(await get('/metrics')).toEqual([200, 'a 1\n']);
    expect(await get('/_notary_server/health')).toEqual([200, '{}']);
    expect(await get('/_notary_server/ready')).toEqual([200, '{}']);
    wrong = { 'DB operational': 'no answer' };
    expect(await get('/_notary_server/health')).toEqual([503, '{"DB operational":"no answer"}']);
    expect(await get('/_notary_server/ready?x')).toEqual([503, '{"DB operational":"no answer"}']);
    wrong = {};
    monitor.drain();
    expect(await get('/_notary_server/health')).toEqual([200, '{}']);
    expect((await get('/_notary_server/ready'))[0]).toBe(503);
    expect(await get('/_notary_server/live')).toEqual([200, '{}']);
    expect((await get('/'))[0]).toBe(404);
    expect((await get('/metrics', 'POST'))[0]).toBe(405);
    await monitor.close();
  });

  test('rejects where the address is taken', async () => {
    const nothing = { health: async () => ({}), metrics: async () => '' };
    const first = await serveMonitor({ host: '127.0.0.1', port: 0 }, nothing);

    await expect(serveMonitor({ host: '127.0.0.1', port: first.port }, nothing)).rejects.toThrow(
      /^metrics_addr: .*EADDRINUSE/,
    );
    await first.close();
  });
});
