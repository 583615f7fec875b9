import type { RebuildProgress } from '@scrivener/read-model';
import { createProgress, type Progress } from './progress.ts';

interface Reporter {
  readonly tell: (progress: RebuildProgress) => void;
  readonly end: () => void;
}

/** Says how far each phase has got. A phase that has more to do than it knew begins anew. */
export function createReporter(): Reporter {
  let progress: Progress | undefined;
  let told: Pick<RebuildProgress, 'phase' | 'total'> | undefined;
  return {
    tell: ({ phase, done, total }) => {
      if (phase !== told?.phase || total !== told.total) {
        progress?.end();
        const what = phase === 'projecting' ? 'events projected' : 'shares compared';
        progress = createProgress(what, { begun: done, total });
        told = { phase, total };
      }
      progress?.at(done);
    },
    end: () => progress?.end(),
  };
}
