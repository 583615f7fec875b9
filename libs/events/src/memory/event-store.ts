import type { Gun, Sha256 } from '@scrivener/tuf';
import { draftOf } from '../draft.ts';
import {
  WrongExpectedVersion,
  type AppendOptions,
  type EventStore,
  type RecordedEvent,
} from '../event-store.ts';

/** A log that lasts as long as its process: for tests, and for storage "memory". */
export function memoryEventStore(): EventStore {
  const log: RecordedEvent[] = [];
  const streams = new Map<Gun, RecordedEvent[]>();
  const files = new Map<Sha256, Uint8Array>();
  const subscribers = new Set<(appended: AppendOptions) => void>();

  return {
    // Nothing is awaited between the check and the write, so no other writer comes in between.
    async append(head, event, metafiles, options = {}) {
      const draft = draftOf(head, event, metafiles);
      const stream = streams.get(head.gun) ?? [];
      const taken = stream[head.version];
      if (taken?.hash === draft.hash) return taken;
      const last = stream.at(-1);
      if (stream.length !== head.version || (last !== undefined && last.hash !== head.hash)) {
        throw new WrongExpectedVersion(head.gun, head.version);
      }
      const { version, hash } = draft;
      const recorded = { position: log.length + 1, version, hash, event };
      log.push(recorded);
      stream.push(recorded);
      streams.set(head.gun, stream);
      for (const [sha256, bytes] of draft.files) files.set(sha256, bytes);
      for (const wake of subscribers) queueMicrotask(() => wake(options));
      return recorded;
    },

    readStream: async (gun, after, limit = Infinity) =>
      (streams.get(gun) ?? []).slice(after, after + limit),

    lastPosition: async () => log.length,

    positionAt: async (time) =>
      log.findLast(({ event }) => new Date(event.at) <= time)?.position ?? 0,

    readAfter: async (after, limit) => log.slice(after, after + limit),

    async readBytes(checksums) {
      const found = new Map<Sha256, Uint8Array>();
      for (const sha256 of checksums) {
        const bytes = files.get(sha256);
        if (bytes !== undefined) found.set(sha256, bytes);
      }
      return found;
    },

    async subscribe(wake) {
      const subscriber = (appended: AppendOptions) => wake(appended);
      subscribers.add(subscriber);
      return async () => {
        subscribers.delete(subscriber);
      };
    },

    close: async () => subscribers.clear(),
  };
}
