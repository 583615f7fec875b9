import { fork } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { postgresReadModel } from '@scrivener/read-model/postgres';
import { Client } from 'pg';

/** Databases that are migrated, empty, and not in use; as the superuser reaches them. */
export interface EmptyDatabases {
  readonly server: string;
  readonly signer: string;
}

/** What one filling process is told: collections `from` up to `to`, without `to`. */
export interface Stretch extends EmptyDatabases {
  readonly from: number;
  readonly to: number;
}

/** Two keys made and one publish. */
export const EVENTS_PER_COLLECTION = 3;

/**
 * Writes so many collections straight into the log, each as after its first publish, and projects
 * them. Private halves of server keys are not kept (in their place
 * lies one that fits none), so nobody can publish to these collections; what reads, projects, renews
 * or checks them finds all that there would be. A crash leaves a database that is of no use.
 */
export async function fill(databases: EmptyDatabases, collections: number): Promise<void> {
  const processes = Math.max(1, Math.min(cpus().length, Math.ceil(collections / 1_000)));
  const each = Math.ceil(collections / processes);
  await Promise.all(
    Array.from({ length: processes }, (_, index) =>
      fillStretch({
        ...databases,
        from: index * each,
        to: Math.min(collections, (index + 1) * each),
      }),
    ),
  );
  const client = new Client({ connectionString: databases.server });
  await client.connect();
  try {
    await client.query('update log_head set position = $1', [collections * EVENTS_PER_COLLECTION]);
    await project(databases.server);
    await client.query('analyze');
  } finally {
    await client.end();
  }
}

async function project(url: string): Promise<void> {
  const readModel = await postgresReadModel(url);
  try {
    while ((await readModel.project()) === 'more');
  } finally {
    await readModel.close();
  }
}

async function fillStretch(stretch: Stretch): Promise<void> {
  const child = fork(join(import.meta.dirname, 'filler.ts'), { stdio: 'inherit' });
  const ended = once(child, 'exit');
  child.send(stretch);
  const [code] = await ended;
  if (code !== 0) throw new Error(`a process that fills the database ended with ${String(code)}`);
}
