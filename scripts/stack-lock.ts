import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasCode, readPid } from './processes.ts';
import { SetUpError } from './set-up-error.ts';

export interface StackLock {
  release(): void;
}

/**
 * Makes this process the only one that runs a stack on the folder `data`. The lock of a process that
 * was killed is taken over. Throws `SetUpError` while the other one lives.
 */
export function lockStack(data: string): StackLock {
  const file = join(data, 'stack.pid');
  for (;;) {
    try {
      writeFileSync(file, `${process.pid}\n`, { flag: 'wx' });
      return { release: () => rmSync(file, { force: true }) };
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
    const owner = readPid(file);
    if (owner !== undefined && isStart(owner)) {
      throw new SetUpError(
        `a stack runs on ${data} already: stop it first (Ctrl-C where it runs, or kill ${owner})`,
      );
    }
    rmSync(file, { force: true });
  }
}

/** A pid alone says little: the number may have gone to another program by now. */
function isStart(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('scripts/start.ts');
  } catch {
    return false;
  }
}
