import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Migration, Migrator } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { Client } from 'pg';

/** A database that could not be brought up to date; `message` is written for the operator. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';
}

/** Any constant will do, as long as every process that migrates uses the same one. */
const ADVISORY_LOCK = 7_013_270_001;

const FILE_NAME = /^\d{3}_[a-z0-9_]+\.sql$/;

interface SqlFile {
  readonly name: string;
  readonly sql: string;
}

/**
 * Runs the numbered SQL files of `directory` (`001_what_it_makes.sql`) that this database has not
 * seen yet, in order, each in a transaction of its own together with the note that it ran. So a
 * crash leaves whole files behind, and the next start goes on with the next one.
 *
 * Several may start at once: an advisory lock lets one work and the others wait for it. The
 * database has to exist. Throws `MigrationError`.
 */
export async function migrate(
  databaseUrl: string,
  directory: string,
  log: (line: string) => void = () => {},
): Promise<void> {
  const files = await sqlFiles(directory);
  await locked(databaseUrl, () => run(databaseUrl, files, log));
}

async function sqlFiles(directory: string): Promise<SqlFile[]> {
  const names = await readdir(directory).catch((error: unknown) => {
    throw new MigrationError(`cannot read the folder of migrations ${directory}`, { cause: error });
  });
  const sqlNames = names.filter((name) => name.endsWith('.sql')).sort();
  checkNames(directory, sqlNames);
  return Promise.all(
    sqlNames.map(async (name) => ({ name, sql: await readFile(join(directory, name), 'utf8') })),
  );
}

function checkNames(directory: string, names: readonly string[]): void {
  if (names.length === 0) throw new MigrationError(`no migrations in ${directory}`);
  for (const [index, name] of names.entries()) {
    if (!FILE_NAME.test(name)) {
      throw new MigrationError(`${name}: a migration is called like 001_event_log.sql`);
    }
    const before = names[index - 1];
    if (before?.slice(0, 3) === name.slice(0, 3)) {
      throw new MigrationError(`${before} and ${name} have the same number`);
    }
  }
}

/** The lock belongs to the session, so it goes with the process, however that ends. */
async function locked(databaseUrl: string, work: () => Promise<void>): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  client.on('error', () => {}); // the query that runs into it reports it
  try {
    await client.connect();
    await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCK]);
  } catch (error) {
    await client.end();
    throw new MigrationError(`cannot migrate: ${reason(error)}`, { cause: error });
  }
  try {
    await work();
  } finally {
    await client.end();
  }
}

async function run(
  databaseUrl: string,
  files: readonly SqlFile[],
  log: (line: string) => void,
): Promise<void> {
  const orm = await MikroORM.init({
    clientUrl: databaseUrl,
    // MikroORM takes from the URL all but what it says about TLS
    driverOptions: { connectionString: databaseUrl },
    entities: [],
    discovery: { warnWhenNoEntities: false },
    extensions: [Migrator],
    migrations: {
      migrationsList: files.map(({ name, sql }) => ({ name, class: migrationOf(sql) })),
      tableName: 'schema_migrations',
      allOrNothing: false,
      // otherwise every migration starts with a setting that only a superuser may make
      disableForeignKeys: false,
      snapshot: false,
      silent: true,
    },
  });
  let current = 'the table of migrations';
  orm.migrator.on('migrating', ({ name }) => {
    current = name;
  });
  orm.migrator.on('migrated', ({ name }) => log(`migrated ${name}`));
  try {
    await orm.migrator.up();
  } catch (error) {
    throw new MigrationError(`${current}: ${reason(error)}`, { cause: error });
  } finally {
    await orm.close(true);
  }
}

function migrationOf(
  sql: string,
): new (...args: ConstructorParameters<typeof Migration>) => Migration {
  return class extends Migration {
    override up(): void {
      this.addSql(sql);
    }
  };
}

/** MikroORM puts the whole text of the statement before Postgres' own message. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
