import { postgresReadModel } from '@scrivener/read-model/postgres';
import { refuseWords, runCommand } from '@scrivener/runtime';
import { readProjectorConfig } from './config.ts';

const USAGE = `usage: replay [-config FILE]
Projects the read model anew from position 0. Readers see the old one until the new one is there;
publishes wait as long.
  -config FILE   settings of the projector; NOTARY_SERVER_* variables override it
  -help          this text`;

runCommand(USAGE, async ({ config: file, arguments: words }) => {
  refuseWords(words);
  const readModel = await postgresReadModel(readProjectorConfig(file, process.env).databaseUrl);
  const started = performance.now();
  await readModel.replay();
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  const position = await readModel.checkpoint();
  await readModel.close();
  process.stdout.write(`projected ${position} events from the start in ${seconds} s\n`);
});
