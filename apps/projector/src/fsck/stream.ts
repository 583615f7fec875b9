import { createHash } from 'node:crypto';
import {
  deserialise,
  emptyHead,
  eventHash,
  EventLogError,
  serialise,
  type MetafileRef,
  type RecordedEvent,
  type RepositoryEvent,
  type RepositoryRestored,
} from '@scrivener/events';
import {
  certificatesExpireAt,
  envelopeOf,
  expiryOf,
  keyId,
  NOTHING_TRUSTED,
  sha256Of,
  TufError,
  verifyPublished,
  type Gun,
  type Metafile,
  type Sha256,
  type TrustedPast,
  type UploadedFile,
} from '@scrivener/tuf';
import type { Finding } from './finding.ts';

/** A row of `events` as it lies there. */
export interface StoredRow {
  readonly position: number;
  readonly gun: string;
  readonly gunSha256: string;
  readonly version: number;
  readonly type: string;
  readonly at: string;
  /** Whether it has microseconds, which no event has. */
  readonly isFiner: boolean;
  /** As text. */
  readonly data: string;
  readonly cause: string;
  readonly hash: string;
}

/** What else tells of an event: its rows in the read model say when it happened. */
type Witness = (position: number) => string | undefined;

export interface StreamCheck {
  /** The next events of the stream, by version, with the files that they name. */
  next(
    rows: readonly StoredRow[],
    files: ReadonlyMap<string, Uint8Array>,
    witness: Witness,
  ): readonly RecordedEvent[];
  /** What was found; to be called after the last event. */
  findings(): readonly Finding[];
}

/** The hash that a row has, and the one that it should have. */
interface Link {
  readonly stored: string;
  readonly computed: string;
}

/**
 * Checks one stream from its first event on: its chain of hashes, its files, and all that was signed.
 * `name` is the GUN where it is known from elsewhere. Keeps what its roles need, however long it is.
 */
