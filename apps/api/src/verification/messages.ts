import type { NewMetafile } from '@scrivener/events';
import {
  GuardRefusal,
  TufError,
  type Metafile,
  type RoleName,
  type SigningRequest,
  type TufErrorCode,
  type Update,
} from '@scrivener/tuf';
import type { Verified } from './verify.ts';

// What goes between the process and its thread is copied on the way: plain data, and no bytes back.

/** What the thread is asked to do. */
export type Task =
  | { readonly do: 'read'; readonly role: RoleName; readonly bytes: Uint8Array }
  | { readonly do: 'verify'; readonly update: UpdateMessage };

/** An update whose files are to be read anew, for what was read of them is no plain data. */
export interface UpdateMessage extends Omit<Update, 'upload'> {
  readonly upload: readonly Pick<Metafile, 'role' | 'bytes'>[];
}

/** Of a file that was read. */
export type ReadAnswer = Pick<Metafile, 'version' | 'sha256'>;

/** `Verified`, whose files are named by their roles. */
export interface VerifyAnswer {
  readonly files: readonly Pick<NewMetafile, 'role' | 'expires' | 'certificatesExpire'>[];
  readonly request: SigningRequest;
  /** Else it is the stored one. */
  readonly rootIsUploaded: boolean;
}

/** The thread's answer. A refusal travels as a value, for a thrown error loses its class on the way. */
export type Told<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly refusal: RefusalMessage };

export interface RefusalMessage {
  readonly code: TufErrorCode;
  readonly message: string;
  readonly missing: RoleName | undefined;
  /** Where the guard said so: its words, and the uploaded files that are to blame. */
  readonly guard: { readonly message: string; readonly roles: readonly RoleName[] } | undefined;
}

type ByRole = ReadonlyMap<RoleName, Metafile>;

export function refusalMessage({ code, message, missing, cause }: TufError): RefusalMessage {
  const guard =
    cause instanceof GuardRefusal
      ? { message: cause.message, roles: cause.files.map(({ role }) => role) }
      : undefined;
  return { code, message, missing, guard };
}

/** `upload`: of each role the file that counts. */
export function refusalOf(
  { code, message, missing, guard }: RefusalMessage,
  upload: ByRole,
): TufError {
  const cause = guard && new GuardRefusal(guard.message, filesOf(guard.roles, upload));
  return new TufError(code, message, { cause, ...(missing !== undefined && { missing }) });
}

function filesOf(roles: readonly RoleName[], upload: ByRole): readonly Metafile[] {
  return roles.map((role) => fileOf(role, upload));
}

function fileOf(role: RoleName, upload: ByRole): Metafile {
  const file = upload.get(role);
  if (file === undefined) throw new Error(`the thread tells of ${role}, which was not uploaded`);
  return file;
}

export function verifyAnswer({ files, request, root }: Verified): VerifyAnswer {
  const { snapshot, ...timestamp } = request.timestamp;
  return {
    files: files.map(({ role, expires, certificatesExpire }) => ({
      role,
      expires,
      ...(certificatesExpire !== undefined && { certificatesExpire }),
    })),
    request: snapshot === undefined ? request : { ...request, timestamp },
    rootIsUploaded: files.some(({ sha256 }) => sha256 === root.sha256),
  };
}

/** With the bytes that are here. A request that signs no snapshot is about the uploaded one. */
export function verifiedOf(
  { files, request, rootIsUploaded }: VerifyAnswer,
  upload: ByRole,
  stored: ByRole,
): Verified {
  const { timestamp } = request;
  return {
    files: files.map(({ role, ...more }) => {
      const { version, bytes, sha256 } = fileOf(role, upload);
      return { role, version, bytes, sha256, ...more, madeBy: 'client' };
    }),
    request:
      request.snapshot === undefined
        ? { ...request, timestamp: { ...timestamp, snapshot: fileOf('snapshot', upload) } }
        : request,
    root: fileOf('root', rootIsUploaded ? upload : stored),
  };
}
