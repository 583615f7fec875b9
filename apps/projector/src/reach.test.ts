import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';

/** Programs begin with a call of one of these. */
const PROGRAM = /^run(?:Command|Program)\(/m;
/** `from '…'`, `import '…'` and `import('…')`, also those of types, and files of threads. */
const IMPORT = /(?:\bfrom|\bimport|\bnew URL)\s*\(?\s*'([^']+)'/g;

const programs = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
  .filter((name) => PROGRAM.test(readFileSync(join(import.meta.dirname, name), 'utf8')));

/** Every module of ours that a program loads, and every package and built-in module besides. */
function reachOf(program: string): ReadonlySet<string> {
  const seen = new Set<string>();
  const follow = (url: string) => {
    if (seen.has(url)) return;
    seen.add(url);
    for (const [, name = ''] of readFileSync(fileURLToPath(url), 'utf8').matchAll(IMPORT)) {
      if (name.endsWith('.ts')) follow(new URL(name, url).href);
      else if (name.startsWith('@scrivener/')) follow(import.meta.resolve(name));
      else seen.add(name);
    }
  };
  follow(pathToFileURL(join(import.meta.dirname, program)).href);
  return seen;
}

test.each(programs)('%s reaches no signer and no queue', (program) => {
  const reached = [...reachOf(program)];

  expect(reached.some((module) => module.endsWith('/libs/runtime/src/program.ts'))).toBe(true);
  expect(
    reached.filter((module) =>
      /bullmq|ioredis|grpc|libs\/signing|apps\/(?:api|signer-worker)\//.test(module),
    ),
  ).toEqual([]);
});

test('looks at all of them', () => {
  expect(programs).toEqual(
    expect.arrayContaining([
      'audit.ts',
      'fsck.ts',
      'main.ts',
      'picture.ts',
      'rebuild.ts',
      'replay.ts',
    ]),
  );
  expect(programs).toContain('undelete.ts');
});
