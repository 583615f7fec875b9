// Installs the npm packages when node_modules is not what package-lock.json says; else it costs some
// milliseconds. It runs before `npm start`, `npm test` and `npm run check`, on any Node >= 20 with
// nothing installed, so it imports no package. What comes after it runs on the Node that npm
// installs (`node-linux-*`), which npm scripts find first on their PATH.

import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const MODULES = join(ROOT, 'node_modules');
const OLDEST_NODE_FOR_NPM = [20, 19];
const OLDEST_NODE_FOR_SOURCES = [24, 12];
const ATTEMPTS = 3;
const UNREACHABLE =
  /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ECONNRESET/;
/** `--include` because NODE_ENV=production or `omit` in somebody's .npmrc would leave tools out. */
const NPM_CI = [
  'ci',
  '--include=dev',
  '--include=optional',
  '--loglevel=error',
  '--fetch-retries=3',
  '--fetch-retry-mintimeout=1000',
  '--fetch-retry-maxtimeout=5000',
];

if (!isAtLeast(OLDEST_NODE_FOR_NPM)) {
  fail(`Node.js ${process.versions.node} is too old: install Node.js 20.19 or newer (with npm)`);
}
if (!isInstalled()) await install();
if (!isExecutable(join(MODULES, '.bin', 'node')) && !isAtLeast(OLDEST_NODE_FOR_SOURCES)) {
  fail(
    `npm brings no Node.js for ${process.platform}-${process.arch}: install 24.12 or newer yourself`,
  );
}

/**
 * Does node_modules hold what the lock names? npm writes its own record of an installation as the
 * last thing it does, and `npm ci` begins by deleting it, so a killed installation is noticed.
 * Optional packages are not asked for (npm may leave them out), but those we name ourselves are.
 */
function isInstalled() {
  const wanted = packages(join(ROOT, 'package-lock.json'));
  const record = join(MODULES, '.package-lock.json');
  if (!existsSync(record)) return false;
  const present = packages(record);
  const ours = new Set(Object.keys(wanted['']?.optionalDependencies ?? {}).map(folder));
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    if (entry.optional && !(ours.has(path) && isForThisMachine(entry))) return true;
    return present[path]?.version === entry.version && present[path]?.resolved === entry.resolved;
  });
}

function packages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

function folder(name) {
  return `node_modules/${name}`;
}

function isForThisMachine({ os, cpu }) {
  return [os].flat().includes(process.platform) && [cpu].flat().includes(process.arch);
}

async function install() {
  const [command, ...npm] = findNpm();
  const started = Date.now();
  const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`;
  say('installing npm packages (npm ci); from an empty npm cache this takes 1 to 2 minutes');
  const ticker = setInterval(() => say(`still installing, ${seconds()}`), 15_000);

  for (let attempt = 1; ; attempt += 1) {
    const { code, output } = await run(command, [...npm, ...NPM_CI]);
    if (code === 0) break;
    // npm has asked the registry several times by now; asking again would only hide the reason
    if (UNREACHABLE.test(output)) {
      fail('the npm registry does not answer: check the network, or the proxy and registry of npm');
    }
    if (attempt === ATTEMPTS) {
      process.stderr.write(output);
      fail(`npm ci failed ${ATTEMPTS} times; its last words are above`);
    }
    say(`npm ci failed, trying again (${attempt + 1} of ${ATTEMPTS})`);
  }
  clearInterval(ticker);
  say(`npm packages installed in ${seconds()}`);
}

/** npm on the system's Node: it must not run on the copy of Node that it is about to replace. */
function findNpm() {
  const systemPath = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((entry) => !entry.includes('node_modules'));
  const node = firstExecutable(systemPath, 'node') ?? process.execPath;
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js')) return [node, script];
  const npm = firstExecutable(systemPath, 'npm');
  if (npm === undefined)
    fail('npm was not found: install Node.js 20.19 or newer together with npm');
  return [npm];
}

function firstExecutable(directories, name) {
  return directories.map((directory) => join(directory, name)).find(isExecutable);
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-4000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

function isAtLeast([major, minor]) {
  const [ownMajor, ownMinor] = process.versions.node.split('.').map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

function say(text) {
  console.log(`set-up: ${text}`);
}

function fail(reason) {
  console.error(`set-up: ${reason}`);
  process.exit(1);
}