export function checkStream(): StreamCheck {
  const found: Finding[] = [];
  let gun: string | undefined;
  let life: Life = NO_LIFE;
  let version = 0;
  let position = 0;
  /** What the next hash may build on: two where this row's own hash is in doubt, none after a gap. */
  let before: Link | undefined;
  let doubt: (() => Finding) | undefined;

  const settle = (asChanged?: 'hash') => {
    if (doubt !== undefined) {
      const finding = doubt();
      const reason = 'the hash itself was changed: the next one follows from what it should be';
      found.push(asChanged === undefined ? finding : { ...finding, column: 'hash', reason });
    }
    doubt = undefined;
  };

  const checkPlace = (row: StoredRow) => {
    const place = { position: row.position, gun: row.gun, version: row.version };
    if (row.version > version + 1) {
      const last = row.version - 1;
      const range = last === version + 1 ? `${last}` : `${version + 1} to ${last}`;
      const reason = `version ${range} of this stream is missing before it`;
      found.push({ kind: 'chain', ...place, column: 'version', reason });
    } else if (row.version <= version) {
      const reason = 'two events have this version';
      found.push({ kind: 'chain', ...place, column: 'version', reason });
    }
    if (row.position <= position) {
      const reason = `it stands before version ${version} of its stream, at ${position}`;
      found.push({ kind: 'chain', ...place, column: 'position', reason });
    }
    const digest = createHash('sha256').update(row.gun).digest('hex');
    if (digest !== row.gunSha256) {
      const reason = 'gun_sha256 is not the digest of the GUN';
      found.push({ kind: 'event', ...place, column: 'gun_sha256', reason });
    }
  };

  const checkHash = (row: StoredRow, event: RepositoryEvent | undefined, witness: Witness) => {
    const place = { position: row.position, gun: row.gun, version: row.version };
    const gap = row.version !== version + 1;
    const base = before ?? { stored: emptyHead(row.gun as Gun).hash, computed: '' };
    if (event === undefined) {
      settle();
      before = { stored: row.hash, computed: row.hash };
      return;
    }
    const from = (previous: string, changed: Partial<RepositoryEvent> = {}, number = row.version) =>
      eventHash(previous, {
        gun: changed.gun ?? event.gun,
        version: number,
        event: { ...event, ...changed } as RepositoryEvent,
      });
    const computed = from(base.stored);
    if (computed === row.hash) settle();
    else if (base.computed !== '' && from(base.computed) === row.hash) settle('hash');
    else {
      settle();
      const seen = witness(row.position);
      const atWas = seen !== undefined && from(base.stored, { at: seen }) === row.hash;
      const gunWas = gun !== undefined && from(base.stored, { gun: gun as Gun }) === row.hash;
      const versionWas = from(base.stored, {}, version + 1) === row.hash;
      const column = atWas ? 'at' : gunWas ? 'gun' : versionWas && gap ? 'version' : undefined;
      const reason = atWas
        ? `it was ${seen}: then its hash follows`
        : gunWas
          ? `it was ${JSON.stringify(gun)}: then its hash follows`
          : versionWas && gap
            ? `it was ${version + 1}: then its hash follows`
            : 'its hash does not follow from the one before and from what is in it';
      // after a gap nothing can be told, and the gap was
      if (column !== undefined || !gap) {
        doubt = () => ({ kind: 'chain', ...place, ...(column && { column }), reason });
      }
    }
    before = { stored: row.hash, computed: doubt === undefined ? '' : computed };
  };

  return {
    next(rows, files, witness) {
      const recorded: RecordedEvent[] = [];
      for (const row of rows) {
        checkPlace(row);
        const event = readEvent(row, found);
        checkHash(row, event, witness);
        if (event !== undefined) {
          const place = { position: row.position, gun: row.gun, version: row.version };
          const { flaws, life: after } = checkEvent(event, { files, life, version: row.version });
          for (const flaw of flaws) found.push({ ...place, ...flaw });
          life = after;
          recorded.push({ position: row.position, version: row.version, hash: row.hash, event });
        }
        gun ??= row.gun;
        version = row.version;
        position = Math.max(position, row.position);
      }
      return recorded;
    },
    findings() {
      settle();
      return found;
    },
  };
}

function readEvent(row: StoredRow, found: Finding[]): RepositoryEvent | undefined {
  const place = { position: row.position, gun: row.gun, version: row.version };
  try {
    const { type, gun, at } = row;
    const event = deserialise({
      type,
      gun,
      at,
      data: JSON.parse(row.data),
      cause: JSON.parse(row.cause),
    });
    if (row.isFiner) {
      const reason = 'it has microseconds, and none were written';
      found.push({ kind: 'event', ...place, column: 'at', reason });
    }
    const written = serialise(event);
    for (const column of ['data', 'cause'] as const) {
      if (written[column] === row[column]) continue;
      const reason = 'it says the same in other words than were written';
      found.push({ kind: 'event', ...place, column, reason });
    }
    return event;
  } catch (error) {
    if (!(error instanceof EventLogError || error instanceof SyntaxError)) throw error;
    const cause = error.cause instanceof Error ? `: ${error.cause.message}` : '';
    found.push({ kind: 'event', ...place, reason: `${error.message}${cause}` });
    return undefined;
  }
}

type EventFlaw = Pick<Finding, 'kind' | 'reason' | 'role' | 'column'>;

/** What a repository is from its first publish to its deletion. */
interface Life {
  readonly past: TrustedPast;
  /** Checksums, by role. */
  readonly current: ReadonlyMap<string, string>;
  /** Version of the event that began it; 0 before the first publish. */
  readonly since: number;
  /** The one that was deleted last, which a restoration may bring back, and by which version. */
  readonly before?: { readonly life: Life; readonly until: number };
}

const NO_LIFE: Life = { past: NOTHING_TRUSTED, current: new Map(), since: 0 };

interface Scene {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly life: Life;
  /** Of the event in its stream. */
  readonly version: number;
}

