import { parseOptions, UsageError } from '@scrivener/runtime';
import { CA_FILE } from '../fixtures/certificates.ts';
import type { Format } from './report.ts';
import type { Watched } from './usage.ts';

/** What is measured where nothing is named; and the rest, which takes long or fills a database. */
const BENCHES = ['reads', 'publish', 'init', 'mixed', 'big', 'costs', 'replay', 'start'] as const;
const ON_REQUEST = ['flat'] as const;
const EVERYTHING = [...BENCHES, ...ON_REQUEST];
type Bench = (typeof EVERYTHING)[number];

export interface Options {
  readonly benches: readonly Bench[];
  /** Of a server that runs already; ours is started where absent. */
  readonly url: string | undefined;
  readonly caFile: string;
  /** Programs behind `url` on this machine, whose use of it is told. */
  readonly watched: readonly Watched[];
  /** Whether the old server is started and measured as well. */
  readonly old: boolean;
  readonly runs: number;
  /** Of one run. */
  readonly seconds: number;
  /** How many publish at a time. */
  readonly clients: readonly number[];
  /** How many are read. */
  readonly collections: number;
  /** Of the targets in a targets file. */
  readonly files: readonly number[];
  readonly entries: number;
  readonly replayed: number;
  readonly guns: number;
  readonly versions: number;
  /** Collections that are there before anything is published. */
  readonly filled: number;
  /** Processes of an API that is measured besides; none where it is 1. */
  readonly workers: number;
  readonly format: Format;
  readonly json: string | undefined;
  readonly compare: string | undefined;
}

export const USAGE = `usage: npm run bench -- [NAME …] [options]
Starts the stack in its production shape and measures it beside the limits of this machine. Without
names, all but flat. See docs/performance.md.
  reads     metadata by name and by checksum, and the four reads of a pull
  publish   updates of many collections
  init      first publishes of new collections
  mixed     98 % pulls and 2 % publishes, 16 at a time
  big       how long the API's event loop waits while targets files of some megabytes are published
  costs     what publishes make PostgreSQL and Redis do and keep
  replay    the read model from the log
  start     the second \`npm start\`, until it is healthy
  flat      the same work at the start, at many versions, and at many collections
  all       all of these
  --url URL          measure this server instead: any that speaks Notary's protocol, over https
  --ca FILE          whom to believe there; the CA of development where absent
  --pid NAME=PID     a process behind it on this machine whose CPU and memory to tell; may be repeated
  --old              the old server as well, in its production shape, from Debian's package
  --workers N        beside one with a single process, an API of so many (\`server.workers\`)
  --runs N           of each side (5)
  --seconds N        of each run (3); of wrk 1 at least
  --clients N,N      that publish at a time (1,16,64)
  --collections N    that are read (1000)
  --files N,N        targets in a targets file (10,1000)
  --entries N        targets in the files of big (75000)
  --replayed N       collections in the log of replay (10000)
  --guns N           collections that flat fills a database with (1000000)
  --versions N       of each collection that flat publishes (1000)
  --filled N         collections that are in the database before all but flat begins (0)
  --json FILE        write all figures there
  --compare FILE     show ratios to the figures that an earlier run wrote there
  --markdown         print tables for a page
  --help             this text`;

/** `undefined` where help was asked for. Throws `UsageError`. */
export function readOptions(words: readonly string[]): Options | undefined {
  const { values, positionals } = parse(words);
  if (values.help === true) return undefined;
  const names = positionals.flatMap((word) => (word === 'all' ? EVERYTHING : benchOf(word)));
  return {
    benches: names.length === 0 ? BENCHES : names,
    url: values.url?.replace(/\/+$/, ''),
    caFile: values.ca ?? CA_FILE,
    watched: (values.pid ?? []).map(watchedOf),
    old: values.old === true,
    runs: whole('runs', values.runs),
    seconds: seconds(values.seconds),
    clients: wholes('clients', values.clients),
    collections: whole('collections', values.collections),
    files: wholes('files', values.files),
    entries: whole('entries', values.entries),
    replayed: whole('replayed', values.replayed),
    guns: whole('guns', values.guns),
    versions: whole('versions', values.versions),
    workers: whole('workers', values.workers),
    filled: values.filled === '0' ? 0 : whole('filled', values.filled),
    format: values.markdown === true ? 'markdown' : 'text',
    json: values.json,
    compare: values.compare,
  };
}

function parse(words: readonly string[]) {
  return parseOptions(words, {
    allowPositionals: true,
    options: {
      url: { type: 'string' },
      ca: { type: 'string' },
      pid: { type: 'string', multiple: true },
      old: { type: 'boolean' },
      runs: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '3' },
      clients: { type: 'string', default: '1,16,64' },
      collections: { type: 'string', default: '1000' },
      files: { type: 'string', default: '10,1000' },
      entries: { type: 'string', default: '75000' },
      replayed: { type: 'string', default: '10000' },
      guns: { type: 'string', default: '1000000' },
      versions: { type: 'string', default: '1000' },
      filled: { type: 'string', default: '0' },
      workers: { type: 'string', default: '1' },
      markdown: { type: 'boolean' },
      json: { type: 'string' },
      compare: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
}

function benchOf(word: string): Bench {
  const bench = EVERYTHING.find((each) => each === word);
  if (bench === undefined) {
    throw new UsageError(`there is ${EVERYTHING.join(', ')}, all; not ${word}`);
  }
  return bench;
}

function watchedOf(text: string): Watched {
  const [, name, pid] = /^([\w:.-]+)=([1-9]\d{0,9})$/.exec(text) ?? [];
  if (name === undefined) throw new UsageError(`--pid wants NAME=PID, not ${text}`);
  return { name, pid: Number(pid) };
}

const wholes = (name: string, text: string) => text.split(',').map((each) => whole(name, each));

function whole(name: string, text: string): number {
  if (!/^[1-9]\d{0,7}$/.test(text)) throw new UsageError(`--${name} wants whole numbers above 0`);
  return Number(text);
}

function seconds(text: string): number {
  if (!/^\d{1,5}(?:\.\d)?$/.test(text) || Number(text) === 0) {
    throw new UsageError('--seconds wants a number above 0, with one decimal at most');
  }
  return Number(text);
}
