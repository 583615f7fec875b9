import { Unavailable } from '../errors.ts';
import { createTurnstile } from './turnstile.ts';

/** How much is taken on at once, in one process. */
export interface AdmissionLimits {
  /** Updates whose bodies are being received. */
  readonly uploads: number;
  /** Bytes of bodies that are held, beyond the first `FREE_BYTES` of each. */
  readonly uploadsBytes: number;
  /** Changes that are decided, signed and stored. */
  readonly changes: number;
  /** Changes that wait for that. */
  readonly waiting: number;
  /** How long they wait, in milliseconds. */
  readonly waitMs: number;
}

/**
 * Of these bytes of each upload no account is kept, so that what most repositories publish passes
 * while somebody's huge files take up everything else. What they come to is bounded by `uploads`.
 */
export const FREE_BYTES = 64 * 1024;

/** Whoever sends less than this in a second makes room when others want in. */
const SLOW_BYTES = 1024;
/** How long an upload may be slow in any case, in milliseconds. */
const GRACE = 5_000;

/** There is no room: 503 with `Retry-After`. Nothing was begun. */
export class Overloaded extends Unavailable {}

/** One upload that was let in. */
export interface Receipt {
  /**
   * Takes account of bytes that have arrived. Throws `Overloaded` where there is no room for them; the
   * only upload that is beyond its free bytes may grow as it likes, for others limit its length.
   */
  received(bytes: number): void;
  /** Aborted when this upload, being slow, has to make room. */
  readonly cut: AbortSignal;
  /** Gives everything back; twice does no harm. */
  leave(): void;
}

/** What there is now, and what was turned away so far. */
export interface AdmissionFigures {
  readonly uploads: number;
  readonly uploadsBytes: number;
  readonly changes: number;
  readonly waiting: number;
  readonly shed: Readonly<Record<Shed, number>>;
}

/** `upload`: before or while its body came; `slow`: cut, to make room; `change`: waited in vain. */
type Shed = 'upload' | 'slow' | 'change';

/**
 * Lets in what this process can hold and turns the rest away early, so that changes are shed before
 * reads suffer. Reads are not asked: they hold next to nothing.
 */
export interface Admission {
  /** `length` as announced, if it was. Throws `Overloaded`, before anything of the body was read. */
  receive(length: number | undefined): Receipt;
  /** Runs `work` when its turn comes; throws `Overloaded` where that would take too long. */
  change<Result>(work: () => Promise<Result>): Promise<Result>;
  figures(): AdmissionFigures;
}

interface Upload {
  readonly since: number;
  readonly cutting: AbortController;
  bytes: number;
}

/** `now` in milliseconds that only go up. */
export function createAdmission(
  limits: AdmissionLimits,
  now: () => number = () => performance.now(),
): Admission {
  const uploads = new Set<Upload>();
  const shed: Record<Shed, number> = { upload: 0, slow: 0, change: 0 };
  let held = 0;

  const turnAway = (what: Shed, reason: string): never => {
    shed[what] += 1;
    throw new Overloaded(reason);
  };

  const turnstile = createTurnstile(
    { places: limits.changes, waiting: limits.waiting, waitMs: limits.waitMs },
    'changes',
    (reason) => turnAway('change', reason),
  );

  /** Cuts the slowest, where one is slow enough. */
  const makeRoom = (): boolean => {
    const at = now();
    const slow = [...uploads]
      .filter(({ since, bytes }) => at - since > GRACE && rate(bytes, at - since) < SLOW_BYTES)
      .toSorted((a, b) => rate(a.bytes, at - a.since) - rate(b.bytes, at - b.since));
    const [slowest] = slow;
    if (slowest === undefined) return false;
    shed.slow += 1;
    leave(slowest);
    slowest.cutting.abort(new Overloaded('the upload was too slow'));
    return true;
  };

  const leave = (upload: Upload) => {
    if (uploads.delete(upload)) held -= counted(upload.bytes);
  };

  const receive = (length: number | undefined): Receipt => {
    if (uploads.size >= limits.uploads && !makeRoom()) {
      turnAway('upload', `${uploads.size} uploads are being received`);
    }
    const wanted = counted(length ?? 0);
    if (held > 0 && wanted > limits.uploadsBytes - held) {
      turnAway('upload', `${held} bytes of uploads are held`);
    }
    const upload: Upload = { since: now(), cutting: new AbortController(), bytes: 0 };
    uploads.add(upload);
    return {
      received(bytes) {
        if (!uploads.has(upload)) return;
        const before = counted(upload.bytes);
        const more = counted(upload.bytes + bytes) - before;
        const isAlone = held === before;
        if (more > 0 && !isAlone && held + more > limits.uploadsBytes) {
          turnAway('upload', `${held} bytes of uploads are held`);
        }
        upload.bytes += bytes;
        held += more;
      },
      cut: upload.cutting.signal,
      leave: () => leave(upload),
    };
  };

  return {
    receive,
    change: (work) => turnstile.run(work),
    figures: () => ({
      uploads: uploads.size,
      uploadsBytes: held,
      changes: turnstile.working(),
      waiting: turnstile.waiting(),
      shed,
    }),
  };
}

function counted(bytes: number): number {
  return Math.max(0, bytes - FREE_BYTES);
}

function rate(bytes: number, ms: number): number {
  return (bytes * 1_000) / ms;
}
