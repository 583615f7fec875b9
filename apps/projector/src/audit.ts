import { postgresEventStore } from '@scrivener/events/postgres';
import { parseGun } from '@scrivener/tuf';
import { runCommand, UsageError } from './command.ts';
import { historyOf } from './history.ts';

/** Prints what the log says about one repository; exits 1 when its chain of hashes is broken. */
await runCommand('projector audit [-config FILE] GUN', async ({ config, words }) => {
  const [name = ''] = words;
  const gun = parseGun(name);
  if (gun === undefined || words.length !== 1) throw new UsageError('name one repository');
  const events = await postgresEventStore(config.databaseUrl, { poolSize: 1 });
  const { lines, intact } = historyOf(await events.readStream(gun, 0));
  await events.close();
  process.stdout.write(`${lines.join('\n')}\n`);
  if (!intact) process.exitCode = 1;
});
