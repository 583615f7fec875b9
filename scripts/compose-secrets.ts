// `npm run compose:secrets`: all that docker-compose.yml reads, in .data/compose/ or the folder that
// SCRIVENER_SECRETS names. What is there already stays as it is: put certificates of your own there
// first, and only the rest is made.

import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { createJobKey } from '@scrivener/signing';
import { ensureCertificates, FIXTURES } from '../fixtures/certificates.ts';
import { newDatabaseUsers, parseDatabaseUsers, urlFor } from './database-users.ts';
import { ROOT } from './places.ts';

const FOLDER = resolve(ROOT, process.env['SCRIVENER_SECRETS'] ?? '.data/compose');
/** Where containers find the CA by which they know PostgreSQL. */
const CA_IN_CONTAINER = '/run/secrets/root-ca.crt';
/** The user of the image. */
const NODE_USER = 1000;

mkdirSync(FOLDER, { recursive: true, mode: 0o700 });
await certificates();
keep('job-keys', createJobKey);
const users = parseDatabaseUsers(keep('database-users', newDatabaseUsers));
const server = superuser('postgres', 'notaryserver');
const signer = superuser('signer-postgres', 'notarysigner');
keep('migrate.env', () =>
  variables({
    NOTARY_SERVER_STORAGE_DB_URL: server,
    NOTARY_SIGNER_STORAGE_DB_URL: signer,
  }),
);
for (const user of users) {
  switch (user.role) {
    case 'notary_server':
      keep('api.env', () => variables({ NOTARY_SERVER_STORAGE_DB_URL: urlFor(server, user) }));
      break;
    case 'notary_projector':
      keep('projector.env', () =>
        variables({ NOTARY_SERVER_STORAGE_DB_URL: urlFor(server, user) }),
      );
      break;
    case 'notary_signer':
      keep('signer.env', () =>
        variables({
          NOTARY_SIGNER_STORAGE_DB_URL: urlFor(signer, user),
          NOTARY_SIGNER_PASSPHRASE1: newPassword(),
        }),
      );
  }
}
giveToNodeUser();
console.log(`secrets for docker-compose.yml are in ${FOLDER}`);
if (process.getuid?.() !== 0 && process.getuid?.() !== NODE_USER) {
  console.log('start it as: SCRIVENER_USER=$(id -u):$(id -g) docker compose up');
}

/** All of one CA: those of development, unless there is another one. */
async function certificates(): Promise<void> {
  if (existsSync(join(FOLDER, 'root-ca.crt'))) return;
  await ensureCertificates(new Date());
  const names = readdirSync(FIXTURES).filter((name) => /\.(?:crt|key)$/.test(name));
  // the CA last, for a crash before that leaves it all to be done again
  for (const name of names.sort((a) => (a === 'root-ca.crt' ? 1 : -1))) {
    write(name, readFileSync(join(FIXTURES, name), 'utf8'));
  }
}

/** The URL of the superuser, with the password that the container of that name is told to set. */
function superuser(service: string, database: string): string {
  const file = keep(`${service}.env`, () => variables({ POSTGRES_PASSWORD: newPassword() }));
  const password = /^POSTGRES_PASSWORD=(.*)$/m.exec(file)?.[1] ?? '';
  const url = new URL(`postgres://postgres@${service}:5432/${database}`);
  url.password = encodeURIComponent(password);
  url.searchParams.set('sslmode', 'verify-full');
  url.searchParams.set('sslrootcert', CA_IN_CONTAINER);
  return url.href;
}

/** The text of that file, which is made once. */
function keep(name: string, make: () => string): string {
  const file = join(FOLDER, name);
  if (!existsSync(file)) write(name, `${make().trimEnd()}\n`);
  return readFileSync(file, 'utf8');
}

function write(name: string, text: string): void {
  writeFileSync(join(FOLDER, name), text, { mode: name.endsWith('.crt') ? 0o644 : 0o600 });
}

/** As a file of variables holds them. */
function variables(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function newPassword(): string {
  return randomBytes(24).toString('base64url');
}

/** Containers run as nobody special; root's own files would be closed to them. */
function giveToNodeUser(): void {
  if (process.getuid?.() !== 0) return;
  for (const name of readdirSync(FOLDER)) chownSync(join(FOLDER, name), NODE_USER, NODE_USER);
}
