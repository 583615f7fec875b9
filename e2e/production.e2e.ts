// docs/production.md is followed here as far as it goes without machines of one's own: its commands
// are run as they stand, and the example configurations are read with the files that they make.

import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { parseJobKeys } from '@scrivener/signing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT } from '../scripts/places.ts';
import { findDebianProgram } from './debian-program.ts';

/** openssl may have to be fetched first. */
const LIMIT = 120_000;

const page = readFileSync(join(ROOT, 'docs/production.md'), 'utf8');
const example = (name: string) => readFileSync(join(ROOT, 'docs/examples', name), 'utf8');

let folder: string;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'production-'));
  const openssl = await findDebianProgram({
    name: 'openssl',
    folder: 'bin',
    packages: ['openssl'],
  });
  const root = dirname(dirname(dirname(openssl.command)));
  // Not every machine has a psql; what it would have been told stays in a file.
  writeFileSync(join(folder, 'psql'), '#!/bin/sh\ncat > users.sql\n');
  chmodSync(join(folder, 'psql'), 0o755);
  environment = {
    ...openssl.env,
    OPENSSL_CONF: join(root, 'etc/ssl/openssl.cnf'),
    NOTARY: ROOT,
    PATH: [
      folder,
      dirname(process.execPath),
      join(ROOT, 'node_modules/.bin'),
      dirname(openssl.command),
      process.env['PATH'],
    ].join(':'),
  };
  cpSync(join(ROOT, 'docs/examples'), folder, { recursive: true });
  for (const known of ['issue notary-server', 'create role', 'NOTARY_SIGNER_KEY_2026']) {
    follow(commandsWith(known));
  }
  follow('openssl rand -hex 24 > redis-password');
  follow(commandsWith('echo "NOTARY_SERVER_TRUST_SERVICE_PASSWORD'));
}, LIMIT);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The one block of commands of the page that has this text. */
function commandsWith(text: string): string {
  const blocks = [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, block]) => block ?? '');
  const found = blocks.filter((block) => block.includes(text));
  if (found.length !== 1) throw new Error(`${found.length} blocks of commands have "${text}"`);
  return found[0] ?? '';
}

/** Runs commands in the operator's folder. Throws where one of them fails. */
function follow(commands: string): string {
  const { status, stdout, stderr } = spawnSync('sh', ['-euc', commands], {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`exit ${status}: ${commands}\n${stdout}${stderr}`);
  return stdout;
}

const unindented = (text: string) => text.replace(/^ +/gm, '').trim();
const read = (file: string) => readFileSync(join(folder, file), 'utf8');
const certificate = (name: string) => new X509Certificate(read(`pki/${name}.crt`));

/** What a program has with which it serves and asks. */
const pair = (name: string) => ({
  ca: read('pki/internal-ca.crt'),
  cert: read(`pki/${name}.crt`),
  key: read(`pki/${name}.key`),
});

test.each([
  ['notary-server', 'notary-2.internal'],
  ['notary-signer', 'notary-signer'],
  ['notary-projector', 'notary-projector'],
  ['postgres', 'postgres.internal'],
  ['redis', 'redis.internal'],
])('the certificate of %s is of the CA, for %s', (name, host) => {
  const ca = certificate('internal-ca');
  const issued = certificate(name);

  expect(issued.checkIssued(ca) && issued.verify(ca.publicKey)).toBe(true);
  expect(issued.checkHost(host)).toBe(host);
  expect(issued.checkHost('elsewhere.internal')).toBeUndefined();
  expect(issued.validToDate.getTime()).toBeGreaterThan(Date.now() + 390 * 24 * 3_600_000);
  expect(statSync(join(folder, `pki/${name}.key`)).mode & 0o777).toBe(0o600);
});

test('whoever holds such certificates knows the other, on both sides', async () => {
  const server = createServer({ ...pair('redis'), requestCert: true, rejectUnauthorized: true });
  const served = once(server, 'secureConnection');
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const options = {
    host: '127.0.0.1',
    port,
    servername: 'redis.internal',
    ...pair('notary-signer'),
  };
  const client = connect(options);
  await once(client, 'secureConnect');
  const [socket] = (await served) as [TLSSocket];

  expect([client.authorized, socket.authorized]).toEqual([true, true]);
  client.destroy();
  server.close();
});

test('the secrets are what the programs take', () => {
  expect(parseJobKeys(read('job-keys')).jobs).toHaveLength(1);
  expect(read('passphrases.env')).toMatch(/^NOTARY_SIGNER_KEY_2026=[\w+/]{43}=\n$/);
  for (const file of ['job-keys', 'passphrases.env', 'api.env', 'migrate.env']) {
    expect(statSync(join(folder, file)).mode & 0o077).toBe(0);
  }
});

test.each([
  ['notary-server', 'server.json', 'api.env'],
  ['notary-signer', 'signer.json', 'signer.env'],
  ['projector', 'projector.json', 'projector.env'],
])('%s understands its example configuration, and shows no secret', (program, file, env) => {
  const shown = follow(
    `set -a; . ./${env}; . ./passphrases.env; set +a; ${program} -config ${file} -check-config`,
  );

  expect(JSON.parse(shown)).toMatchObject({ production: true });
  const secrets = [read('redis-password').trim(), /:([0-9a-f]{48})@/.exec(read(env))?.[1] ?? ''];
  for (const secret of secrets) {
    expect(secret).toHaveLength(48);
    expect(shown).not.toContain(secret);
  }
});

test('what the page quotes of the proxies is what the examples say', () => {
  const quoted = [...page.matchAll(/```text\n(.*?)```/gs)].map(([, block]) => block ?? '');
  for (const [name, mark] of [
    ['haproxy.cfg', 'backend apis'],
    ['nginx.conf', 'proxy_cache_revalidate'],
  ] as const) {
    const block = quoted.find((text) => text.includes(mark)) ?? '';
    expect(unindented(example(name))).toContain(unindented(block));
    expect(block).not.toBe('');
  }
});
