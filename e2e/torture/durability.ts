import { setTimeout as sleep } from 'node:timers/promises';
import { runTorture, SIZES, type Figures, type LoadOptions } from './chaos.ts';
import type { Fault } from './faults.ts';
import type { History } from './history.ts';
import { createRandom } from './random.ts';

export interface DurabilityOptions extends LoadOptions {
  /** So many are accepted at least. */
  readonly publishes: number;
  /** SIGKILLs, spread over them. */
  readonly kills: number;
}

/** Everything that can be killed; whoever is killed is started again at once. */
const VICTIMS: readonly Pick<Fault, 'name' | 'target'>[] = [
  ...(['api', 'signer-worker', 'projector'] as const).flatMap((program) =>
    Array.from({ length: SIZES[program] }, (_, index) => {
      return { name: `kill ${program}`, target: `${program} ${index}` };
    }),
  ),
  { name: 'postgres killed', target: 'postgres' },
  { name: 'redis killed and empty', target: 'redis' },
];

/** The next kill comes up to so many milliseconds after its turn: anywhere in the life of a publish. */
const LATEST = 300;

/** Without one accepted publish for so long, in milliseconds, nothing will come any more. */
const PATIENCE = 60_000;

/** Kills anybody at any moment while many publish: what was acknowledged is there, and whole. */
export function runDurability(options: DurabilityOptions): Promise<Figures> {
  const { seed, publishes, kills, say } = options;
  const random = createRandom(seed).fork();
  return runTorture(options, async ({ injector, history }) => {
    const striking: Promise<void>[] = [];
    for (let kill = 1; kill <= kills; kill += 1) {
      const victim = random.pick(VICTIMS);
      const pause = random.between(0, LATEST);
      if (!(await accepted(history, Math.floor((kill * publishes) / (kills + 1))))) break;
      await sleep(pause);
      say(`kill ${kill} of ${kills}: ${victim.target}`);
      striking.push(injector.strike({ ...victim, ms: 0 }));
    }
    await Promise.all(striking);
    await accepted(history, publishes);
  });
}

/** Resolves when so many publishes have been accepted; with false where no more are. */
async function accepted(history: History, wanted: number): Promise<boolean> {
  let before = 0;
  let since = Date.now();
  for (;;) {
    const count = history.attempts.filter(
      ({ outcome, files }) => outcome === 'accepted' && files.length > 0,
    ).length;
    if (count >= wanted) return true;
    if (count > before) [before, since] = [count, Date.now()];
    if (Date.now() - since > PATIENCE) {
      const detail = `no publish was accepted in ${PATIENCE} ms`;
      history.violation({ rule: 'everything is well again by itself', detail });
      return false;
    }
    await sleep(10);
  }
}
