import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const ROOT = join(import.meta.dirname, '..', '..', '..');

/**
 * What is running, in the words of the old programs (WIRE §14.1). An image is told its commit in
 * `SCRIVENER_COMMIT`; a working tree knows it.
 */
export function describeVersion(): string {
  const commit = process.env['SCRIVENER_COMMIT'] ?? headOf(join(ROOT, '.git')) ?? 'unknown';
  return `Version: ${packageVersion()}, Git commit: ${commit.slice(0, 12)}, Go version: none, Node.js version: ${process.version}`;
}

function packageVersion(): string {
  const text = read(join(import.meta.dirname, '..', 'package.json')) ?? '{}';
  return z.object({ version: z.string().default('unknown') }).parse(JSON.parse(text)).version;
}

/** Git's files are read, for git itself may not be there. */
function headOf(git: string): string | undefined {
  const head = read(join(git, 'HEAD'))?.trim();
  const [, ref] = /^ref: (.+)$/.exec(head ?? '') ?? [];
  if (ref === undefined) return head;
  const loose = read(join(git, ref))?.trim();
  return (
    loose ??
    read(join(git, 'packed-refs'))
      ?.split('\n')
      .find((line) => line.endsWith(` ${ref}`))
  );
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
