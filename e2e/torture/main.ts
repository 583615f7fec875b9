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
import { outageScenario } from './outages.ts';
import { overloadScenario } from './overload.ts';
import { raceScenario } from './races.ts';
import type { Findings } from './trial.ts';

const { values } = readWords();

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

function usage(problem: string): never {
  console.error(`npm run torture: ${problem}`);
  process.exit(2);
}
