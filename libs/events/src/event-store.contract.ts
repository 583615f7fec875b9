import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { emptyHead, firstBrokenLink } from './event-hash.ts';
import {
  WrongExpectedVersion,
  type AppendOptions,
  type EventStore,
  type RecordedEvent,
} from './event-store.ts';
import { emptyRepository, publishUpdate, type Repository } from './repository.ts';
import { clock, gunOf, metafile, storyteller } from './testing/facts.ts';

/** A log that nobody else uses. */
export interface TestLog {
  /** The log as one more process sees it. */
  open(): Promise<EventStore>;
  remove(): Promise<void>;
}

/** What every adapter of `EventStore` does. */
export function eventStoreContract(makeLog: () => Promise<TestLog>): void {
  let log: TestLog;
  let events: EventStore;
  let guns = 0;
  /** A repository that no other test knows. */
  const fresh = (prefix = 'a/b'): Repository => {
    guns += 1;
    return emptyRepository(gunOf(`${prefix} ${guns}`));
  };
  const at = clock();
  const publication = (repository: Repository, salt: string) => {
    const version = (repository.current.get('targets')?.version ?? 0n) + 1n;
    const metafiles = [metafile('targets', version, salt)];
    return { metafiles, event: publishUpdate(repository, { metafiles, at: at(), cause: {} }) };
  };
  const end = async (): Promise<number> => (await events.readAfter(0, 1e6)).length;

  beforeAll(async () => {
    log = await makeLog();
    events = await log.open();
  });
  afterAll(async () => {
    await events.close();
    await log.remove();
  });

  describe('append', () => {
    test('gives back what every reader reads afterwards', async () => {
      const { publish, renew, makeKey, remove, restore } = storyteller(events);
      const start = fresh();

      const key = await makeKey(start);
      const published = await publish(key.repository, ['root', 'targets', 'targets/releases']);
      const renewed = await renew(published.repository, ['snapshot', 'timestamp']);
      const deleted = await remove(renewed.repository);
      const restored = await restore(deleted.repository);

      const told = [key, published, renewed, deleted, restored].map(({ recorded }) => recorded);
      expect(await events.readStream(start.head.gun, 0)).toEqual(told);
      expect(await events.readStream(start.head.gun, 2)).toEqual(told.slice(2));
      expect(await events.readStream(start.head.gun, 1, 2)).toEqual(told.slice(1, 3));
      expect(await events.lastPosition()).toBe(restored.recorded.position);
      expect(await events.readAfter(key.recorded.position - 1, 5)).toEqual(told);
      expect(await events.positionAt(new Date(deleted.recorded.event.at))).toBe(
        deleted.recorded.position,
      );
      expect(await events.positionAt(new Date(0))).toBe(0);
    });

    test('keeps who asked, whatever text that is', async () => {
      const { head } = fresh();
      const cause = { requestId: 'a\0b', subject: '\ud800 "\u2028', traceId: '' };
      const event = {
        type: 'RepositoryDeleted',
        gun: head.gun,
        at: at(),
        cause,
        data: {},
      } as const;

      const recorded = await events.append(head, event, []);

      expect(await events.readStream(head.gun, 0)).toEqual([recorded]);
    });

    test.each([
      ['longer than an index entry', 'x'.repeat(200_000)],
      ['with blanks, quotes and line breaks', ` '"\\\n\t%00 `],
      ['in any script', 'докер/日本語/🐳'],
    ])('keeps a GUN %s', async (_, name) => {
      const { repository, recorded } = await storyteller(events).publish(fresh(name));

      expect(await events.readStream(repository.head.gun, 0)).toEqual([recorded]);
    });

    test('keeps GUNs apart that differ in case only', async () => {
      const { publish } = storyteller(events);
      await publish(emptyRepository(gunOf('case/A')));
      await publish(emptyRepository(gunOf('case/a')));

      expect(await events.readStream(gunOf('case/a'), 0)).toHaveLength(1);
    });

    test.each(['a\0b', 'a\ud800'])('refuses a GUN that cannot be kept: %j', async (name) => {
      await expect(storyteller(events).publish(emptyRepository(gunOf(name)))).rejects.toThrow(
        expect.objectContaining({ name: 'EventLogError', code: 'UNSTORABLE_GUN' }),
      );
      expect(await events.readStream(gunOf(name), 0)).toEqual([]);
    });

    test.each([
      ['a time without milliseconds', { at: '2026-11-22T00:00:00Z' }],
      [
        'a version beyond int64',
        { data: { metafiles: [{ ...ref(metafile('root', 1n)), version: 1n << 63n }] } },
      ],
      [
        'a role that nobody may have',
        { data: { metafiles: [{ ...ref(metafile('root', 1n)), role: 'targets/A' as const }] } },
      ],
    ])('refuses %s', async (_, change) => {
      const repository = fresh();
      const metafiles = [metafile('root', 1n)];
      const event = publishUpdate(repository, { metafiles, at: at(), cause: {} });

      await expect(
        events.append(repository.head, { ...event, ...change }, metafiles),
      ).rejects.toThrow(expect.objectContaining({ code: 'UNSTORABLE_EVENT' }));
    });

    test('refuses an event that names a file without its bytes', async () => {
      const repository = fresh();
      const { event } = publication(repository, 'no bytes');

      await expect(events.append(repository.head, event, [])).rejects.toThrow(
        expect.objectContaining({ code: 'MISSING_BYTES' }),
      );
    });

    test('refuses a head that is not the last event of its stream', async () => {
      const { publish } = storyteller(events);
      const start = fresh();
      const one = await publish(start);
      const two = await publish(one.repository);
      const other = await publish(fresh());
      const before = await end();

      const stale = publication(one.repository, 'stale');
      const ahead = { ...two.repository.head, version: 7 };
      const foreign = { ...other.repository.head, gun: start.head.gun, version: 2 };
      for (const head of [start.head, one.repository.head, ahead, foreign]) {
        await expect(events.append(head, stale.event, stale.metafiles)).rejects.toThrow(
          WrongExpectedVersion,
        );
      }
      expect(await end()).toBe(before);
    });

    test('answers with the recorded event when its answer was lost, and adds nothing', async () => {
      const repository = fresh();
      const { event, metafiles } = publication(repository, 'lost answer');
      const first = await events.append(repository.head, event, metafiles);
      await storyteller(events).publish(fresh());
      const before = await end();

      const again = await events.append(repository.head, event, metafiles);

      expect(again).toEqual(first);
      expect(await end()).toBe(before);
    });

    test('gives many that come at once an outcome each', async () => {
      const repositories = Array.from({ length: 40 }, (_, n) => fresh(n % 2 ? 'много' : `'"{,}\\`));
      const drafts = repositories.map((repository, n) => ({
        head: repository.head,
        ...publication(repository, n < 20 ? `at once ${n}` : 'the same bytes'),
      }));
      const [lost, stale, unstorable] = drafts;
      if (!lost || !stale || !unstorable) throw new RangeError('too few');
      const before = await end();
      const first = await events.append(lost.head, lost.event, lost.metafiles);
      await storyteller(events).publish(emptyRepository(stale.head.gun));
      const broken = { ...unstorable.event, at: 'yesterday' };

      const outcomes = await Promise.allSettled(
        drafts.map(({ head, event, metafiles }) =>
          events.append(head, event === unstorable.event ? broken : event, metafiles),
        ),
      );

      expect(outcomes.slice(0, 3)).toEqual([
        { status: 'fulfilled', value: first },
        { status: 'rejected', reason: expect.any(WrongExpectedVersion) },
        { status: 'rejected', reason: expect.objectContaining({ code: 'UNSTORABLE_EVENT' }) },
      ]);
      const rest = outcomes.slice(3).map((outcome) => {
        if (outcome.status === 'rejected') throw outcome.reason;
        return outcome.value;
      });
      expect(rest.map(({ event }) => event)).toEqual(drafts.slice(3).map(({ event }) => event));
      const added = await events.readAfter(before + 2, 100);
      expect(added.map(({ position }) => position)).toEqual(rest.map((_, n) => before + 3 + n));
      expect(added).toEqual(rest.toSorted((a, b) => a.position - b.position));
      const refs = drafts.slice(3).flatMap(({ metafiles }) => metafiles);
      const bytes = await events.readBytes(refs.map(({ sha256 }) => sha256));
      for (const file of refs) {
        expect(Buffer.from(bytes.get(file.sha256) ?? []).equals(file.bytes)).toBe(true);
      }
    });

    test('keeps the order of one stream when events of others come along', async () => {
      const writers = Array.from({ length: 12 }, () => fresh());
      await Promise.all(writers.map((start) => publishOften(events, start, 5)));

      for (const { head } of writers) {
        expect(firstBrokenLink(await events.readStream(head.gun, 0))).toBeUndefined();
      }
    });

    test('lets exactly one of 20 writers win each version', async () => {
      const writers = await Promise.all(Array.from({ length: 5 }, () => log.open()));
      let repository = fresh();
      for (let round = 1; round <= 5; round += 1) {
        const attempts = await Promise.allSettled(
          Array.from({ length: 20 }, (_, n) => {
            const { event, metafiles } = publication(repository, `writer ${n} round ${round}`);
            const writer = writers[n % writers.length] ?? events;
            return writer.append(repository.head, event, metafiles);
          }),
        );
        const won = attempts.flatMap((attempt) =>
          attempt.status === 'fulfilled' ? [attempt.value] : [],
        );
        const lost = attempts.flatMap((attempt) =>
          attempt.status === 'rejected' ? [attempt.reason] : [],
        );

        expect(won).toEqual([expect.objectContaining({ version: round })]);
        expect(lost.filter((error) => !(error instanceof WrongExpectedVersion))).toEqual([]);
        expect(await events.readStream(repository.head.gun, round - 1)).toEqual(won);
        repository = { ...repository, head: { ...repository.head, ...head(won) } };
      }
      await Promise.all(writers.map((writer) => writer.close()));
    });
  });

  describe('readStream', () => {
    test('gives everybody who asks at once what they asked for', async () => {
      const { publish } = storyteller(events);
      const told = await Promise.all(
        [fresh(), fresh('с'), fresh()].map(async (start) => {
          const one = await publish(start);
          const two = await publish(one.repository);
          return [one.recorded, two.recorded];
        }),
      );
      const questions = told.flatMap((stream) =>
        [0, 2, 1, 0].map((after) => ({ stream, after, gun: stream[0]?.event.gun })),
      );

      const answers = await Promise.all([
        ...questions.map(({ gun, after }) => events.readStream(gunOf(gun ?? ''), after)),
        events.readStream(gunOf('never/heard/of'), 0),
      ]);

      expect(answers).toEqual([...questions.map(({ stream, after }) => stream.slice(after)), []]);
    });
  });

  describe('readAfter', () => {
    test('gives a reader at the tail every event once and in order while 8 writers append', async () => {
      const writers = await Promise.all(Array.from({ length: 8 }, () => log.open()));
      const before = await end();
      const seen: RecordedEvent[] = [];
      let writing = true;
      const tail = async () => {
        let position = before;
        for (;;) {
          const last = !writing;
          const batch = await events.readAfter(position, 7);
          seen.push(...batch);
          position = batch.at(-1)?.position ?? position;
          if (last && batch.length === 0) return;
          await new Promise((resume) => setTimeout(resume, 1));
        }
      };
      const tailing = tail();
      await Promise.all(writers.map((writer) => publishOften(writer, fresh(), 25)));
      writing = false;
      await tailing;

      expect(seen.map(({ position }) => position)).toEqual(
        Array.from({ length: 200 }, (_, n) => before + 1 + n),
      );
      await Promise.all(writers.map((writer) => writer.close()));
    });

    test('gives nothing after the end', async () => {
      expect(await events.readAfter(await end(), 10)).toEqual([]);
      expect(await events.readStream(gunOf('never/heard/of'), 0)).toEqual([]);
    });
  });

  describe('readBytes', () => {
    test('gives the bytes that are stored and leaves the others out', async () => {
      const { publish } = storyteller(events);
      const { metafiles } = await publish(fresh(), ['root', 'targets']);
      const missing = metafile('root', 99n, 'never stored').sha256;

      const found = await events.readBytes([...metafiles.map(({ sha256 }) => sha256), missing]);

      expect(new Map([...found].map(([sha256, bytes]) => [sha256, [...bytes]]))).toEqual(
        new Map(metafiles.map(({ sha256, bytes }) => [sha256, [...bytes]])),
      );
    });

    test('gives bytes that several events name', async () => {
      const metafiles = [
        metafile('targets', 1n, 'the same'),
        metafile('targets/a', 1n, 'the same'),
      ];
      for (const repository of [fresh(), fresh()]) {
        const event = publishUpdate(repository, { metafiles, at: at(), cause: {} });
        await events.append(repository.head, event, metafiles);
      }

      expect((await events.readBytes(metafiles.map(({ sha256 }) => sha256))).size).toBe(2);
    });
  });

  describe('subscribe', () => {
    test('tells a subscriber that whoever appended also projects', async () => {
      const wake = vi.fn<(appended: AppendOptions) => void>();
      const unsubscribe = await events.subscribe(wake);
      wake.mockClear();
      const projecting: EventStore = {
        ...events,
        append: (head, event, files) => events.append(head, event, files, { projects: true }),
      };

      const { repository } = await storyteller(projecting).publish(fresh());
      await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(1), { timeout: 5_000 });
      expect(wake.mock.lastCall?.[0].projects).toBe(true);
      await storyteller(events).publish(repository);
      await vi.waitFor(() => expect(wake).toHaveBeenCalledTimes(2), { timeout: 5_000 });
      expect(wake.mock.lastCall?.[0].projects ?? false).toBe(false);
      await unsubscribe();
    });

    test('wakes a subscriber after an append by anybody, until it unsubscribes', async () => {
      const other = await log.open();
      const wake = vi.fn<() => void>();
      const unsubscribe = await events.subscribe(wake);
      wake.mockClear();

      const { repository } = await storyteller(other).publish(fresh());
      await vi.waitFor(() => expect(wake).toHaveBeenCalled(), { timeout: 5_000, interval: 5 });
      await unsubscribe();
      wake.mockClear();
      await storyteller(other).publish(repository);
      await new Promise((resume) => setTimeout(resume, 50));

      expect(wake).not.toHaveBeenCalled();
      await other.close();
    });
  });

  test('an empty stream has a head that a first event can follow', async () => {
    const { head } = fresh();
    expect(head).toEqual(emptyHead(head.gun));
    expect(await events.readStream(head.gun, 0)).toEqual([]);
  });
}

async function publishOften(events: EventStore, start: Repository, times: number): Promise<void> {
  const { publish } = storyteller(events);
  let repository = start;
  for (let n = 0; n < times; n += 1) ({ repository } = await publish(repository));
}

const ref = ({ bytes, ...file }: ReturnType<typeof metafile>) => {
  return { ...file, length: bytes.length };
};

function head(recorded: readonly RecordedEvent[]) {
  const last = recorded.at(-1);
  return last === undefined ? {} : { version: last.version, hash: last.hash };
}
