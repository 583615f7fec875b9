import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { Client } from 'pg';

/** Which database a role of `migrations/` belongs to. */
const DATABASE_OF = {
  notary_server: 'server',
  notary_projector: 'server',
  notary_signer: 'signer',
} as const;

export type DatabaseRole = keyof typeof DATABASE_OF;

/** Somebody who logs in at run time, with the rights of one role. */
export interface DatabaseUser {
  readonly role: DatabaseRole;
  readonly name: string;
  readonly password: string;
}

/** A file of users that cannot be read as one; `message` is written for the operator. */
export class DatabaseUsersError extends Error {
  override readonly name = 'DatabaseUsersError';
}

/**
 * Reads a file of users: a line `ROLE USER PASSWORD` for each; blank lines and those that begin with
 * `#` are nothing. Throws `DatabaseUsersError`, without what may be a password.
 */
export function parseDatabaseUsers(text: string): DatabaseUser[] {
  return text.split('\n').flatMap((line, index) => {
    const words = line.trim().split(/\s+/);
    const [role = '', name, password] = words;
    if (role === '' || role.startsWith('#')) return [];
    if (!isRole(role) || name === undefined || password === undefined || words.length > 3) {
      const roles = Object.keys(DATABASE_OF).join(', ');
      throw new DatabaseUsersError(
        `line ${index + 1} is not ROLE USER PASSWORD with one of the roles ${roles}`,
      );
    }
    return [{ role, name, password }];
  });
}

function isRole(text: string): text is DatabaseRole {
  return Object.hasOwn(DATABASE_OF, text);
}

/** A user for each role, with new passwords, as the text of a file. */
export function newDatabaseUsers(suffix = ''): string {
  const names = { notary_server: 'api', notary_projector: 'projector', notary_signer: 'signer' };
  return Object.entries(names)
    .map(([role, name]) => `${role} ${name}${suffix} ${randomBytes(24).toString('base64url')}\n`)
    .join('');
}

/**
 * Makes the logins of one database, or gives them the passwords they have in `users` now. `url` is
 * that of the user who migrates. The roles have to be there.
 */
export async function ensureDatabaseUsers(
  url: string,
  database: 'server' | 'signer',
  users: readonly DatabaseUser[],
): Promise<void> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {}); // the query that runs into it reports it
  await client.connect();
  try {
    for (const user of users.filter(({ role }) => DATABASE_OF[role] === database)) {
      await ensureUser(client, user);
    }
  } finally {
    await client.end();
  }
}

async function ensureUser(client: Client, { role, name, password }: DatabaseUser): Promise<void> {
  const user = client.escapeIdentifier(name);
  const verifier = client.escapeLiteral(scramVerifier(password));
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [name]);
  const verb = rowCount === 0 ? 'create' : 'alter';
  await client.query(`${verb} role ${user} login password ${verifier}`);
  await client.query(`grant ${role} to ${user}`);
  const { rows } = await client.query<{ name: string }>('select current_database() as name');
  const database = client.escapeIdentifier(rows[0]?.name ?? '');
  await client.query(`grant connect on database ${database} to ${user}`);
}

/**
 * What PostgreSQL keeps of a password (RFC 5803). It is made here, for statements like the above end
 * up in the server's log.
 */
function scramVerifier(password: string): string {
  const iterations = 4096;
  const salt = randomBytes(16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const key = (text: string) => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(key('Client Key')).digest('base64');
  const server = key('Server Key').toString('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${server}`;
}

/** The URL by which a user reaches the database that `url` names. */
export function urlFor(url: string, { name, password }: DatabaseUser): string {
  const own = new URL(url);
  own.username = encodeURIComponent(name);
  own.password = encodeURIComponent(password);
  return own.href;
}
