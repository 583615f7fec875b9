import { postgresReadModel } from '@scrivener/read-model/postgres';
import { runCommand, UsageError } from './command.ts';

/** Rebuilds the read model from position 0. Readers see the old one until it is there. */
await runCommand('projector replay [-config FILE]', async ({ config, words }) => {
  if (words.length > 0) throw new UsageError(`unexpected ${words[0]}`);
  const readModel = await postgresReadModel(config.databaseUrl);
  const started = performance.now();
  await readModel.replay();
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const position = await readModel.checkpoint();
  await readModel.close();
  process.stdout.write(`projected ${position} events from the start in ${seconds} s\n`);
});
