import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openCoverage } from './coverage.ts';
import { CORPUS, fuzz } from './runner.ts';
import { targets } from './targets/index.ts';

/*
 * npm run fuzz -- [target…] [--seconds N] [--seed S] [--keep]
 *
 * Each target for N seconds (60 if not said), all of them where none is named. What breaks one is kept
 * in its corpus, so that it is tried first from then on, in the tests as well; with --keep, so is what
 * reaches code that nothing in the corpus reaches.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const USAGE = `usage: npm run fuzz -- [target…] [--seconds N] [--seed S] [--keep]
targets: ${targets.map(({ name }) => name).join(' ')}`;
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
const unknown = positionals.filter((name) => targets.every((target) => target.name !== name));
if (unknown.length > 0 || !(seconds > 0) || !Number.isInteger(seed)) {
  console.error(USAGE);
  process.exit(2);
}

let running: { readonly name: string; input: Uint8Array } | undefined;
// What nobody caught ends a server, so it ends this, too.
process.on('uncaughtException', (error) => {
  if (running !== undefined) tell(running.name, running.input, error);
  process.exit(1);
});

for (const target of targets) {
  if (positionals.length > 0 && !positionals.includes(target.name)) continue;
  const current: { name: string; input: Uint8Array } = { name: target.name, input: Buffer.of() };
  running = current;
  const length = { seed, seconds, runs: Number.MAX_SAFE_INTEGER };
  const coverage = await openCoverage(new URL('../', import.meta.url));
  let news = 0;
  const { verdicts, found } = await fuzz(target, length, {
    onInput: (input) => (current.input = input),
    guide: {
      coverage,
      onNews: (input) => {
        news += 1;
        if (values.keep) keep(target.name, 'reaches', input);
      },
    },
  });
  coverage.close();
  const { value, refusal } = verdicts;
  console.log(
    `${target.name}: ${value} understood, ${refusal} refused, ${news} reached new code, seed ${seed}`,
  );
  if (found !== undefined) tell(target.name, found.input, found.error);
}

function tell(name: string, input: Uint8Array, error: unknown): void {
  process.exitCode = 1;
  const file = keep(name, 'found', input);
  console.error(`${name}: broken by ${fileURLToPath(file)} (seed ${seed})`);
  console.error(error);
}

function keep(name: string, why: string, input: Uint8Array): URL {
  const digest = createHash('sha256').update(input).digest('hex').slice(0, 12);
  const file = new URL(`${name}/${why}-${digest}`, CORPUS);
  mkdirSync(new URL('.', file), { recursive: true });
  writeFileSync(file, input);
  return file;
}
