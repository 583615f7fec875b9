// `npm run torture -- --seed 7 --seconds 60`: breaks the real stack in every way it knows, and checks
// that nothing was lost and nothing was wrong. Exits 1 on a violation. See docs/torture.md.

import { parseOptions, UsageError } from '@scrivener/runtime';
import { ensureCertificates } from '../../fixtures/certificates.ts';
import { runChaos, type Figures } from './chaos.ts';
import { runDurability } from './durability.ts';
import { expiredScenario } from './expired.ts';
import { FAULT_KINDS, type FaultKind } from './faults.ts';
import { reportOf } from './report.ts';
import { runFlushes } from './flushes.ts';
import { OUTAGE_NAMES, outageScenario, type OutageName } from './outages.ts';
import { overloadScenario } from './overload.ts';
import { raceScenario } from './races.ts';
import type { Findings } from './trial.ts';

const USAGE = `usage: npm run torture -- [--scenario NAME] [options]
Starts the real stack, breaks it, and checks what was promised (docs/torture.md). Exits 1 on a violation.
  --scenario NAME    chaos (if not said), durability, flushes, races, expired, outages, overload
  --seed N           the same faults at the same times; any if not said
  --publishers N     8 if not said; --readers N: 4 (chaos, durability, flushes)
  --seconds N        of chaos; 60 if not said
  --faults LIST      of chaos; any of ${FAULT_KINDS.join(',')}
  --publishes N      of durability, at least; 1000 if not said; --kills N: 100
  --flushes N        of flushes; 40 if not said
  --racers N         publishers of races; 64 if not said; --rounds N: 50
  --outage N         seconds of each outage; 30 if not said
  --only LIST        outages; any of ${OUTAGE_NAMES.join(',')}`;

const { values } = readWords();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}

const startedAt = Date.now();
const say = (line: string) =>
  console.log(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(6)} s  ${line}`);

await ensureCertificates(new Date());
const isFine = await run(values.scenario);
process.exit(isFine ? 0 : 1);

function readWords() {
  try {
    return parseOptions(process.argv.slice(2), {
      options: {
        help: { type: 'boolean', default: false },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        seconds: { type: 'string', default: '60' },
        publishers: { type: 'string', default: '8' },
        readers: { type: 'string', default: '4' },
        faults: { type: 'string', default: FAULT_KINDS.join(',') },
        publishes: { type: 'string', default: '1000' },
        flushes: { type: 'string', default: '40' },
        kills: { type: 'string', default: '100' },
        racers: { type: 'string', default: '64' },
        rounds: { type: 'string', default: '50' },
        outage: { type: 'string', default: '30' },
        only: { type: 'string', default: OUTAGE_NAMES.join(',') },
        scenario: { type: 'string', default: 'chaos' },
      },
    });
  } catch (error) {
    if (error instanceof UsageError) return usage(error.message);
    throw error;
  }
}

/** Whether nothing was wrong. */
async function run(scenario: string): Promise<boolean> {
  switch (scenario) {
    case 'chaos': {
      const figures = await runChaos({
        ...load(),
        seconds: whole('seconds', values.seconds),
        faults: values.faults
          .split(',')
          .filter((kind) => kind !== '')
          .map(faultKind),
        say,
      });
      return reported(`npm run torture -- --seed ${values.seed}`, figures);
    }
    case 'flushes': {
      const flushes = whole('flushes', values.flushes);
      const figures = await runFlushes({ ...load(), flushes, everyMs: 700, say });
      const command = `npm run torture -- --scenario flushes --flushes ${flushes}`;
      return reported(`${command} --seed ${values.seed}`, figures);
    }
    case 'durability': {
      const [publishes, kills] = [
        whole('publishes', values.publishes),
        whole('kills', values.kills),
      ];
      const figures = await runDurability({ ...load(), publishes, kills, say });
      const command = `npm run torture -- --scenario durability --publishes ${publishes} --kills ${kills}`;
      return reported(`${command} --seed ${values.seed}`, figures);
    }
    case 'races':
      return told(
        await raceScenario({
          publishers: whole('racers', values.racers),
          rounds: whole('rounds', values.rounds),
          freeMs: 10_000,
          freeRuns: 3,
          mustKeepUp: true,
          say,
        }),
      );
    case 'expired':
      return told(await expiredScenario({ readers: 128, repositories: 20, say }));
    case 'outages':
      return told(
        await outageScenario({
          outageMs: whole('outage', values.outage) * 1_000,
          returnMs: 1_000,
          only: values.only.split(',').map(outageName),
          say,
        }),
      );
    case 'overload': {
      const sizes = { slowClients: 500, hugeUploads: 6, manyParts: 4 };
      return told(await overloadScenario({ ...sizes, ms: 20_000, say }));
    }
    default:
      return usage(
        `--scenario knows chaos, durability, flushes, races, expired, outages, overload; not ${scenario}`,
      );
  }
}

function load() {
  return {
    seed: whole('seed', values.seed),
    publishers: whole('publishers', values.publishers),
    readers: whole('readers', values.readers),
  };
}

function reported(command: string, figures: Figures): boolean {
  console.log(reportOf(command, figures).join('\n'));
  return figures.history.violations.length === 0;
}

function told({ figures, wrong }: Findings): boolean {
  for (const line of figures) console.log(line);
  for (const line of wrong) console.log(`BROKEN: ${line}`);
  return wrong.length === 0;
}

function whole(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) usage(`--${name} wants a whole number`);
  return Number(text);
}

function faultKind(text: string): FaultKind {
  const kind = FAULT_KINDS.find((each) => each === text);
  return kind ?? usage(`--faults knows ${FAULT_KINDS.join(', ')}; not ${text}`);
}

function outageName(text: string): OutageName {
  const name = OUTAGE_NAMES.find((each) => each === text);
  return name ?? usage(`--only knows ${OUTAGE_NAMES.join(', ')}; not ${text}`);
}

function usage(problem: string): never {
  console.error(`npm run torture: ${problem}\n${USAGE}`);
  process.exit(2);
}
