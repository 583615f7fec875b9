/** What probes and scrapers ask for every few seconds: no span, no line of log, no count for it. */
const QUIET = /^(?:\/_notary_server\/(?:health|live|ready)|\/metrics)(?:\?|$)/;

/** Whether a request for that target is worth a span. */
export function isWatched(target: string): boolean {
  return !QUIET.test(target);
}
