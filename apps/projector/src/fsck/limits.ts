import type { Finding } from './finding.ts';

/** Findings of one kind about one column of a repository that are kept. */
const OF_EACH = 50;
/** Findings that are kept in all: a log that is wrong everywhere must not fill the memory. */
const IN_ALL = 10_000;

/** One row that is missing puts all behind it in the wrong place: that must not crowd out the rest. */
export function firstOfEach(findings: readonly Finding[]): readonly Finding[] {
  const groups = Map.groupBy(findings, ({ kind, column }) => `${kind} ${column ?? ''}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined || group.length <= OF_EACH) return group;
    const { kind, gun, column } = first;
    const reason = `and ${group.length - OF_EACH} more like these`;
    return [
      ...group.slice(0, OF_EACH),
      { kind, ...(gun && { gun }), ...(column && { column }), reason },
    ];
  });
}

export function keep(kept: readonly Finding[], more: readonly Finding[]): Finding[] {
  return [...kept, ...more.slice(0, Math.max(0, IN_ALL - kept.length))];
}
