import { isDeepStrictEqual } from 'node:util';
import { EventLogError } from '@scrivener/events';
import { deserialise, serialise } from '../../libs/events/src/event-json.ts';
import { recordedEvent } from '../../libs/events/src/postgres/event-row.ts';
import { textOf, verdictOf, type Target } from '../target.ts';

/** The input is one row of the log as JSON: an event that is written again as it was, or a refusal. */
export const event: Target = {
  name: 'event',
  words: [
    '"type":"KeyCreated"',
    '"type":"UpdatePublished"',
    '"type":"RepositoryDeleted"',
    '"gun":"a"',
    '"at":"',
    '"data":{',
    '"cause":{',
    '"metafiles":[',
    '"role":"targets/a"',
    '"version":"1"',
    '"sha256":"',
    '"length":',
    '"expires":"',
    '"madeBy":"client"',
    '}',
    ']',
    ',',
  ],
  runs: 3_000,
  open: () => ({
    run: (input) => {
      const row = rowOf(input);
      if (row === undefined) return 'refusal';
      return verdictOf(() => {
        const { event } = recordedEvent(row);
        const again = deserialise(parsed(serialise(event)));
        if (!isDeepStrictEqual(again, event)) throw new Error('written again it is another event');
      }, EventLogError);
    },
  }),
};

interface Row {
  readonly position: string;
  readonly version: number;
  readonly hash: string;
  readonly type: string;
  readonly gun: string;
  readonly at: string;
  readonly data: unknown;
  readonly cause: unknown;
}

/** Columns have types, which a database keeps; only what is in them is anybody's. */
function rowOf(input: Uint8Array): Row | undefined {
  let json: unknown;
  try {
    json = JSON.parse(textOf(input)) as unknown;
  } catch {
    return undefined;
  }
  if (typeof json !== 'object' || json === null) return undefined;
  const given: Readonly<Record<string, unknown>> = { ...json };
  const text = (name: string) => (typeof given[name] === 'string' ? given[name] : '');
  const { data, cause } = given;
  const columns = { type: text('type'), gun: text('gun'), at: text('at'), data, cause };
  return { position: '1', version: 1, hash: 'ab', ...columns };
}

function parsed(stored: ReturnType<typeof serialise>) {
  const { data, cause } = stored;
  return { ...stored, data: JSON.parse(data) as unknown, cause: JSON.parse(cause) as unknown };
}
