import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { CA_FILE, FIXTURES } from '../fixtures/certificates.ts';
import { ensureDatabase } from '../scripts/database.ts';
import { findNotaryClient } from '../scripts/notary-client.ts';
import { freePort, startServer, stopProcess } from '../scripts/processes.ts';
import { SetUpError } from '../scripts/set-up-error.ts';
import { listens } from './listens.ts';
import { OLD_SERVER } from './series.ts';
import type { BenchPostgres } from './stack.ts';
import type { Subject } from './subject.ts';
import type { Watched } from './usage.ts';

/** The old server in its production shape: its signer over mutual TLS, both on Postgres. */
export interface OldStack {
  readonly subject: Subject;
  /** How often one of its programs ended by itself and was started again. */
  restarts(): number;
  stop(): Promise<void>;
}

/** Before a program that ended is started again, in milliseconds. */
const REST = 200;

/**
 * Of Debian's package, which has all programs of Notary 0.7.0. On the Postgres that ours uses. Under many
 * clients its server ends by itself: it is started again, as in production, and that is counted.
 */
export async function startOldStack(postgres: BenchPostgres): Promise<OldStack> {
  const programs = dirname(await findNotaryClient());
  const folder = mkdtempSync(join(tmpdir(), 'old-notary-'));
  const databaseUrl = await createTables(postgres.url);
  const storage = { backend: 'postgres', db_url: databaseUrl };
  let restarts = 0;
  let stopping = false;
  const start = async (name: string, settings: (port: number) => object): Promise<Started> => {
    const port = await freePort();
    const config = join(folder, `${name}.json`);
    writeFileSync(config, JSON.stringify({ logging: { level: 'error' }, ...settings(port) }));
    const run = () =>
      startServer({
        name,
        command: join(programs, name),
        args: ['-config', config],
        log: join(folder, `${name}.log`),
        options: { env: { NOTARY_SIGNER_BENCH: 'a test passphrase' } },
        isReady: () => listens(port),
      });
    let running = await run();
    const keepUp = async () => {
      for (;;) {
        await running.ended;
        await sleep(REST);
        if (stopping) return;
        try {
          running = await run();
          restarts += 1;
        } catch (error) {
          if (!(error instanceof SetUpError)) throw error; // else it is tried again
        }
        if (stopping) await stopProcess(running.pid, 'SIGTERM', 2_000);
      }
    };
    const ended = keepUp();
    return {
      port,
      program: {
        name: name.replace('notary-', 'old '),
        get pid() {
          return running.pid;
        },
      },
      stop: async () => {
        await stopProcess(running.pid, 'SIGTERM', 2_000);
        await ended;
      },
    };
  };
  const started: Started[] = [];
  const stop = async () => {
    stopping = true;
    await Promise.all(started.map((program) => program.stop()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const signer = await start('notary-signer', (port) => ({
      server: { grpc_addr: `127.0.0.1:${port}`, ...pair('notary-signer'), client_ca_file: CA_FILE },
      storage: { ...storage, default_alias: 'bench' },
    }));
    started.push(signer);
    const server = await start('notary-server', (port) => ({
      server: { http_addr: `127.0.0.1:${port}`, ...pair('notary-server') },
      trust_service: {
        type: 'remote',
        hostname: 'localhost',
        port: String(signer.port),
        tls_ca_file: CA_FILE,
        tls_client_cert: join(FIXTURES, 'notary-server.crt'),
        tls_client_key: join(FIXTURES, 'notary-server.key'),
        key_algorithm: 'ecdsa',
      },
      storage,
    }));
    started.push(server);
    return {
      subject: {
        name: OLD_SERVER,
        url: `https://localhost:${server.port}`,
        caFile: CA_FILE,
        watched: [server.program, signer.program, postgres],
      },
      restarts: () => restarts,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Started {
  readonly port: number;
  /** Its pid is that of the process that runs now. */
  readonly program: Watched;
  stop(): Promise<void>;
}

const pair = (name: string) => ({
  tls_cert_file: join(FIXTURES, `${name}.crt`),
  tls_key_file: join(FIXTURES, `${name}.key`),
});

async function createTables(superuserUrl: string): Promise<string> {
  const url = await ensureDatabase(superuserUrl, 'bench_old_notary');
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(readFileSync(join(import.meta.dirname, 'old-tables.sql'), 'utf8'));
  } finally {
    await client.end();
  }
  return url;
}
