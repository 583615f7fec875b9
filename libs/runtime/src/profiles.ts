import { z } from 'zod';

/** Takes profiles of this process, in the format of pprof: gzip of its protobuf. */
export interface Profiler {
  /** Where the time goes, for so long in milliseconds. Throws `ProfilingError`. */
  time(durationMs: number): Promise<Uint8Array>;
  /** What the live objects are that were made since the profiler was. */
  heap(): Promise<Uint8Array>;
}

/** Only one profile of the time can be taken at once. */
export class ProfilingError extends Error {
  override readonly name = 'ProfilingError';
}

/** Bytes between two samples of the heap, on average; as in Go. */
const HEAP_INTERVAL = 512 * 1024;
const HEAP_DEPTH = 64;

/** Loads the native library, which a program that is not asked for profiles has no use for. */
export async function createProfiler(): Promise<Profiler> {
  const { time, heap, encode } = await import('@datadog/pprof');
  heap.start(HEAP_INTERVAL, HEAP_DEPTH);
  return {
    time: async (durationMillis) => {
      if (time.isStarted()) throw new ProfilingError('a profile is being taken already');
      return bytes.parse(await encode(await time.profile({ durationMillis })));
    },
    heap: async () => bytes.parse(await encode(heap.profile())),
  };
}

const bytes = z.instanceof(Uint8Array);
