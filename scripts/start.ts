// `npm start`: the whole stack on https://localhost:4443, until Ctrl-C. All that it keeps is in .data/.
// SCRIVENER_PORT and SCRIVENER_DATA name another port and folder, for a second stack.

import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { createServer } from 'node:net';
import { join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createJobKey } from '@scrivener/signing';
import { CA_FILE, ensureCertificates, FIXTURES } from '../fixtures/certificates.ts';
import { startApps, stopApps, type Apps } from './apps.ts';
import {
  newDatabaseUsers,
  parseDatabaseUsers,
  urlFor,
  type DatabaseRole,
} from './database-users.ts';
import { migrateDatabases } from './migrate.ts';
import { findNotaryClient } from './notary-client.ts';
import { ROOT } from './places.ts';
import { startPostgres } from './postgres.ts';
import { hasCode } from './processes.ts';
import { findRedis, startRedis } from './redis.ts';
import { SetUpError } from './set-up-error.ts';
import { lockStack } from './stack-lock.ts';

const PORT = Number(process.env['SCRIVENER_PORT'] ?? 4443);
const DATA = resolve(ROOT, process.env['SCRIVENER_DATA'] ?? '.data');
const URL_OF_STACK = `https://localhost:${PORT}`;
const LOGS = join(DATA, 'logs');
const APPS_LOG = join(LOGS, 'apps.log');
/** A start that takes longer has failed, in milliseconds. */
const HEALTHY_WITHIN = 60_000;

/** Somebody wants it to stop while it starts. */
class Interrupted extends Error {}

/** What has to be stopped or removed at the end; the last one first. */
const undo: (() => void | Promise<void>)[] = [];
/** Ways for the stack to end that nobody asked for, each as a sentence. */
const accidents: Promise<string>[] = [];

let signal: NodeJS.Signals | undefined;
const signalled = Promise.withResolvers<void>();
// A terminal sends Ctrl-C to npm and to us, and npm passes it on: it comes twice.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    signal ??= name;
    signalled.resolve();
  });
}
// A closed terminal can be told nothing, but all the same everything has to be stopped.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

try {
  await start();
  await Promise.race([signalled.promise, ...accidents.map(raise)]);
} catch (error) {
  // A Ctrl-C also ends what we run meanwhile; that it failed is then no news.
  if (signal === undefined) {
    console.error(error instanceof SetUpError ? `npm start: ${error.message}` : error);
    process.exitCode = 1;
  }
} finally {
  await stop();
}

async function start(): Promise<void> {
  mkdirSync(LOGS, { recursive: true });
  const lock = lockStack(DATA);
  undo.push(() => lock.release());
  await stopApps(DATA); // those of a start that was killed
  await checkPort();
  const notary = findNotaryClient().catch(() => undefined);

  await step('certificates', () => ensureCertificates(new Date()));
  const postgresUrl = await step('PostgreSQL', postgres);
  const urls = {
    server: databaseUrl(postgresUrl, 'notaryserver'),
    signer: databaseUrl(postgresUrl, 'notarysigner'),
  };
  const users = parseDatabaseUsers(keepSecret(join(DATA, 'database-users'), newDatabaseUsers));
  await step('databases', () => migrateDatabases(urls, users));
  const redisUrl = await step('Redis', redis);
  const urlOf = (url: string, wanted: DatabaseRole) => {
    const user = users.find(({ role }) => role === wanted);
    if (user === undefined) throw new SetUpError(`no ${wanted} in ${DATA}/database-users`);
    return urlFor(url, user);
  };
  writeEnvironment(
    {
      api: urlOf(urls.server, 'notary_server'),
      projector: urlOf(urls.server, 'notary_projector'),
      signer: urlOf(urls.signer, 'notary_signer'),
    },
    new URL(redisUrl),
  );
  await step('API, two signer workers, projector', apps);

  console.log(welcome(await notary));
}

