import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `npm test` finds or fetches the real client and says where it is. */
export const NOTARY = process.env['NOTARY_CLIENT'] ?? 'notary';

export interface NotaryResult {
  readonly code: number;
  /** What it printed, on both streams. */
  readonly output: string;
}

/** One user of the real `notary` client: a trust directory of their own, with their keys. */
export interface NotaryUser {
  /** Where the user keeps files. */
  readonly directory: string;
  /** Runs `notary` and gives back what it printed. Throws when it fails. */
  run(...args: readonly string[]): Promise<string>;
  /** Runs `notary`, however it ends. */
  attempt(...args: readonly string[]): Promise<NotaryResult>;
  /** The same user talking to another server. */
  at(url: string): NotaryUser;
  /** The same files, used by somebody who logs in with `name:password`. */
  loggedIn(login: string): NotaryUser;
  remove(): void;
}

export function createNotaryUser(url: string, caFile: string): NotaryUser {
  const directory = mkdtempSync(join(tmpdir(), 'notary-user-'));
  const userAt = (server: string, login = ''): NotaryUser => {
    const attempt = (...args: readonly string[]) =>
      runNotary(server, caFile, directory, login, args);
    return {
      directory,
      attempt,
      async run(...args) {
        const { code, output } = await attempt(...args);
        if (code !== 0) throw new Error(`notary ${args.join(' ')} failed (${code}): ${output}`);
        return output;
      },
      at: (other) => userAt(other, login),
      loggedIn: (other) => userAt(server, other),
      remove: () => rmSync(directory, { recursive: true, force: true }),
    };
  };
  return userAt(url);
}

function runNotary(
  url: string,
  caFile: string,
  directory: string,
  login: string,
  args: readonly string[],
): Promise<NotaryResult> {
  const passphrase = 'a test passphrase';
  const child = spawn(
    NOTARY,
    ['-s', url, '--tlscacert', caFile, '-d', join(directory, 'trust'), ...args],
    {
      cwd: directory,
      env: {
        PATH: process.env['PATH'],
        HOME: directory,
        NOTARY_AUTH: Buffer.from(login).toString('base64'),
        NOTARY_ROOT_PASSPHRASE: passphrase,
        NOTARY_TARGETS_PASSPHRASE: passphrase,
        NOTARY_SNAPSHOT_PASSPHRASE: passphrase,
        NOTARY_DELEGATION_PASSPHRASE: passphrase,
      },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: 60_000,
    },
  );
  // `delegation remove` and `key rotate root` ask for a yes; others may end before they hear it.
  child.stdin.on('error', () => {});
  child.stdin.end('yes\n');
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
