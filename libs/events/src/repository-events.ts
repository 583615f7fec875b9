import type { Gun, KeyId, PublicKey, RoleName, ServerRole, Sha256 } from '@scrivener/tuf';

/** Points at the exact bytes of a metafile, which the log keeps once under their sha256. */
export interface MetafileRef {
  readonly role: RoleName;
  readonly version: bigint;
  readonly sha256: Sha256;
  /** Bytes. */
  readonly length: number;
  /** RFC 3339 in UTC with milliseconds. */
  readonly expires: string;
  /**
   * Of a root: when so many of its certificates will have expired that it no longer verifies, in
   * the form of `expires`. Absent where there are none, and in events from before this was noted.
   */
  readonly certificatesExpire?: string;
  /** `server`: signed for this event with keys of the server's; it can make the next one itself. */
  readonly madeBy: 'client' | 'server';
}

/** Who asked, as far as it is known; kept for the audit, never decided upon. */
export interface Cause {
  readonly requestId?: string;
  /** The `sub` of the token. */
  readonly subject?: string;
  /** The subject of the client's TLS certificate, as `CN=ci, O=Example`. */
  readonly certificate?: string;
  /** SHA-256 of that certificate's DER, 64 hex digits. */
  readonly certificateSha256?: string;
  /** Only where the operator wants it noted: the client's IP address. */
  readonly remoteAddress?: string;
  /** Of the trace that the request belongs to, 32 hex digits. */
  readonly traceId?: string;
  /** The span in it that what follows from the event hangs below; only where the trace is recorded. */
  readonly spanId?: string;
  /** Who typed a command: no request asked for it. */
  readonly operator?: string;
  /** Why they did, in their words. */
  readonly reason?: string;
}

/** One thing that happened to a repository. Written once, never changed, replayed for ever. */
interface Fact<Type extends string, Data> {
  readonly type: Type;
  readonly gun: Gun;
  /** RFC 3339 in UTC with milliseconds, read from the caller's clock. */
  readonly at: string;
  readonly cause: Cause;
  readonly data: Readonly<Data>;
}

/** The signer made a key pair for this repository; `key` is the public half. */
export type KeyCreated = Fact<'KeyCreated', { role: ServerRole; keyid: KeyId; key: PublicKey }>;
/** A publish: what the client uploaded and what was signed for it become current together. */
export type UpdatePublished = Fact<'UpdatePublished', { metafiles: readonly MetafileRef[] }>;
/** The server signed the next version of roles it holds the keys of; nothing else moved. */
export type RoleRenewed = Fact<'RoleRenewed', { metafiles: readonly MetafileRef[] }>;
/** All metadata of the repository is gone from the wire; its keys stay usable (WIRE §10). */
export type RepositoryDeleted = Fact<'RepositoryDeleted', Record<string, never>>;

/**
 * A deletion was taken back: the repository is what it was before, version by version. `metafiles` are
 * those that are current again; what else is on the wire again, the events of the stream tell from
 * version `since` to before `until`, which is the deletion (`retold` reads them).
 */
export type RepositoryRestored = Fact<
  'RepositoryRestored',
  { metafiles: readonly MetafileRef[]; since: number; until: number }
>;

export type RepositoryEvent =
  | KeyCreated
  | UpdatePublished
  | RoleRenewed
  | RepositoryDeleted
  | RepositoryRestored;