function checkEvent(
  event: RepositoryEvent,
  { files, life, version }: Scene,
): { readonly flaws: readonly EventFlaw[]; readonly life: Life } {
  switch (event.type) {
    case 'RepositoryDeleted': {
      const { past, current, since } = life; // but not the one before it
      const before = { life: { past, current, since }, until: version };
      return { flaws: [], life: { ...NO_LIFE, before } };
    }
    case 'RepositoryRestored':
      return checkRestored(event, life);
    case 'KeyCreated': {
      const isNamed = keyId(event.data.key) === event.data.keyid;
      const reason = 'the keyid is not that of the key';
      return { flaws: isNamed ? [] : [{ kind: 'event', column: 'data', reason }], life };
    }
    case 'UpdatePublished':
    case 'RoleRenewed': {
      const flaws: EventFlaw[] = [];
      const metafiles: Metafile[] = [];
      for (const ref of event.data.metafiles) {
        const bytes = files.get(ref.sha256);
        const file = bytes && read({ ...ref, bytes });
        const wrong = file === undefined ? 'its bytes are missing' : misnamed(ref, file, event);
        if (wrong !== undefined) flaws.push({ kind: 'file', role: ref.role, reason: wrong });
        if (file !== undefined) metafiles.push(file);
      }
      const verified = verifyPublished(life.past, event.gun, metafiles, new Date(event.at));
      const current = new Map(life.current);
      for (const { role, sha256 } of event.data.metafiles) current.set(role, sha256);
      const since = life.since === 0 ? version : life.since;
      return {
        flaws: [...flaws, ...verified.flaws],
        life: { past: verified.past, current, since },
      };
    }
  }
}

/** A restoration brings back what was deleted, and nothing else. */
function checkRestored(
  { data }: RepositoryRestored,
  life: Life,
): { readonly flaws: readonly EventFlaw[]; readonly life: Life } {
  const flaw = { kind: 'event', column: 'data' } as const;
  const { before } = life;
  if (before === undefined) {
    return { flaws: [{ ...flaw, reason: 'there is no deletion that it takes back' }], life };
  }
  const { current, since } = before.life;
  const isSame =
    data.since === since &&
    data.until === before.until &&
    data.metafiles.length === current.size &&
    data.metafiles.every(({ role, sha256 }) => current.get(role) === sha256);
  const reason = 'it brings back something else than was deleted';
  return { flaws: isSame ? [] : [{ ...flaw, reason }], life: before.life };
}

/** Parsed once for all that looks at it; what is wrong with its form is found when it is verified. */
function read(file: Metafile): Metafile | UploadedFile {
  try {
    return { ...file, envelope: envelopeOf(file) };
  } catch (error) {
    if (!(error instanceof TufError)) throw error;
    return file;
  }
}

/** What an event says of a file and is not so. */
function misnamed(ref: MetafileRef, file: Metafile, { gun }: RepositoryEvent): string | undefined {
  const { bytes } = file;
  const actual: Sha256 = sha256Of(bytes);
  if (actual !== ref.sha256) return `its bytes have the checksum ${actual}, not ${ref.sha256}`;
  if (bytes.length !== ref.length) return `it has ${bytes.length} bytes, not ${ref.length}`;
  try {
    const expires = expiryOf(file).toISOString();
    if (expires !== ref.expires) return `it expires at ${expires}, not at ${ref.expires}`;
    if (ref.certificatesExpire === undefined) return undefined;
    const end = certificatesExpireAt(file, gun)?.toISOString();
    if (end !== ref.certificatesExpire) {
      return `its certificates expire at ${end ?? 'no time'}, not at ${ref.certificatesExpire}`;
    }
  } catch (error) {
    // what is wrong with the file itself is found when it is verified
    if (!(error instanceof TufError) && !(error instanceof Error && error.name === 'Refusal')) {
      throw error;
    }
  }
  return undefined;
}
