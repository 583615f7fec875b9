import { setTimeout as sleep } from 'node:timers/promises';
import { parseGun } from '@scrivener/tuf';
import { runTorture, type Figures, type LoadOptions, type Suffering } from './chaos.ts';
import { createTorment, type Torment } from './collections.ts';
import { begin } from './publishers.ts';

export interface FlushOptions extends LoadOptions {
  readonly flushes: number;
  /** Between two of them, in milliseconds. */
  readonly everyMs: number;
}

/** Who ask for the key of one role of a new repository at the same moment. */
const ASKERS = 4;

/** So long a new repository may take to begin, however often it is refused, in milliseconds. */
const PATIENCE = 30_000;

/**
 * Redis is emptied again and again while some publish, and others begin new repositories, so that there
 * are always jobs of both kinds to lose.
 */
export function runFlushes(options: FlushOptions): Promise<Figures> {
  const { flushes, everyMs, say } = options;
  return runTorture(options, async (under) => {
    const stop = new AbortController();
    const newcomers = beginUntil(stop.signal, under);
    for (let flush = 1; flush <= flushes; flush += 1) {
      await sleep(under.random.between(0.5, 1.5) * everyMs);
      if (flush % 10 === 0) say(`Redis emptied for the ${flush}th time`);
      await under.injector.strike({ name: 'redis flushed', target: 'redis', ms: 0 });
    }
    stop.abort();
    say(`${await newcomers} repositories begun meanwhile`);
  });
}

/** Begins one repository after the other until aborted; how many. */
async function beginUntil(signal: AbortSignal, under: Suffering): Promise<number> {
  const run = Math.floor(under.random.between(0, 1e6));
  let begun = 0;
  for (; !signal.aborted; begun += 1) {
    const gun = parseGun(`example.com/newcomers/${run}-${begun}`);
    if (gun === undefined) throw new RangeError('not a GUN');
    const torment = createTorment(gun, false);
    await expectOneKey(torment, under);
    await untilBegun(torment, under);
    under.torments.push(torment); // from now on it is read and has to be there
  }
  return begun;
}

/** All who ask for the first key of a role are told the same, or try again. */
async function expectOneKey({ gun }: Torment, { client, history }: Suffering): Promise<void> {
  for (const role of ['timestamp', 'snapshot']) {
    const answers = await Promise.all(
      Array.from({ length: ASKERS }, (_, asker) => client.get(asker, gun, `${role}.key`)),
    );
    const keys = new Set(
      answers.flatMap(({ answer }) => (answer?.status === 200 ? [answer.body.toString()] : [])),
    );
    if (keys.size <= 1) continue;
    const detail = `${keys.size} ${role} keys for ${ASKERS} who asked at once`;
    history.violation({ rule: 'no key is made twice for one question', gun, detail });
  }
}

async function untilBegun(torment: Torment, { client, history, random }: Suffering): Promise<void> {
  const end = Date.now() + PATIENCE;
  for (let api = 0; Date.now() < end; api += 1) {
    const told = await begin({ publisher: -4, torment, api }, { client, history, random });
    // Refused: an attempt before was accepted, though its answer was lost.
    if (told !== undefined && told.outcome !== 'unknown') return;
    await sleep(50);
  }
  const detail = `it could not be begun within ${PATIENCE} ms`;
  history.violation({ rule: 'everything is well again by itself', gun: torment.gun, detail });
}
