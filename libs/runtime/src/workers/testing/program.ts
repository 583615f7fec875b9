// A program of several processes, for tests: `program.ts WORKERS`. It says its port on stdout, and does
// what the paths of its requests say. Its times are as short as they can be on a busy machine.

import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Counter, Gauge } from 'prom-client';
import { createLogger } from '../../logger.ts';
import { createRegisters } from '../../monitoring/figures.ts';
import { renderGroup } from '../../monitoring/render-group.ts';
import { SpreadSummary } from '../../monitoring/spread-summary.ts';
import { drainOnSignal } from '../../shutdown.ts';
import { joinGroup } from '../group.ts';
import { runPrimary } from '../primary.ts';

const TIMES = {
  firstDelay: 20,
  longestDelay: 100,
  proven: 60_000,
  watch: 300,
  figures: 2_000,
  drain: 1_500,
};

const logger = createLogger('info');
const group = joinGroup((level) => {
  logger.level = level;
});
if (group === undefined) {
  await runPrimary(Number(process.argv[2]), logger, TIMES);
} else {
  if (process.env[`REFUSES_${group.worker}`] !== undefined) {
    logger.fatal('will not');
    process.exit(7);
  }
  const registers = createRegisters(group.worker);
  const register = registers.counts;
  const counter = new Counter({ name: 'asked_total', help: 'h', registers: [register] });
  const gauge = new Gauge({ name: 'in_hand', help: 'h', registers: [register] });
  gauge.set(1);
  const options = { name: 'size', help: 'h', label: 'what', values: ['a'], register };
  const summary = new SpreadSummary(options);
  const metrics = renderGroup(registers, [], group);

  const answers: Record<string, (res: ServerResponse) => void> = {
    '/': (res) => {
      counter.inc();
      summary.add('a', group.worker);
      res.end(JSON.stringify({ worker: group.worker, pid: process.pid, level: logger.level }));
    },
    '/metrics': (res) => void metrics().then((text) => res.end(text)),
    '/exit': () => process.exit(7),
    '/hang': () => {
      for (;;);
    },
    '/slow': (res) => setTimeout(() => res.end('slow'), 300),
  };
  const server = createServer({ keepAlive: false }, (req, res) => {
    res.setHeader('Connection', 'close');
    answers[req.url ?? '']?.(res);
  });
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`port ${(server.address() as AddressInfo).port}\n`);
    group.up();
  });
  drainOnSignal(logger, () => new Promise((resolve) => server.close(() => resolve())));
}
