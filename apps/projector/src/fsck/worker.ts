// A thread of fsck: checks the repositories that it is given, on a connection of its own.

import { parentPort, workerData } from 'node:worker_threads';
import { checkRepositories, readOnlyClient } from './check-repositories.ts';

const client = await readOnlyClient((workerData as { readonly url: string }).url);

parentPort?.on('message', (message: readonly string[] | 'stop') => {
  void (message === 'stop' ? stop() : answer(message));
});

async function answer(digests: readonly string[]): Promise<void> {
  parentPort?.postMessage(await checkRepositories(client, digests));
}

/** Closes the connection properly; a process that terminated such threads has once ended with SIGSEGV. */
async function stop(): Promise<void> {
  await client.end();
  parentPort?.close();
}
