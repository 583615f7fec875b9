import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { CA_FILE, FIXTURES } from '../fixtures/certificates.ts';
import { ensureDatabase } from '../scripts/database.ts';
import { findNotaryClient } from '../scripts/notary-client.ts';
import { freePort, startServer, stopProcess, type ServerProcess } from '../scripts/processes.ts';
import { listens } from './listens.ts';
import type { BenchPostgres } from './stack.ts';
import type { Subject } from './subject.ts';

/** The old server in its production shape: its signer over mutual TLS, both on Postgres. */
export interface OldStack {
  readonly subject: Subject;
  stop(): Promise<void>;
}

/** Of Debian's package, which has all programs of Notary 0.7.0. On the Postgres that ours uses. */
export async function startOldStack(postgres: BenchPostgres): Promise<OldStack> {
  const programs = dirname(await findNotaryClient());
  const folder = mkdtempSync(join(tmpdir(), 'old-notary-'));
  const databaseUrl = await createTables(postgres.url);
  const storage = { backend: 'postgres', db_url: databaseUrl };
  const start = async (name: string, settings: (port: number) => object) => {
    const port = await freePort();
    const config = join(folder, `${name}.json`);
    writeFileSync(config, JSON.stringify({ logging: { level: 'error' }, ...settings(port) }));
    const process = await startServer({
      name,
      command: join(programs, name),
      args: ['-config', config],
      log: join(folder, `${name}.log`),
      options: { env: { NOTARY_SIGNER_BENCH: 'a test passphrase' } },
      isReady: () => listens(port),
    });
    return { ...process, port };
  };
  const started: ServerProcess[] = [];
  const stop = async () => {
    await Promise.all(started.map(({ pid }) => stopProcess(pid, 'SIGTERM', 2_000)));
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
        name: 'old server',
        url: `https://localhost:${server.port}`,
        caFile: CA_FILE,
        watched: [
          { name: 'old server', pid: server.pid },
          { name: 'old signer', pid: signer.pid },
          postgres,
        ],
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
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
