import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { ensureCertificates } from '../../../fixtures/certificates.ts';
import { startProgram, type ServerProgram } from './testing/program.ts';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'notary-server-'));
  await ensureCertificates(new Date(), folder);
});
afterAll(() => rmSync(folder, { recursive: true }));

const running: ServerProgram[] = [];
afterEach(async () => {
  for (const program of running.splice(0)) {
    program.signal('SIGKILL');
    await program.ended;
  }
});

const start = (words: string[], environment: Record<string, string> = {}): ServerProgram => {
  const program = startProgram(words, { cwd: folder, environment });
  running.push(program);
  return program;
};

/** Runs it until it ends by itself. */
const run = async (words: string[], environment: Record<string, string> = {}) => {
  const program = start(words, environment);
  const code = await program.ended;
  const lines = program.output.stderr.trimEnd().split('\n');
  return { code, lines, last: lines.at(-1) ?? '', ...program.output };
};

const write = (name: string, text: string | object): string => {
  writeFileSync(join(folder, name), typeof text === 'string' ? text : JSON.stringify(text));
  return name;
};

const said = (program: ServerProgram, text: string) =>
  vi.waitFor(() => expect(program.output.stderr).toContain(text), 20_000);

/** Two signals of a kind that come at once may arrive as one. */
const signalUntil = (program: ServerProgram, name: NodeJS.Signals, line: string) =>
  vi.waitFor(
    () => {
      if (!program.output.stdout.includes(line)) program.signal(name);
      expect(program.output.stdout).toContain(line);
    },
    { timeout: 20_000, interval: 200 },
  );

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const health = (port: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const ca = readFileSync(join(folder, 'root-ca.crt'));
    get({ host: '127.0.0.1', port, path: '/_notary_server/health', ca }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });

/** As the manual of the old server shows it. */
const MANUAL = {
  server: {
    http_addr: ':4443',
    tls_key_file: './notary-server.key',
    tls_cert_file: './notary-server.crt',
  },
  trust_service: {
    type: 'remote',
    hostname: 'notarysigner',
    port: '7899',
    key_algorithm: 'ecdsa',
    tls_ca_file: './root-ca.crt',
    tls_client_cert: './notary-server.crt',
    tls_client_key: './notary-server.key',
  },
  logging: { level: 'info' },
  storage: {
    backend: 'mysql',
    db_url: 'server@tcp(mysqlserver:3306)/notaryserver?parseTime=True',
  },
};
const MANUAL_VARIABLES = {
  NOTARY_SERVER_TRUST_SERVICE_TYPE: 'local',
  NOTARY_SERVER_STORAGE_BACKEND: 'memory',
  NOTARY_SERVER_LOGGING_LEVEL: 'debug',
};

describe('the example of the old manual', () => {
  test('serves TLS from memory, says what the manual says, and stops when it is asked to', async () => {
    const port = await freePort();
    const file = write('manual.json', MANUAL);
    const program = start([`-config=${file}`, '-logf=json'], {
      ...MANUAL_VARIABLES,
      // The one thing that cannot be as it is there: another test may be on that port.
      NOTARY_SERVER_SERVER_HTTP_ADDR: `127.0.0.1:${port}`,
    });
    await said(program, 'Starting on');

    const [first, ...lines] = program.output.stderr.trimEnd().split('\n');
    expect(JSON.parse(first ?? '')).toMatchObject({
      level: 'info',
      msg: expect.stringMatching(/^Version: \S+, Git commit: \S+, Go version: /),
    });
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
      [
        'Using local signing service, which requires ED25519. Ignoring all other trust_service parameters, including keyAlgorithm',
        'Using memory backend',
        'Starting Server',
        'Enabling TLS',
        `Starting on 127.0.0.1:${port}`,
      ].map((msg) => ({
        level: 'info',
        msg,
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      })),
    );
    expect(await health(port)).toBe(200);

    program.signal('SIGTERM');
    expect(await program.ended).toBe(0);
    expect(program.output.stdout).toBe('');
  });

  test('would listen where its file says', async () => {
    const file = write('manual.json', MANUAL);

    const { code, stdout } = await run(['-config', file, '-check-config'], MANUAL_VARIABLES);

    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      server: { http_addr: ':4443' },
      trust_service: { type: 'local', hostname: 'notarysigner' },
      storage: { backend: 'memory' },
      logging: { level: 'debug' },
    });
  });
});

