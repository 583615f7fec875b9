import { Session } from 'node:inspector/promises';

/**
 * Which of our own code has run, by V8's block coverage of this process.
 *
 * V8 reports nested ranges, and only those whose count differs from that of what surrounds them; so
 * the same code comes as other ranges each time. What can be compared is the text: each character of a
 * function has run or it has not.
 */
export interface Coverage {
  /** Whether code ran since the last call (or since `open`) that no input marked before had run. */
  reachedNew(): Promise<boolean>;
  /** The same, and from now on that code is known. */
  markNew(): Promise<boolean>;
  close(): void;
}

/** The part of V8's answer that is read here. */
interface Block {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** Counts what lies below `root` (a `file:` URL), but for its packages and for the fuzzers themselves. */
export async function openCoverage(root: URL): Promise<Coverage> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const known = new Map<string, Uint8Array>();
  const isOurs = (url: string) =>
    url.startsWith(root.href) && !url.includes('/node_modules/') && !url.includes('/fuzz/');

  const look = async (mark: boolean): Promise<boolean> => {
    const { result } = await session.post('Profiler.takePreciseCoverage');
    let isNew = false;
    for (const { url, functions } of result) {
      if (!isOurs(url)) continue;
      for (const { functionName, ranges } of functions) {
        const [whole] = ranges;
        if (whole === undefined || whole.count === 0) continue;
        const name = `${url} ${functionName} ${whole.startOffset}`;
        const before = known.get(name) ?? new Uint8Array(whole.endOffset - whole.startOffset);
        const ran = charactersRun(ranges, whole);
        if (!ran.some((yes, at) => yes === 1 && before[at] === 0)) continue;
        isNew = true;
        if (mark) known.set(name, either(before, ran));
      }
    }
    return isNew;
  };

  return {
    reachedNew: () => look(false),
    markNew: () => look(true),
    close: () => session.disconnect(),
  };
}

/** 1 for each character of the function that ran; inner ranges come behind those around them. */
function charactersRun(ranges: readonly Block[], whole: Block): Uint8Array {
  const ran = new Uint8Array(whole.endOffset - whole.startOffset);
  for (const { startOffset, endOffset, count } of ranges) {
    ran.fill(count > 0 ? 1 : 0, startOffset - whole.startOffset, endOffset - whole.startOffset);
  }
  return ran;
}

function either(one: Uint8Array, other: Uint8Array): Uint8Array {
  return one.map((yes, at) => yes | (other[at] ?? 0));
}
