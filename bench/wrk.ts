import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findDebianProgram } from '../e2e/debian-program.ts';
import type { Sample } from './series.ts';

/** Drives reads: keep-alive connections over TLS, one request at a time on each. */
export interface Wrk {
  /** Asks for these paths in this order, again and again. */
  run(url: string, paths: readonly string[], load: WrkLoad): Promise<Sample>;
  close(): void;
}

interface WrkLoad {
  readonly connections: number;
  readonly seconds: number;
}

/** Every thread has its own list, and begins at another place of it. */
const SCRIPT = `
local counter = 0
function setup(thread)
  thread:set('number', counter)
  counter = counter + 1
end

local requests, turn = {}, 0
function init(args)
  for path in io.lines(args[1]) do requests[#requests + 1] = wrk.format('GET', path) end
  turn = number * 997
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\\nRESULT {"requests":%d,"us":%d,"p50":%d,"p99":%d,"status":%d,"broken":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
`;

const THREADS = 2;

interface WrkResult {
  readonly requests: number;
  readonly us: number;
  readonly p50: number;
  readonly p99: number;
  /** Answers that were no 200. */
  readonly status: number;
  readonly broken: number;
}

/** The installed one, else Debian's. Throws `SetUpError`. */
export async function findWrk(): Promise<Wrk> {
  const { command, env } = await findDebianProgram({
    name: 'wrk',
    folder: 'bin',
    packages: ['wrk'],
  });
  const folder = mkdtempSync(join(tmpdir(), 'wrk-'));
  const [script, list] = [join(folder, 'paths.lua'), join(folder, 'paths')];
  writeFileSync(script, SCRIPT);
  return {
    run: async (url, paths, { connections, seconds }) => {
      writeFileSync(list, `${paths.join('\n')}\n`);
      const threads = Math.min(THREADS, connections);
      const options = [
        `-t${threads}`,
        `-c${connections}`,
        `-d${Math.ceil(seconds)}s`,
        '-s',
        script,
      ];
      const { stdout } = await promisify(execFile)(command, [...options, url, '--', list], { env });
      return sampleOf(stdout);
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function sampleOf(output: string): Sample {
  const [, json] = /^RESULT (.*)$/m.exec(output) ?? [];
  if (json === undefined) throw new Error(`wrk said: ${output}`);
  const { requests, us, p50, p99, status, broken } = JSON.parse(json) as WrkResult;
  const failed = status + broken;
  return {
    operations: requests,
    seconds: us / 1e6,
    failed,
    ...(failed > 0 && { problem: `${status} answers were not 200, ${broken} did not come` }),
    p50: p50 / 1_000,
    p99: p99 / 1_000,
  };
}