describe('signals', () => {
  test('SIGUSR1 has the log say more, SIGUSR2 less, and a line says where that ends', async () => {
    const port = await freePort();
    const file = write('levels.json', {
      server: { http_addr: `127.0.0.1:${port}` },
      trust_service: { type: 'local' },
      storage: { backend: 'memory' },
      logging: { level: 'info' },
    });
    const program = start(['-config', file]);
    await said(program, 'Starting on');

    await signalUntil(program, 'SIGUSR1', 'the log level is debug, and there is none beyond it\n');
    await signalUntil(program, 'SIGUSR2', 'the log level is fatal, and there is none beyond it\n');

    program.signal('SIGTERM');
    expect(await program.ended).toBe(0);
    expect(program.output.stderr).not.toContain('Debugger');
    expect(program.output.stderr).not.toContain('draining');
  });
});

describe('the command line', () => {
  test('-version prints the version', async () => {
    const { code, stdout, stderr } = await run(['-version', '-config', 'none.json']);

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^notary-server Version: \S+, Git commit: \S+, Go version: .*\n$/);
  });

  test('-help explains flags and settings', async () => {
    const { code, stdout, stderr } = await run(['-help']);

    expect({ code, stdout }).toEqual({ code: 0, stdout: 'usage: notary-server\n' });
    expect(stderr).toContain('-config FILE');
    expect(stderr).toContain('storage.db_url (NOTARY_SERVER_STORAGE_DB_URL)');
    expect(stderr).toContain('default 2592000');
  });

  test.each([
    [['-foo'], 'flag provided but not defined: -foo'],
    [['-logf=xml'], 'invalid value "xml" for flag -logf'],
  ])('%j is explained, with exit 2', async (words, message) => {
    const { code, stdout, stderr } = await run(words);

    expect({ code, stdout }).toEqual({ code: 2, stdout: 'usage: notary-server\n' });
    expect(stderr).toContain(message);
    expect(stderr).toContain('-config FILE');
  });
});

const SMALLEST = {
  server: { http_addr: '127.0.0.1:0' },
  trust_service: { type: 'local' },
  storage: { backend: 'memory' },
};

