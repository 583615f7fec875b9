import type { Figures } from './chaos.ts';
import { shortestHistory, type Violation } from './history.ts';

/** Violations that are shown with their history; the others are counted. */
const SHOWN = 10;

export function reportOf(seed: number, figures: Figures): string[] {
  const { history, faults, events, statesRead, statesVerified, downloads, recoveryMs } = figures;
  const { violations, attempts, answers, slowestMs } = history;
  const outcomes = (['accepted', 'refused', 'unknown'] as const).map(
    (outcome) => `${attempts.filter((attempt) => attempt.outcome === outcome).length} ${outcome}`,
  );
  return [
    '',
    `seed ${seed}`,
    `attempts     ${attempts.length}: ${outcomes.join(', ')}`,
    `log          ${events} events; ${statesVerified} states verified by the second verifier`,
    `readers      ${statesRead} whole states downloaded and verified under fire`,
    `afterwards   ${downloads} downloads, each the bytes that the log names`,
    `slowest      ${slowestMs} ms, without the time that its API was stopped by us`,
    `recovery     ${recoveryMs} ms from the last fault until each API took a publish for each repository`,
    'faults',
    ...counted(faults),
    'answers',
    ...counted(answers),
    `violations   ${violations.length}`,
    ...violations.slice(0, SHOWN).flatMap((violation) => shown(figures, violation)),
    ...figures.unforeseen.slice(0, SHOWN).map((line) => `  LOGGED: ${line}`),
    ...(violations.length > SHOWN ? [`  and ${violations.length - SHOWN} more`] : []),
    violations.length === 0
      ? 'nothing lost, nothing wrong'
      : `again with: npm run torture -- --seed ${seed}`,
  ];
}

function counted(counts: ReadonlyMap<string, number>): string[] {
  return [...counts]
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, count]) => `  ${String(count).padStart(6)}  ${name}`);
}

function shown({ history }: Figures, violation: Violation): string[] {
  const { rule, gun, detail } = violation;
  return [
    `  BROKEN: ${rule}${gun === undefined ? '' : ` (${gun})`}`,
    `    ${detail}`,
    ...(gun === undefined
      ? []
      : shortestHistory(history, violation).map((line) => `      ${line}`)),
  ];
}
