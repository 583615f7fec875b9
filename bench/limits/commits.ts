import { randomBytes } from 'node:crypto';
import { Pool } from 'pg';
import { ensureDatabase } from '../../scripts/database.ts';
import { timed } from '../timed.ts';
import type { Sample } from '../series.ts';

/** Appends of one row, each a transaction of its own, on so many connections at a time. */
export interface CommitLimit {
  run(connections: number, ms: number): Promise<Sample>;
  close(): Promise<void>;
}

/** About what an event and the rows that follow from it come to, in bytes. */
const ROW = 500;

export async function openCommitLimit(superuserUrl: string): Promise<CommitLimit> {
  const url = await ensureDatabase(superuserUrl, 'bench_commits');
  const pool = new Pool({ connectionString: url, max: 64 });
  pool.on('error', () => {}); // the query that runs into it reports it
  await pool.query(
    'create table if not exists commits (id bigint generated always as identity primary key, row bytea not null)',
  );
  const row = randomBytes(ROW);
  return {
    run: async (connections, ms) => {
      const clients = await Promise.all(Array.from({ length: connections }, () => pool.connect()));
      try {
        return await timed(
          clients.map((client) => async () => {
            await client.query({
              name: 'append',
              text: 'insert into commits (row) values ($1)',
              values: [row],
            });
          }),
          ms,
        );
      } finally {
        for (const client of clients) client.release();
      }
    },
    close: () => pool.end(),
  };
}
