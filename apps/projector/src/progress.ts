/** Between two lines, in milliseconds. */
const EVERY = 1000;

/** Tells people at a terminal how far a long work has got. */
export interface Progress {
  /** So much is done now. */
  readonly at: (done: number) => void;
  readonly end: () => void;
}

/** A line a second to `write`: what is done of `total`, the rate since `begun`, and the time left. */
export function createProgress(
  what: string,
  { begun, total }: { readonly begun: number; readonly total: number },
  write: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
): Progress {
  const started = performance.now();
  let done = begun;
  const say = () => write(progressLine(what, { begun, done, total }, performance.now() - started));
  const timer = setInterval(say, EVERY).unref();
  return {
    at: (now) => {
      done = now;
    },
    end: () => clearInterval(timer),
  };
}

interface Stand {
  readonly begun: number;
  readonly done: number;
  readonly total: number;
}

/** `12345 of 100000 events, 3200 per second, 27 s left` */
export function progressLine(
  what: string,
  { begun, done, total }: Stand,
  elapsedMs: number,
): string {
  const rate = elapsedMs > 0 ? ((done - begun) * 1000) / elapsedMs : 0;
  const left = rate > 0 ? `${Math.ceil((total - done) / rate)} s left` : 'nothing known of the end';
  return `${done} of ${total} ${what}, ${Math.round(rate)} per second, ${left}`;
}
