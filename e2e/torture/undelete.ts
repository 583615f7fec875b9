import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gun } from '@scrivener/tuf';
import { ROOT } from '../../scripts/places.ts';
import type { Cluster } from '../cluster.ts';

/** How the command that takes a deletion back ended: `exit code 0`, `SIGKILL`. */
export type Undelete = (gun: Gun, killAfterMs?: number) => Promise<string>;

/** Runs the operator's command; a SIGKILL meets it after so many milliseconds, wherever it is by then. */
export function createUndelete({ apiConfigFile }: Pick<Cluster, 'apiConfigFile'>): Undelete {
  return async (gun, killAfterMs) => {
    const program = join(ROOT, 'apps/projector/src/undelete.ts');
    const words = [program, '-config', apiConfigFile, gun, '--by', 'torture'];
    const child = spawn(process.execPath, words, { cwd: ROOT, stdio: 'ignore' });
    const ending = once(child, 'exit');
    if (killAfterMs !== undefined) {
      await Promise.race([sleep(killAfterMs, undefined, { ref: false }), ending]);
      child.kill('SIGKILL');
    }
    const [code, signal] = await ending;
    return signal === null ? `exit code ${code}` : String(signal);
  };
}
