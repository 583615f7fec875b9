import cluster from 'node:cluster';

/** The variable that tells a process which worker it is, from 1 on. */
export const WORKER = 'SCRIVENER_WORKER';

/** Which worker this process is; `undefined` where it is on its own. */
export function workerNumber(): number | undefined {
  const number = process.env[WORKER];
  return cluster.isWorker && number !== undefined ? Number(number) : undefined;
}
