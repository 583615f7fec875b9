// `npm run migrate`: makes the databases that NOTARY_SERVER_STORAGE_DB_URL and
// NOTARY_SIGNER_STORAGE_DB_URL name, where they are missing, and brings them up to date; then makes
// the logins in the file that SCRIVENER_DATABASE_USERS names, if it names one (docs/databases.md).

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { migrate } from '@scrivener/runtime';
import { ensureDatabaseUsers, parseDatabaseUsers, type DatabaseUser } from './database-users.ts';
import { ROOT } from './places.ts';
import { ensureDatabase } from './database.ts';

/** Of the user who migrates and owns the tables; never of one who runs a program. */
export interface DatabaseUrls {
  readonly server?: string | undefined;
  readonly signer?: string | undefined;
}

/** Safe to run at any time, and by several at once. Throws `MigrationError`. */
export async function migrateDatabases(
  urls: DatabaseUrls,
  users: readonly DatabaseUser[],
  log: (line: string) => void = () => {},
): Promise<void> {
  for (const name of ['server', 'signer'] as const) {
    const url = urls[name];
    if (url === undefined) continue;
    await ensureNamedDatabase(url);
    await migrate(url, join(ROOT, 'migrations', name), log);
    await ensureDatabaseUsers(url, name, users);
  }
}

/** Every PostgreSQL has a database `postgres`, from which others can be made. */
async function ensureNamedDatabase(url: string): Promise<void> {
  const server = new URL(url);
  const name = decodeURIComponent(server.pathname.slice(1));
  server.pathname = '/postgres';
  await ensureDatabase(server.href, name);
}

if (import.meta.main) {
  const urls = {
    server: process.env['NOTARY_SERVER_STORAGE_DB_URL'],
    signer: process.env['NOTARY_SIGNER_STORAGE_DB_URL'],
  };
  if (urls.server === undefined && urls.signer === undefined) {
    console.error(
      'migrate: set NOTARY_SERVER_STORAGE_DB_URL, NOTARY_SIGNER_STORAGE_DB_URL or both',
    );
    process.exit(2);
  }
  try {
    const file = process.env['SCRIVENER_DATABASE_USERS'] ?? '';
    const users = file === '' ? [] : parseDatabaseUsers(readFileSync(file, 'utf8'));
    await migrateDatabases(urls, users, (line) => console.log(line));
  } catch (error) {
    console.error(`migrate: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(1);
  }
}
