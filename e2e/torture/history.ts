/** One version of one role, as it was uploaded. */
export interface FileRef {
  readonly role: string;
  readonly version: number;
  readonly sha256: string;
}

/**
 * - `accepted`: answered 200, so it has to be there for ever
 * - `refused`: answered 4xx, so it must not be there
 * - `unknown`: 503, 429 or no answer at all: it may be there
 */
export type Outcome = 'accepted' | 'refused' | 'unknown';

/** One thing that a publisher asked for. Times in milliseconds of the wall clock. */
export interface Attempt {
  readonly gun: string;
  readonly what:
    | 'targets'
    | 'delegation'
    | 'root'
    | 'rotation'
    | 'first publish'
    | 'delete'
    | 'undelete';
  readonly publisher: number;
  readonly api: number;
  readonly files: readonly FileRef[];
  /** The same bytes as an attempt before, whose answer was lost. */
  readonly isAgain: boolean;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly outcome: Outcome;
  /** `200`, `400 VERSION`, `503 UNAVAILABLE`, or why there was none. */
  readonly answer: string;
}

export interface Violation {
  readonly rule: string;
  /** None where it is about no repository in particular. */
  readonly gun?: string;
  readonly detail: string;
  /** Versions of it are what the history is cut down to. */
  readonly about?: Pick<FileRef, 'role' | 'version'>;
}

/** Everything that was asked, answered and found wrong. */
export interface History {
  readonly attempts: readonly Attempt[];
  readonly violations: readonly Violation[];
  /** How often each kind of answer was seen: `publish 400 VERSION`. */
  readonly answers: ReadonlyMap<string, number>;
  /** The longest that an answer took, in milliseconds, less what the asked process was stopped. */
  slowestMs: number;
  add(attempt: Attempt): void;
  count(answer: string): void;
  violation(violation: Violation): void;
}

export function createHistory(): History {
  const attempts: Attempt[] = [];
  const violations: Violation[] = [];
  const answers = new Map<string, number>();
  return {
    attempts,
    violations,
    answers,
    slowestMs: 0,
    add: (attempt) => void attempts.push(attempt),
    count: (answer) => void answers.set(answer, (answers.get(answer) ?? 0) + 1),
    violation: (violation) => void violations.push(violation),
  };
}

/** How many lines of a history are worth reading. */
const LINES = 40;

/** The attempts on that repository that touch the version in question, or one beside it. */
export function shortestHistory(history: History, { gun, about }: Violation): string[] {
  const close = ({ files, what }: Attempt) =>
    about === undefined ||
    what === 'delete' ||
    what === 'undelete' ||
    files.some(
      ({ role, version }) => role === about.role && Math.abs(version - about.version) <= 1,
    );
  return history.attempts
    .filter((attempt) => attempt.gun === gun && close(attempt))
    .slice(-LINES)
    .map(({ what, publisher, api, files, startedAt, endedAt, answer }) => {
      const named = files.map(
        ({ role, version, sha256 }) => `${role} ${version} ${sha256.slice(0, 8)}`,
      );
      const time = `${new Date(startedAt).toISOString()} +${endedAt - startedAt} ms`;
      return `${time} publisher ${publisher} at API ${api}: ${what} (${named.join(', ')}): ${answer}`;
    });
}
