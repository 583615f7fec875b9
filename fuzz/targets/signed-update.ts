import { DEFAULT_GUARD, TufError, type RoleName } from '@scrivener/tuf';
import { Refusal } from '../../libs/tuf/src/errors.ts';
import type { Part } from '../../libs/tuf/src/testing/publisher.ts';
import { Repository } from '../../libs/tuf/src/testing/repository.ts';
import {
  gun,
  now,
  ownerOf,
  signedPartOf,
  signedText,
} from '../../libs/tuf/src/testing/scenario.ts';
import { addDays } from '../../libs/tuf/src/times.ts';
import { bytesOf, textOf, verdictOf, type Target } from '../target.ts';

/**
 * The input is the signed part of one role, signed well by the keys of that role: what a thief of
 * these keys can publish. It is refused as a `TufError`; or accepted, and then the server can sign for
 * it, follow it, and renew what has expired.
 */
export function signedUpdate(name: string, role: RoleName): Target {
  return {
    name,
    words: [
      '"_type":',
      '"version":',
      '"expires":',
      '"keys":{',
      '"roles":',
      '"threshold":',
      '"keyids":[',
      '"meta":{',
      '"hashes":{',
      '"sha256":',
      '"targets":{',
      '"delegations":{',
      '"paths":[""]',
      '"name":"targets/a"',
      '}',
      ']',
      ',',
      '{',
    ],
    runs: 400,
    open: () => {
      const snapshotOfServer = role !== 'snapshot';
      const owner = ownerOf(new Repository(gun, now), { snapshot: snapshotOfServer });
      owner.delegate('targets/a');
      const parts: readonly Part[] = [
        owner.root(),
        owner.targets({ file: 'content' }),
        owner.delegation('targets/a', { other: 'content' }),
        ...(snapshotOfServer ? [] : [owner.snapshot()]),
      ];
      const original = parts.find((part) => part.role === role);
      if (original === undefined) throw new Error(`there is no ${role}`);
      return {
        seeds: [bytesOf(signedPartOf(original))],
        run: (input) =>
          verdictOf(
            () => {
              const changed = signedText(role, textOf(input), owner.keysOf(role));
              const published = new Repository(gun, now);
              published.guard = DEFAULT_GUARD;
              published.publish(...parts.map((part) => (part.role === role ? changed : part)));
              followed(published);
            },
            TufError,
            Refusal,
            SyntaxError,
          ),
      };
    },
  };
}

/** What was accepted once must not be in the way of what comes next. */
function followed(repository: Repository): void {
  try {
    repository.publish();
  } catch (error) {
    // The owner may have taken a role from the server; but what is stored has to verify.
    const isStranded = !(error instanceof TufError) || error.code === 'UNTRUSTED_STATE';
    if (isStranded) throw new Error('what was accepted cannot be followed', { cause: error });
  }
  repository.now = addDays(now, 20);
  try {
    repository.renew();
  } catch (error) {
    throw new Error('what was accepted cannot be renewed', { cause: error });
  }
}
