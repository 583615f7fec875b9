import { postgresEventStore } from '@scrivener/events/postgres';
import { runCommand, UsageError } from '@scrivener/runtime';
import { parseGun } from '@scrivener/tuf';
import { readProjectorConfig } from './config.ts';
import { historyOf } from './history.ts';

const USAGE = `usage: audit [-config FILE] GUN
Prints what the log says about one repository; exits 1 when its chain of hashes is broken.
  -config FILE   settings of the projector; NOTARY_SERVER_* variables override it
  -help          this text`;

runCommand(USAGE, async ({ config: file, arguments: words }) => {
  const [name = ''] = words;
  const gun = parseGun(name);
  if (gun === undefined || words.length !== 1) throw new UsageError('name one repository');
  const { databaseUrl } = readProjectorConfig(file, process.env);
  const events = await postgresEventStore(databaseUrl, { poolSize: 1 });
  const { lines, intact } = historyOf(await events.readStream(gun, 0));
  await events.close();
  process.stdout.write(`${lines.join('\n')}\n`);
  if (!intact) process.exitCode = 1;
});
