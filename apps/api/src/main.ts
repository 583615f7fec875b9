import { runProgram } from '@scrivener/runtime';
import { readServerConfig, SERVER_PREFIX, serverSettings } from './config.ts';

runProgram({
  name: 'notary-server',
  settings: serverSettings,
  prefix: SERVER_PREFIX,
  startsWithoutFile: false,
  read: readServerConfig,
  workers: ({ workers }) => workers,
  start: async (config, context) => {
    // A process that only keeps others running has no need of all this.
    const { startServer } = await import('./start.ts');
    await startServer(config, context);
  },
});
