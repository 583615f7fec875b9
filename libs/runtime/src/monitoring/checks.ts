import { shareAnswers, withLimit } from './share-answers.ts';

/** What is wrong, by the name of the check; empty when all is well. */
export type Troubles = Readonly<Record<string, string>>;

/** Looks at one dependency: resolves to what is wrong with it. A failure is a trouble, too. */
export type Check = () => Promise<string | undefined>;

/** How long one look at a dependency may take, in milliseconds. */
export const CHECK_LIMIT = 2_000;
/** How long what was seen is good for all who ask, in milliseconds. */
export const CHECK_FRESH = 500;

/**
 * Makes of several checks one question, whose answer comes within two seconds and is no older than
 * half a second. All are run side by side.
 */
export function createChecks(
  checks: Readonly<Record<string, Check>>,
  limitMs = CHECK_LIMIT,
): () => Promise<Troubles> {
  const look = async (): Promise<Troubles> => {
    const found = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await trouble(check, limitMs)]),
    );
    return Object.fromEntries(found.filter(([, trouble]) => trouble !== undefined));
  };
  // Each check has its limit; this one only sees to it that the crowd shares what they found.
  return shareAnswers(look, { limitMs: limitMs * 2, freshMs: CHECK_FRESH });
}

async function trouble(check: Check, limitMs: number): Promise<string | undefined> {
  try {
    return await withLimit(check, limitMs);
  } catch {
    return 'no answer'; // why is for the log: this page is for anybody
  }
}
