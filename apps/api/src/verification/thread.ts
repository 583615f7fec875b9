// The thread that reads and verifies large files: one task after the other.

import { parentPort } from 'node:worker_threads';
import { parseMetafile, TufError, type RoleName, type UploadedFile } from '@scrivener/tuf';
import {
  refusalMessage,
  verifyAnswer,
  type ReadAnswer,
  type Task,
  type Told,
  type UpdateMessage,
  type VerifyAnswer,
} from './messages.ts';
import { LARGE, verify } from './verify.ts';

/** The large file that was read last: most are verified right after that. */
let last: UploadedFile | undefined;

parentPort?.on('message', (task: Task) => parentPort?.postMessage(told(() => perform(task))));

function perform(task: Task): ReadAnswer | VerifyAnswer {
  switch (task.do) {
    case 'read': {
      const { version, sha256 } = read(task.role, task.bytes);
      return { version, sha256 };
    }
    case 'verify':
      return verifyAnswer(verifyMessage(task.update));
  }
}

function verifyMessage(update: UpdateMessage) {
  const upload = update.upload.map(({ role, bytes }) => read(role, bytes));
  return verify({ ...update, upload });
}

function read(role: RoleName, bytes: Uint8Array): UploadedFile {
  if (last?.role === role && Buffer.compare(last.bytes, bytes) === 0) return last;
  const file = parseMetafile(role, bytes);
  if (bytes.byteLength > LARGE) last = file;
  return file;
}

function told<Value>(work: () => Value): Told<Value> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (!(error instanceof TufError)) throw error; // ends the thread, and so this task
    return { ok: false, refusal: refusalMessage(error) };
  }
}
