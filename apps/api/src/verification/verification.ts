import { isRead, parseMetafile, type Metafile, type RoleName, type Update } from '@scrivener/tuf';
import {
  refusalOf,
  verifiedOf,
  type ReadAnswer,
  type Task,
  type Told,
  type VerifyAnswer,
} from './messages.ts';
import { createThread, type ThreadLimits } from './one-thread.ts';
import { LARGE, verify, type Verified } from './verify.ts';

/** An update whose files were read by `Verification.read`. */
interface UpdateToVerify extends Omit<Update, 'upload'> {
  readonly upload: readonly Metafile[];
}

/** Reads and judges uploads. What is large is left to a thread, so that nobody else has to wait for it. */
export interface Verification {
  /** See `parseMetafile`. Throws `TufError` `MALFORMED_JSON`, `Overloaded` and `Unavailable`. */
  read(role: RoleName, bytes: Uint8Array): Promise<Metafile>;
  /** See `verifyUpdate`. Throws `TufError`, `Overloaded` and `Unavailable`. */
  verify(update: UpdateToVerify): Promise<Verified>;
}

const LIMITS: ThreadLimits = { waiting: 16, taskMs: 60_000, idleMs: 30_000, heapMb: 1_536 };

export function createVerification(
  large: number = LARGE,
  limits: Partial<ThreadLimits> = {},
): Verification {
  const ask = createThread({ ...LIMITS, ...limits });
  const isLarge = ({ bytes }: Pick<Metafile, 'bytes'>) => bytes.byteLength > large;
  const askFor = async <Value>(task: Task, upload: readonly Metafile[]): Promise<Value> => {
    const told = (await ask(task)) as Told<Value>;
    if (told.ok) return told.value;
    throw refusalOf(told.refusal, byRole(upload));
  };

  return {
    async read(role, bytes) {
      if (!isLarge({ bytes })) return parseMetafile(role, bytes);
      const { version, sha256 } = await askFor<ReadAnswer>({ do: 'read', role, bytes }, []);
      return { role, version, sha256, bytes };
    },

    async verify(update) {
      const { upload, current } = update;
      if (![...upload, ...current.values()].some(isLarge)) {
        return verify({ ...update, upload: upload.map(asRead) });
      }
      const files = upload.map(({ role, bytes }) => ({ role, bytes }));
      const task: Task = { do: 'verify', update: { ...update, upload: files } };
      return verifiedOf(await askFor<VerifyAnswer>(task, upload), byRole(upload), current);
    },
  };
}

function asRead(file: Metafile) {
  return isRead(file) ? file : parseMetafile(file.role, file.bytes);
}

/** The last file of a role is the one that counts. */
function byRole(upload: readonly Metafile[]): ReadonlyMap<RoleName, Metafile> {
  return new Map(upload.map((file) => [file.role, file]));
}