/** Says what goes on and how long it took. Nothing new begins after a signal. */
async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  if (signal !== undefined) throw new Interrupted();
  process.stdout.write(`${name} …`);
  const began = performance.now();
  try {
    const result = await work();
    console.log(` ${((performance.now() - began) / 1000).toFixed(1)} s`);
    return result;
  } catch (error) {
    console.log();
    throw error;
  }
}

/** The superuser's URL. */
async function postgres(): Promise<string> {
  const configured = process.env['DATABASE_URL'];
  if (configured !== undefined) return configured;
  const log = join(LOGS, 'postgres.log');
  const server = await startPostgres({ directory: join(DATA, 'postgres'), log, durable: true });
  undo.push(() => server.stop());
  accidents.push(server.ended.then((how) => `PostgreSQL ended (${how}); its log is ${log}`));
  return server.url;
}

async function redis(): Promise<string> {
  const configured = process.env['REDIS_URL'];
  if (configured !== undefined) return configured;
  const log = join(LOGS, 'redis.log');
  const program = await findRedis(() => process.stdout.write(' fetching it from Debian …'));
  const directory = join(DATA, 'redis');
  const server = await startRedis({ program, directory, log, durable: true, tls: true });
  undo.push(() => server.stop());
  accidents.push(server.ended.then((how) => `Redis ended (${how}); its log is ${log}`));
  return server.url;
}

/**
 * An app that dies is started again: the API answers what it has in hand with an error at worst, and
 * clients try again. A PostgreSQL or Redis that dies ends the stack: something is wrong here.
 */
async function apps(): Promise<void> {
  const running = startApps({
    data: DATA,
    log: APPS_LOG,
    environment: { NOTARY_SERVER_SERVER_HTTP_ADDR: `127.0.0.1:${PORT}` },
    onNotice: (notice) => console.log(`${notice} (${APPS_LOG})`),
  });
  undo.push(() => running.stop());
  accidents.push(running.ended.then((how) => `Nx ended (${how}); see ${APPS_LOG}`));
  await untilHealthy(running);
}

async function untilHealthy(running: Apps): Promise<void> {
  const refused = running.refused.then(
    ({ app, reason }) => `${app} did not start: ${reason} (all of it in ${APPS_LOG})`,
  );
  const givenUp = new AbortController();
  try {
    await Promise.race([
      healthy(givenUp.signal),
      signalled.promise.then(() => {
        throw new Interrupted();
      }),
      ...[refused, ...accidents].map(raise),
    ]);
  } finally {
    givenUp.abort();
  }
}

async function healthy(givenUp: AbortSignal): Promise<void> {
  const deadline = Date.now() + HEALTHY_WITHIN;
  while (!givenUp.aborted) {
    if (await isHealthy()) return;
    if (Date.now() > deadline) {
      throw new SetUpError(
        `the stack is not healthy after ${HEALTHY_WITHIN / 1000} s: see ${LOGS}`,
      );
    }
    await sleep(50);
  }
}

