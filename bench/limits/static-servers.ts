import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findDebianProgram } from '../../e2e/debian-program.ts';
import { FIXTURES } from '../../fixtures/certificates.ts';
import { freePort, startServer, stopProcess } from '../../scripts/processes.ts';
import { SetUpError } from '../../scripts/set-up-error.ts';
import { listens } from '../listens.ts';
import { writeAnswers, type KnownAnswer } from './answers.ts';

/** A server that does nothing but give known answers. */
export interface StaticServer {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** `node:https` with buffers in a Map, one process. */
export async function startBareNode(answers: readonly KnownAnswer[]): Promise<StaticServer> {
  const folder = mkdtempSync(join(tmpdir(), 'bare-node-'));
  const file = join(folder, 'answers');
  writeAnswers(file, answers);
  const child = fork(join(import.meta.dirname, 'static-server.ts'), [file], { stdio: 'inherit' });
  const ended = once(child, 'exit');
  const [port] = await Promise.race([once(child, 'message'), ended.then(() => [undefined])]);
  if (typeof port !== 'number') throw new Error('the bare server did not start');
  return {
    name: 'node:https',
    url: `https://localhost:${port}`,
    pid: child.pid ?? 0,
    stop: async () => {
      child.disconnect();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** nginx with files, two workers; `undefined` where there is none and none can be fetched. */
export async function startNginx(
  answers: readonly KnownAnswer[],
): Promise<StaticServer | undefined> {
  try {
    return await startStaticNginx(answers);
  } catch (error) {
    if (error instanceof SetUpError) return undefined;
    throw error;
  }
}

async function startStaticNginx(answers: readonly KnownAnswer[]): Promise<StaticServer> {
  const { command, env } = await findDebianProgram({
    name: 'nginx',
    folder: 'sbin',
    packages: ['nginx'],
  });
  const folder = mkdtempSync(join(tmpdir(), 'nginx-static-'));
  for (const { path, body } of answers) {
    const file = join(folder, 'files', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, body);
  }
  const port = await freePort();
  const config = join(folder, 'nginx.conf');
  writeFileSync(config, nginxConfig(folder, port, answers));
  const { pid } = await startServer({
    name: 'nginx',
    command,
    args: ['-p', folder, '-c', config],
    log: join(folder, 'log'),
    options: { env },
    isReady: () => listens(port),
  });
  return {
    name: 'nginx',
    url: `https://localhost:${port}`,
    pid,
    stop: async () => {
      await stopProcess(pid, 'SIGTERM', 2_000);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** nginx has Date, ETag, Last-Modified and Content-Length of its own; the rest is as it was answered. */
function nginxConfig(folder: string, port: number, answers: readonly KnownAnswer[]): string {
  const cacheControl = (isCurrent: boolean) =>
    answers
      .find(({ path }) => CURRENT.test(path) === isCurrent)
      ?.headers.find(([name]) => name === 'cache-control')?.[1] ?? 'public';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (use) => `${use}_temp_path ${folder}/${use};`,
  );
  return `
    daemon off;
    pid ${folder}/pid;
    worker_processes 2;
    ${process.getuid?.() === 0 ? 'user root;' : ''}
    error_log stderr;
    events { worker_connections 1024; }
    http {
      ${temporary.join('\n')}
      access_log off;
      sendfile on;
      open_file_cache max=20000;
      keepalive_requests 100000000;
      default_type "text/plain; charset=utf-8";
      server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate     ${join(FIXTURES, 'notary-server.crt')};
        ssl_certificate_key ${join(FIXTURES, 'notary-server.key')};
        ssl_protocols       TLSv1.2 TLSv1.3;
        root ${folder}/files;
        types {}
        location / { add_header Cache-Control "${cacheControl(false)}"; }
        location ~ "${CURRENT.source}" { add_header Cache-Control "${cacheControl(true)}"; }
      }
    }`;
}

const CURRENT = /tuf\/[a-z]+\.json$/;
