// A thread of fsck: checks the repositories that it is given, on a connection of its own.

import { parentPort, workerData } from 'node:worker_threads';
import { checkRepositories, readOnlyClient } from './check-repositories.ts';

const client = await readOnlyClient((workerData as { readonly url: string }).url);

parentPort?.on('message', (digests: readonly string[]) => {
  void answer(digests);
});

async function answer(digests: readonly string[]): Promise<void> {
  parentPort?.postMessage(await checkRepositories(client, digests));
}
