// Completes package-lock.json after `npm install` (run as `npm run lock`).
//
// Packages with native parts name one optional package per platform. A registry that lacks some of
// them makes npm leave them out of the lock, and then `npm ci` refuses that lock ("Missing: … from
// lock file") although it would never install them here. So each one left out gets an entry
// with what its name says about its platform. `npm ci` skips it elsewhere; on its own platform, npm
// looks it up in the registry.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const LOCK = join(dirname(fileURLToPath(import.meta.url)), '..', 'package-lock.json');
const SYSTEMS = {
  android: 'android',
  darwin: 'darwin',
  freebsd: 'freebsd',
  linux: 'linux',
  openbsd: 'openbsd',
  openharmony: 'openharmony',
  sunos: 'sunos',
  win32: 'win32',
  windows: 'win32',
};
const PROCESSORS = [
  'arm64',
  'x64',
  'ia32',
  'riscv64',
  'ppc64',
  's390x',
  'loong64',
  'mips64el',
  'arm',
];

const lock = JSON.parse(readFileSync(LOCK, 'utf8'));
const added = [];
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, range] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isLocked(name, path)) continue;
    lock.packages[`node_modules/${name}`] = standIn(name, range, entry);
    added.push(name);
  }
}
const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1));
lock.packages = Object.fromEntries(sorted);
writeFileSync(LOCK, `${JSON.stringify(lock, null, 2)}\n`);
console.log(
  `lock: ${added.length} platform packages added${added.map((name) => `\n  ${name}`).join('')}`,
);

/** Is `name` in the lock where Node would find it from `path`: there, or in a folder above? */
function isLocked(name, path) {
  const here = path === '' ? '' : `${path}/`;
  if (lock.packages[`${here}node_modules/${name}`] !== undefined) return true;
  if (path === '') return false;
  const above = path.lastIndexOf('/node_modules/');
  return isLocked(name, above === -1 ? '' : path.slice(0, above));
}

function standIn(name, range, dependent) {
  const words = name.split(/[^a-z0-9]+/);
  const system = words.find((word) => word in SYSTEMS);
  const processor = PROCESSORS.find((word) => words.includes(word));
  const libc = words.includes('musl') ? 'musl' : words.includes('gnu') ? 'glibc' : undefined;
  return {
    version: range.replace(/^[\^~=v]+/, ''),
    ...(processor && { cpu: [processor] }),
    ...(dependent.dev && { dev: true }),
    ...(libc && { libc: [libc] }),
    optional: true,
    ...(system && { os: [SYSTEMS[system]] }),
  };
}
