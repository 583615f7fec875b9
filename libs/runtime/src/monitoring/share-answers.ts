export interface ShareOptions {
  /** How long the question may take, in milliseconds; after that it fails. */
  readonly limitMs: number;
  /** How long an answer, or a failure, is good for all who ask, in milliseconds. */
  readonly freshMs: number;
}

/**
 * Puts one question for all who ask at about the same time. Probes and scrapers come in crowds, and
 * must not be felt by what they look at, least of all while that is slow: a question that hangs is
 * given up, and put again by whoever asks next.
 */
export function shareAnswers<Answer>(
  ask: () => Promise<Answer>,
  { limitMs, freshMs }: ShareOptions,
): () => Promise<Answer> {
  let shared: Promise<Answer> | undefined;
  return () => {
    if (shared !== undefined) return shared;
    const answer = withLimit(ask, limitMs);
    shared = answer;
    const forget = () => {
      setTimeout(() => {
        if (shared === answer) shared = undefined;
      }, freshMs).unref();
    };
    answer.then(forget, forget);
    return answer;
  };
}

/** The answer, or an `Error` after `limitMs`. */
export async function withLimit<Answer>(
  ask: () => Promise<Answer>,
  limitMs: number,
): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([ask(), late]);
  } finally {
    clearTimeout(timer);
  }
}
