import { execFileSync } from 'node:child_process';
import { arch, cpus, release, totalmem } from 'node:os';
import { ROOT } from '../scripts/places.ts';

/** What was measured on, without anything that names the machine. */
export function describeMachine(): Record<string, string> {
  const processors = cpus();
  return {
    processors: `${processors.length} × ${processors[0]?.model.trim() ?? 'unknown'}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    kernel: `${process.platform} ${release().split('-')[0]} ${arch()}`,
    node: process.versions.node,
    openssl: process.versions.openssl,
    commit: commit(),
  };
}

function commit(): string {
  try {
    const changed =
      git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ' and changes';
    return `${git('rev-parse', '--short', 'HEAD')}${changed}`;
  } catch {
    return 'unknown';
  }
}

function git(...words: readonly string[]): string {
  return execFileSync('git', words, { cwd: ROOT, encoding: 'utf8' }).trim();
}
