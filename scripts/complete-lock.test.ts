import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
  mkdirSync(join(folder, 'scripts'));
  cpSync(join(import.meta.dirname, 'complete-lock.mjs'), join(folder, 'scripts/complete-lock.mjs'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function complete(packages: Record<string, object>): Record<string, object> {
  const file = join(folder, 'package-lock.json');
  writeFileSync(file, JSON.stringify({ lockfileVersion: 3, packages }));
  execFileSync(process.execPath, [join(folder, 'scripts/complete-lock.mjs')]);
  return (JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, object> }).packages;
}

describe('complete-lock', () => {
  test.each([
    ['@x/linux-x64-musl', { os: ['linux'], cpu: ['x64'], libc: ['musl'] }],
    ['@x/linux-arm64-gnu', { os: ['linux'], cpu: ['arm64'], libc: ['glibc'] }],
    ['@x/linux-arm-gnueabihf', { os: ['linux'], cpu: ['arm'] }],
    ['@x/darwin-arm64', { os: ['darwin'], cpu: ['arm64'] }],
    ['@x/win32-x64-msvc', { os: ['win32'], cpu: ['x64'] }],
    ['x-windows-ia32', { os: ['win32'], cpu: ['ia32'] }],
  ])('reads the platform of %s off its name', (name, platform) => {
    const packages = complete({
      '': {},
      'node_modules/x': { version: '1.0.0', dev: true, optionalDependencies: { [name]: '^1.2.3' } },
    });

    expect(packages[`node_modules/${name}`]).toEqual({
      version: '1.2.3',
      dev: true,
      optional: true,
      ...platform,
    });
  });

  test('leaves alone what the lock holds, wherever Node would find it', () => {
    const packages = {
      '': {},
      'node_modules/a': { version: '1.0.0', optionalDependencies: { b: '1.0.0', c: '1.0.0' } },
      'node_modules/a/node_modules/b': { version: '1.0.0' },
      'node_modules/c': { version: '1.0.0' },
    };

    expect(complete(packages)).toEqual(packages);
  });
});
