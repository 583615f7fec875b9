import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CA_FILE, FIXTURES } from '../fixtures/certificates.ts';
import { ROOT } from '../scripts/places.ts';
import { freePort, startServer, stopProcess } from '../scripts/processes.ts';
import { findDebianProgram } from './debian-program.ts';
import { exchange } from './tuf-http.ts';

/** A real proxy in front of a cluster, over TLS on both sides, as docs/examples configures it. */
export interface Proxy {
  readonly url: string;
  /** One line for each request, and what it says about the servers behind it. */
  log(): string;
  stop(): Promise<void>;
}

const CERTIFICATE = join(FIXTURES, 'notary-server.crt');
const KEY = join(FIXTURES, 'notary-server.key');

/** A proxy that caches: docs/examples/nginx.conf. */
export async function startCachingProxy(backends: readonly string[]): Promise<Proxy> {
  return startNginx('nginx.conf', [
    ['/var/cache/nginx/notary', ({ directory }) => `${directory}/cache`],
    ['server notary-1.internal:4443;', () => backends.map((name) => `server ${name};`).join('\n')],
    ['server notary-2.internal:4443;', () => ''],
    ['/etc/nginx/internal-ca.crt', () => CA_FILE],
  ]);
}

/** A server of the files that a replay wrote: docs/examples/nginx-static.conf. */
export async function startStaticServer(root: string): Promise<Proxy> {
  return startNginx('nginx-static.conf', [['/srv/tuf', () => root]]);
}

async function startNginx(
  example: string,
  replacements: readonly (readonly [string, (place: { directory: string }) => string])[],
): Promise<Proxy> {
  const { command, env } = await findDebianProgram({
    name: 'nginx',
    folder: 'sbin',
    packages: ['nginx'],
  });
  const directory = mkdtempSync(join(tmpdir(), 'nginx-'));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (use) => `${use}_temp_path ${directory}/${use};`,
  );
  const config = fill(example, [
    ['http {', `http {\naccess_log ${directory}/access.log;\n${temporary.join('\n')}`],
    ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`],
    ['/etc/nginx/notary.crt', CERTIFICATE],
    ['/etc/nginx/notary.key', KEY],
    ...replacements.map(([from, to]): [string, string] => [from, to({ directory })]),
  ]);
  const process = [
    'daemon off;',
    `pid ${directory}/pid;`,
    // Else the workers could not write into our folder.
    globalThis.process.getuid?.() === 0 ? 'user root;' : '',
  ];
  writeFileSync(join(directory, 'nginx.conf'), config);
  mkdirSync(join(directory, 'cache'));
  return startProxy({
    name: 'nginx',
    command,
    args: ['-p', directory, '-c', join(directory, 'nginx.conf'), '-g', process.join(' ')],
    env,
    directory,
    port,
    stopSignal: 'SIGTERM',
  });
}

/** A proxy that sends every request to another server, and none to one that is dead: docs/examples/haproxy.cfg. */
export async function startLoadBalancer(backends: readonly string[]): Promise<Proxy> {
  const { command, env } = await findDebianProgram({
    name: 'haproxy',
    folder: 'sbin',
    packages: ['haproxy', 'libopentracing1'],
  });
  const directory = mkdtempSync(join(tmpdir(), 'haproxy-'));
  const port = await freePort();
  const pem = join(directory, 'notary.pem');
  writeFileSync(pem, readFileSync(CERTIFICATE, 'utf8') + readFileSync(KEY, 'utf8'), {
    mode: 0o600,
  });
  const config = fill('haproxy.cfg', [
    ['bind :443', `bind 127.0.0.1:${port}`],
    ['maxconn 4000', 'maxconn 200'], // open files may be few
    ['/etc/haproxy/notary.pem', pem],
    ['/etc/haproxy/internal-ca.crt', CA_FILE],
    ...backends.map((name, index): [string, string] => [`notary-${index + 1}.internal:4443`, name]),
  ]);
  writeFileSync(join(directory, 'haproxy.cfg'), config);
  return startProxy({
    name: 'haproxy',
    command,
    args: ['-db', '-f', join(directory, 'haproxy.cfg')],
    env,
    directory,
    port,
    stopSignal: 'SIGUSR1',
  });
}

/** An example's text with other names in it. Throws where the example does not have them. */
function fill(example: string, replacements: readonly (readonly [string, string])[]): string {
  return replacements.reduce(
    (text, [from, to]) => {
      if (!text.includes(from)) throw new Error(`${example} says nothing of "${from}"`);
      return text.replaceAll(from, to);
    },
    readFileSync(join(ROOT, 'docs/examples', example), 'utf8'),
  );
}

async function startProxy(program: {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly directory: string;
  readonly port: number;
  readonly stopSignal: NodeJS.Signals;
}): Promise<Proxy> {
  const { directory, port, env, stopSignal } = program;
  const url = `https://localhost:${port}`;
  const log = join(directory, 'log');
  const { pid } = await startServer({
    ...program,
    log,
    options: { env },
    isReady: () => answersThrough(url),
  });
  return {
    url,
    log: () => readFileSync(log, 'utf8'),
    stop: async () => {
      await stopProcess(pid, stopSignal, 2_000);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Whether a server behind the proxy answers. */
export async function answersThrough(url: string): Promise<boolean> {
  try {
    const { status } = await exchange('GET', `${url}/_notary_server/health`);
    return status === 200;
  } catch {
    return false;
  }
}