describe('a start that is refused', () => {
  test.each<[string, object, string]>([
    ['level', { logging: { level: 'loud' } }, 'not a valid logrus Level: "loud"'],
    [
      'queue',
      { trust_service: { type: 'queue' } },
      'trust_service.job_key_file is required: without it whoever can write to the Redis could have things signed',
    ],
    [
      'backend',
      { storage: { backend: 'mysql' } },
      'mysql is not a supported storage backend, use "postgres", or "memory" to try things out',
    ],
    ['address', { server: {} }, 'http listen address required for server'],
    [
      'bundle',
      {
        auth: {
          type: 'token',
          options: { realm: 'r', issuer: 'i', service: 's', rootcertbundle: 'x.crt' },
        },
      },
      'unable to open token auth root certificate bundle file "x.crt": open x.crt: no such file or directory',
    ],
  ])('because of its %s ends with a fatal line and exit 1', async (name, settings, msg) => {
    const file = write(`${name}.json`, { ...SMALLEST, ...settings });

    const { code, last, stdout } = await run(['-config', file]);

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(last).toMatch(
      /^\{"level":"fatal","msg":".*","time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"\}$/,
    );
    expect(JSON.parse(last)).toMatchObject({ msg });
  });

  test.each([
    [[], 'could not read config at :, viper error: Unsupported Config Type ""'],
    [
      ['-config', 'x.foo'],
      'could not read config at :x.foo, viper error: Unsupported Config Type "foo"',
    ],
    [
      ['-config=none.json'],
      'could not read config at :none.json, viper error: open : no such file or directory',
    ],
  ])('without a file that can be read: %j', async (words, msg) => {
    const { code, last } = await run(words);

    expect(code).toBe(1);
    expect(JSON.parse(last)).toMatchObject({ level: 'fatal', msg });
  });

  test('because of a file that does not parse says so on stdout, too', async () => {
    const { code, last, stdout } = await run(['-config', write('broken.json', '{"server":')]);

    expect(code).toBe(1);
    expect(stdout).toMatch(/^ERROR: \d{4}\/\d\d\/\d\d Error parsing config: .+\n$/);
    expect(JSON.parse(last)).toMatchObject({
      level: 'fatal',
      msg: expect.stringContaining('Error parsing config: '),
    });
  });

  test('says so in the form that was asked for, also before the file is read', async () => {
    const { lines } = await run(['-logf', 'logfmt']);

    expect(lines[0]).toMatch(/^time="[^"]+" level=info msg="Version: /);
    expect(lines[1]).toMatch(
      /^time="[^"]+" level=fatal msg="could not read config at :, viper error: Unsupported Config Type \\"\\""$/,
    );
  });

  test('because of -bootstrap, which no storage here knows', async () => {
    const { code, last } = await run(['-config', write('small.json', SMALLEST), '-bootstrap']);

    expect(code).toBe(1);
    expect(JSON.parse(last)).toMatchObject({ msg: 'store does not support bootstrapping' });
  });

  test('because its address is taken', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const file = write('taken.json', { ...SMALLEST, server: { http_addr: `127.0.0.1:${port}` } });

    const { code, last } = await run(['-config', file]);
    other.close();

    expect(code).toBe(1);
    expect(JSON.parse(last)).toMatchObject({
      level: 'fatal',
      msg: `listen tcp 127.0.0.1:${port}: bind: address already in use`,
    });
  });

  test.each([
    ['a flag', ['-debug'], {}],
    ['the file', [], { debug: true }],
  ])(
    'because the port of the debug listener is taken, which %s asks for',
    async (_, words, settings) => {
      const other = createServer();
      // Somebody else may have it, which is as good.
      other.on('error', () => {});
      await new Promise<void>((resolve) => {
        other.once('error', () => resolve()).listen(8080, '127.0.0.1', resolve);
      });
      const file = write('debug.json', { ...SMALLEST, ...settings });

      const { code, last } = await run(['-config', file, ...words]);
      other.close();

      expect(code).toBe(1);
      expect(JSON.parse(last)).toMatchObject({
        level: 'fatal',
        msg: 'debug listener: listen tcp 127.0.0.1:8080: bind: address already in use',
      });
    },
  );
});

describe('-check-config', () => {
  test('prints what is in effect, and no secret', async () => {
    mkdirSync(join(folder, 'etc'), { recursive: true });
    const text = [
      'trust_service: {type: local, password: hunter2}',
      'storage: {backend: memory, db_url: "postgres://server:hunter2@db/notary"}',
      'reporting: {bugsnag: {api_key: hunter2}}',
      'logs: {level: debug}',
    ].join('\n');
    const file = write('etc/server.yaml', text);

    const { code, stdout, stderr } = await run(['-config', file, '-check-config'], {
      NOTARY_SERVER_SERVER_HTTP_ADDR: ':1',
    });

    expect(code).toBe(0);
    expect(stdout).not.toContain('hunter2');
    expect(stderr).toBe(
      'reporting.bugsnag is not there any more: errors are in the log only\nlogs.level is ignored\n',
    );
    expect(JSON.parse(stdout)).toMatchObject({
      server: { http_addr: ':1' },
      trust_service: { type: 'local', password: '***' },
      storage: { backend: 'memory', db_url: 'postgres://server:***@db/notary' },
      caching: { max_age: { current_metadata: 300 } },
      limits: { answer_seconds: 10 },
    });
  });

  test('refuses as a start would', async () => {
    const file = write('refused.json', { ...SMALLEST, trust_service: {} });

    const { code, last, stdout } = await run(['-check-config', '-config', file]);

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(JSON.parse(last)).toMatchObject({
      level: 'fatal',
      msg: expect.stringContaining('must specify either a "local" or "remote" type'),
    });
  });
});
