import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  createTestDatabase,
  type TestDatabase,
} from '../apps/signer-worker/src/testing/database.ts';
import { CA_FILE, FIXTURES } from '../fixtures/certificates.ts';
import { unpackDebianPackages } from '../scripts/debian.ts';
import { ROOT } from '../scripts/places.ts';
import { freePort } from '../scripts/processes.ts';
import { createNotaryUser, NOTARY, type NotaryUser } from './notary-client.ts';
import { exchange } from './tuf-http.ts';

const our = (program: string) => [process.execPath, join(ROOT, `apps/${program}/src/main.ts`)];

/** Debian's package has all three programs of Notary 0.7.0; ours, on the PATH, are called the same. */
const old = async (program: string) => {
  const besideClient = join(dirname(NOTARY), program);
  if (existsSync(besideClient)) return [besideClient];
  const unpacked = await unpackDebianPackages({ name: 'notary', packages: ['notary'] });
  return [join(unpacked, 'usr', 'bin', program)];
};

interface Program {
  readonly port: number;
  signal(name: NodeJS.Signals): void;
  log(): string;
}

let folder: string;
let database: TestDatabase;
const closers: (() => Promise<void> | void)[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'remote-signer-'));
  closers.push(() => rmSync(folder, { recursive: true, force: true }));
  database = await createTestDatabase();
  closers.push(() => database.drop());
});
afterAll(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const pair = (name: string) => ({
  tls_cert_file: join(FIXTURES, `${name}.crt`),
  tls_key_file: join(FIXTURES, `${name}.key`),
});

/** Starts a program with the configuration that an old one would have, until it listens. */
async function start(
  program: Promise<string[]> | string[],
  settings: (port: number) => object,
): Promise<Program> {
  const [command = '', ...words] = await program;
  const port = await freePort();
  const file = join(folder, `${port}.json`);
  writeFileSync(file, JSON.stringify({ logging: { level: 'info' }, ...settings(port) }));
  const child: ChildProcess = spawn(command, [...words, '-config', file], {
    env: { PATH: process.env['PATH'], NOTARY_SIGNER_E2E: 'a test passphrase' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream !== null) createInterface(stream).on('line', (line) => lines.push(line));
  }
  const ended = once(child, 'close');
  const started: Program = {
    port,
    signal: (name) => void child.kill(name),
    log: () => lines.join('\n'),
  };
  closers.push(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error(`${command} ended: ${started.log()}`);
    await sleep(50);
  }
  return started;
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

const startSigner = (program: Promise<string[]> | string[], storage: object) =>
  start(program, (port) => ({
    server: {
      grpc_addr: `127.0.0.1:${port}`,
      ...pair('notary-signer'),
      client_ca_file: CA_FILE,
    },
    storage,
  }));

const startServer = (program: Promise<string[]> | string[], signer: Program) =>
  start(program, (port) => ({
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
    storage: { backend: 'memory' },
  }));

interface Pair {
  readonly server: Program;
  readonly signer: Program;
  readonly user: NotaryUser;
}

async function startPair(
  server: Promise<string[]> | string[],
  signer: Promise<string[]> | string[],
  storage: object,
): Promise<Pair> {
  const signing = await startSigner(signer, storage);
  const serving = await startServer(server, signing);
  const user = createNotaryUser(`https://localhost:${serving.port}`, CA_FILE);
  closers.push(() => user.remove());
  writeFileSync(join(user.directory, 'file'), 'hello\n');
  return { server: serving, signer: signing, user };
}

const inPostgres = () => ({
  backend: 'postgres',
  db_url: database.url,
  default_alias: 'e2e',
});
const inMemory = () => ({ backend: 'memory' });

describe.each([
  {
    name: 'our server with our signer',
    programs: () => [our('api'), our('signer-worker')] as const,
    storage: inPostgres,
  },
  {
    name: 'an old server with our signer',
    programs: () => [old('notary-server'), our('signer-worker')] as const,
    storage: inPostgres,
  },
  {
    name: 'our server with an old signer',
    programs: () => [our('api'), old('notary-signer')] as const,
    storage: inMemory,
  },
])('$name', ({ programs, storage }) => {
  const gun = 'example.com/remote';
  let pair: Pair;
  beforeAll(async () => {
    const [server, signer] = programs();
    pair = await startPair(server, signer, storage());
  });

  test('initialises and publishes a collection', async () => {
    await pair.user.run('init', '-p', gun);
    await pair.user.run('add', '-p', gun, 'v1', 'file');

    expect(await pair.user.run('list', gun)).toContain('v1 ');
  });

  test('rotates the keys of both roles that the server signs', async () => {
    await pair.user.run('key', 'rotate', gun, 'snapshot', '-r');
    await pair.user.run('key', 'rotate', gun, 'timestamp', '-r');
    await pair.user.run('add', '-p', gun, 'v2', 'file');

    expect(await pair.user.run('list', gun)).toContain('v2 ');
  });
});

describe('our server, whose signer hangs', () => {
  const gun = 'example.com/hanging';
  let pair: Pair;
  beforeAll(async () => {
    pair = await startPair(our('api'), our('signer-worker'), inPostgres());
    await pair.user.run('init', '-p', gun);
  });

  test('says so, refuses a publish in time, and goes on when the signer does', async () => {
    const url = `https://localhost:${pair.server.port}/_notary_server/health`;
    pair.signer.signal('SIGSTOP');

    const ill = await exchange('GET', url);
    expect(ill.status).toBe(503);
    expect(JSON.parse(ill.body.toString())).toEqual({
      'Trust operational': 'the signer is not serving',
    });
    const begin = performance.now();
    const refused = await pair.user.attempt('add', '-p', gun, 'v1', 'file');
    expect(refused).toMatchObject({ code: 1 });
    expect(performance.now() - begin).toBeLessThan(25_000);
    expect(await pair.user.run('status', gun)).toContain('v1');

    pair.signer.signal('SIGCONT');
    await pair.user.run('publish', gun);
    expect(await pair.user.run('list', gun)).toContain('v1 ');
    expect(await exchange('GET', url)).toMatchObject({ status: 200 });
  });
});
