import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { freePort } from '../../../scripts/processes.ts';
import { startProgram } from './testing/program.ts';

test('a server that was asked to stop is not ready, and serves on until balancers have turned away', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'draining-'));
  const port = await freePort();
  const config = join(folder, 'config.json');
  writeFileSync(
    config,
    JSON.stringify({
      server: { http_addr: `127.0.0.1:${port}` },
      trust_service: { type: 'local' },
      storage: { backend: 'memory' },
      limits: { drain_seconds: 5 },
    }),
  );
  const server = startProgram(['-config', config]);
  // Without connections that are kept: each question comes as a new one.
  const status = async (path: string): Promise<number> => {
    const headers = { Connection: 'close' };
    return fetch(`http://127.0.0.1:${port}${path}`, { headers }).then(
      (response) => response.status,
      () => 0,
    );
  };
  try {
    const up = async () => {
      while ((await status('/_notary_server/ready')) !== 200) await sleep(50);
    };
    const early = server.ended.then(() => Promise.reject(new Error(server.output.stderr)));
    await Promise.race([up(), early]);

    server.signal('SIGTERM');
    while ((await status('/_notary_server/ready')) === 200) await sleep(20);

    expect(await status('/_notary_server/ready')).toBe(503);
    expect(await status('/_notary_server/live')).toBe(200);
    expect(await status('/_notary_server/health')).toBe(200);
    expect(await status('/v2/')).toBe(200);
    expect(await server.ended).toBe(0);
  } finally {
    server.signal('SIGKILL');
    rmSync(folder, { recursive: true });
  }
});
