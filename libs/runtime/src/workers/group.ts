import type { LogLevel } from '../logger.ts';
import type { Figures } from '../monitoring/figures.ts';
import type { Gathered, ToPrimary, ToWorker } from './messages.ts';
import { workerNumber } from './worker-number.ts';

/** The processes that answer under one address, as one of them sees them. */
export interface Group {
  /** Which one this is, from 1 on. One that is started in its place has the same number. */
  readonly worker: number;
  /** What this one says about itself whenever anybody gathers. */
  answerWith(take: () => Promise<Figures>): void;
  /** The figures of all of them, this one included. Never settles where the primary does not answer. */
  gather(): Promise<Gathered>;
}

interface Member extends Group {
  /** Tells the primary that this process serves. */
  up(): void;
}

/**
 * Joins the other workers, where this process is one of several. From then on it does what the primary
 * says. When the primary is gone the process ends at once: node:cluster sees to that.
 */
export function joinGroup(onLevel: (level: LogLevel) => void): Member | undefined {
  const worker = workerNumber();
  if (worker === undefined) return undefined;
  let take: (() => Promise<Figures>) | undefined;
  let asked = 0;
  const questions = new Map<number, (gathered: Gathered) => void>();

  process.on('message', (message: ToWorker) => {
    switch (message.kind) {
      case 'level':
        onLevel(message.level);
        break;
      case 'alive?':
        send({ kind: 'alive' });
        break;
      case 'figures?': {
        const { round } = message;
        // What cannot be told is not told: the primary has a limit.
        take?.().then(
          (figures) => send({ kind: 'figures', round, figures }),
          () => {},
        );
        break;
      }
      case 'gathered':
        questions.get(message.question)?.(message.gathered);
        questions.delete(message.question);
        break;
    }
  });

  return {
    worker,
    answerWith: (answer) => {
      take = answer;
    },
    gather: () =>
      new Promise((resolve) => {
        asked += 1;
        questions.set(asked, resolve);
        send({ kind: 'gather', question: asked });
      }),
    up: () => send({ kind: 'up' }),
  };
}

/** A primary that is gone hears nothing, and this process is about to end. */
function send(message: ToPrimary): void {
  process.send?.(message, undefined, {}, () => {});
}