function isHealthy(): Promise<boolean> {
  return new Promise((done) => {
    const options = { ca: readFileSync(CA_FILE), timeout: 5_000 };
    const request = get(`${URL_OF_STACK}/_notary_server/health`, options, (response) => {
      response.resume();
      done(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => done(false));
  });
}

async function raise(accident: Promise<string>): Promise<never> {
  throw new SetUpError(await accident);
}

async function checkPort(): Promise<void> {
  if (!Number.isInteger(PORT) || PORT < 1 || PORT > 65_535) {
    throw new SetUpError(`SCRIVENER_PORT is ${process.env['SCRIVENER_PORT']}: no port`);
  }
  const server = createServer();
  const problem = await new Promise<unknown>((done) => {
    server.once('error', done).listen(PORT, '127.0.0.1', () => done(undefined));
  });
  if (problem === undefined) {
    await new Promise((done) => server.close(done));
    return;
  }
  const why = hasCode(problem, 'EADDRINUSE') ? 'taken by another program' : 'not to be had';
  throw new SetUpError(
    `port ${PORT} is ${why}: free it, or choose another one: SCRIVENER_PORT=5443 npm start`,
  );
}

function databaseUrl(superuserUrl: string, name: string): string {
  const url = new URL(superuserUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Each program's own login. */
interface RunTimeUrls {
  readonly api: string;
  readonly projector: string;
  readonly signer: string;
}

/**
 * What the `serve` targets read besides their configuration files, also when somebody adds another
 * worker by hand (`npx nx run signer-worker:serve`). The API has no use for the passphrase.
 */
function writeEnvironment(urls: RunTimeUrls, redisUrl: URL): void {
  const jobKeyFile = join(DATA, 'job-keys');
  keepSecret(jobKeyFile, createJobKey);
  const queue = (section: string, certificate: string) =>
    Object.fromEntries(
      Object.entries({
        HOSTNAME: redisUrl.hostname,
        PORT: redisUrl.port || '6379',
        USERNAME: decodeURIComponent(redisUrl.username),
        PASSWORD: decodeURIComponent(redisUrl.password),
        JOB_KEY_FILE: jobKeyFile,
        ...(redisUrl.protocol === 'rediss:' && {
          TLS_CA_FILE: CA_FILE,
          TLS_CLIENT_CERT: join(FIXTURES, `${certificate}.crt`),
          TLS_CLIENT_KEY: join(FIXTURES, `${certificate}.key`),
        }),
      }).map(([name, value]) => [`${section}_${name}`, value]),
    );
  writeVariables('server.env', {
    NOTARY_SERVER_STORAGE_DB_URL: urls.api,
    ...queue('NOTARY_SERVER_TRUST_SERVICE', 'notary-server'),
  });
  writeVariables('projector.env', { NOTARY_SERVER_STORAGE_DB_URL: urls.projector });
  writeVariables('signer.env', {
    NOTARY_SIGNER_STORAGE_DB_URL: urls.signer,
    ...queue('NOTARY_SIGNER_QUEUE', 'notary-signer'),
    NOTARY_SIGNER_PASSPHRASE1: passphrase(),
  });
}

function writeVariables(name: string, variables: Record<string, string>): void {
  const file = join(DATA, name);
  const lines = Object.entries(variables).map(([key, value]) => `${key}='${value}'\n`);
  writeFileSync(file, lines.join(''), { mode: 0o600 });
  undo.push(() => rmSync(file, { force: true }));
}

/** Whoever loses it loses the keys that are sealed with it. */
function passphrase(): string {
  return keepSecret(join(DATA, 'passphrase'), () => randomBytes(24).toString('base64url'));
}

/** The text of that file, which is made once. */
function keepSecret(file: string, make: () => string): string {
  try {
    writeFileSync(file, `${make()}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
  return readFileSync(file, 'utf8').trim();
}

function welcome(client: string | undefined): string {
  const notary = client === undefined || client.startsWith('/usr') ? 'notary' : near(client);
  const start = `${notary} -s ${URL_OF_STACK} --tlscacert ${near(CA_FILE)} -d ${near(join(DATA, 'notary'))}`;
  const hint = client === undefined ? ' (the client is missing: apt-get install notary)' : '';
  return `
Scrivener is healthy.

  URL      ${URL_OF_STACK}
  CA file  ${near(CA_FILE)}
  logs     ${near(LOGS)}

Try next${hint}:

  ${start} init -p example.com/hello
  ${start} add -p example.com/hello v1 README.md
  ${start} list example.com/hello

Ctrl-C stops everything; the data stays in ${near(DATA)}.
`;
}

function near(path: string): string {
  return relative(process.cwd(), path);
}

async function stop(): Promise<void> {
  if (signal !== undefined) console.log(`\n${signal}: draining and stopping …`);
  for (const end of undo.toReversed()) {
    try {
      await end();
    } catch (error) {
      console.error(`npm start: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    }
  }
  if (signal !== undefined) console.log('stopped');
}
