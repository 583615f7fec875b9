/** How long the same trouble is kept quiet after it was last seen, in milliseconds. */
const QUIET = 10_000;

/**
 * Passes an error on unless one with the same message came shortly before: each connection tries
 * twice a second while Redis is away, and a log needs to hear of an outage once.
 */
export function withoutRepeats(
  onError: (error: Error) => void,
  now: () => number = () => performance.now(),
): (error: Error) => void {
  const seen = new Map<string, number>();
  return (error) => {
    const before = seen.get(error.message);
    for (const [message, at] of seen) if (now() - at >= QUIET) seen.delete(message);
    seen.set(error.message, now());
    if (before === undefined || now() - before >= QUIET) onError(error);
  };
}
