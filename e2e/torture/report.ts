import type { Figures } from './chaos.ts';
import { shortestHistory, type History, type Violation } from './history.ts';

/** Violations that are shown with their history; the others are counted. */
const SHOWN = 10;

/** `again`: the command that repeats the run. */
export function reportOf(again: string, figures: Figures): string[] {
  const {
    history,
    faults,
    events,
    restorations,
    statesRead,
    statesVerified,
    downloads,
    recoveryMs,
  } = figures;
  const { violations, attempts, answers, slowestMs } = history;
  const outcomes = (['accepted', 'refused', 'unknown'] as const).map(
    (outcome) => `${attempts.filter((attempt) => attempt.outcome === outcome).length} ${outcome}`,
  );
  return [
    '',
    again,
    `attempts     ${attempts.length}: ${outcomes.join(', ')}`,
    `log          ${events} events, ${restorations} of them deletions taken back; ${statesVerified} states verified by the second verifier`,
    `keys         ${figures.keys} made by the signers, each once for one question`,
    `again        ${repeated(history)}`,
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
    violations.length === 0 ? 'nothing lost, nothing wrong' : `again with: ${again}`,
  ];
}

/** What became of attempts whose answer was lost, and of the same bytes sent again. */
function repeated({ attempts }: History): string {
  const again = attempts.filter(({ isAgain }) => isAgain);
  const answers = new Map<string, number>();
  for (const { answer } of again) answers.set(answer, (answers.get(answer) ?? 0) + 1);
  const told = [...answers].map(([answer, times]) => `${times} × ${answer}`).join(', ');
  return `${again.length} publishes sent again after a lost answer: ${told}`;
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
