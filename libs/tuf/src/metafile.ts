import { createHash } from 'node:crypto';
import type { Envelope } from './envelope.ts';
import type { RoleName } from './role.ts';

declare const sha256: unique symbol;

/** SHA-256 in 64 lower-case hex digits: the name under which exact bytes are stored and fetched. */
export type Sha256 = string & { readonly [sha256]: true };

/** One role's signed JSON as the exact bytes that were uploaded or made. Never re-serialised. */
export interface Metafile {
  readonly role: RoleName;
  /** `signed.version`; an int64 in Notary's dialect, so a bigint here. */
  readonly version: bigint;
  readonly bytes: Uint8Array;
  readonly sha256: Sha256;
}

/** A metafile of an upload, read once: its form is known to be right, its content is not judged. */
export interface UploadedFile extends Metafile {
  readonly envelope: Envelope;
}

/** Whether it is an upload that has been read, or bytes alone. */
export function isRead(file: Metafile): file is UploadedFile {
  return 'envelope' in file;
}

export function sha256Of(bytes: Uint8Array): Sha256 {
  return createHash('sha256').update(bytes).digest('hex') as Sha256;
}
