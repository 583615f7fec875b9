import { Client } from 'pg';
import { CHANNEL, PROJECTION, projectBatch } from './project.ts';

/**
 * Throws every row away and projects the log from its start, in one transaction: readers see the
 * old rows until all of the new ones are there, and a crash leaves the old ones. Meanwhile nobody
 * else can project, so publishes wait. Resolves to the new checkpoint.
 */
export async function replay(url: string): Promise<number> {
  const client = new Client({ connectionString: url, application_name: 'scrivener replay' });
  client.on('error', () => {}); // the query that runs into it reports it
  await client.connect();
  try {
    await client.query('begin');
    // a replay that hangs must not stop the projection for ever
    await client.query(`set local idle_in_transaction_session_timeout = '10s'`);
    await client.query(`select from projections where name = '${PROJECTION}' for update`);
    await client.query('delete from metafiles');
    await client.query('delete from changefeed');
    await client.query('delete from expiries');
    await client.query(`update projections set position = 0 where name = '${PROJECTION}'`);
    let checkpoint = 0;
    for (;;) {
      const outcome = await projectBatch(client);
      if (outcome.result === 'busy') throw new Error('the lock on the checkpoint is gone');
      checkpoint = outcome.checkpoint ?? checkpoint;
      if (outcome.result === 'idle') break;
    }
    // whoever remembers the old rows forgets them
    await client.query(`select pg_notify('${CHANNEL}', '0')`);
    await client.query('commit');
    return checkpoint;
  } finally {
    await client.end(); // rolls back what was not committed
  }
}
