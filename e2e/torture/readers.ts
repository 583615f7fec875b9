import { setTimeout as sleep } from 'node:timers/promises';
import type { TortureClient } from './client.ts';
import type { Torment } from './collections.ts';
import type { History } from './history.ts';
import { sawAll } from './publishers.ts';
import type { Random } from './random.ts';
import { listed, sha256, verifyState } from './verifier.ts';

const NOT_FOUND = '404 METADATA_NOT_FOUND';

interface Reading {
  readonly client: TortureClient;
  readonly history: History;
  readonly random: Random;
}

/** Downloads whole states as a client does, verifies them, and expects never to be taken back. */
export async function readUntil(
  signal: AbortSignal,
  torments: readonly Torment[],
  { client, history, random }: Reading,
): Promise<number> {
  let states = 0;
  while (!signal.aborted) {
    const torment = random.pick(torments);
    const api = Math.floor(random.between(0, client.urls.length));
    if (await readState(torment, api, { client, history })) states += 1;
    else await sleep(50);
  }
  return states;
}

/** True where a whole state was there, and verified. */
export async function readState(
  torment: Torment,
  api: number,
  { client, history }: Omit<Reading, 'random'>,
): Promise<boolean> {
  const { gun, isVolatile } = torment;
  const floor = new Map(torment.seen);
  const also = (text: string) => isVolatile && text === NOT_FOUND;
  const fetch = async (file: string) => {
    const { answer } = await client.get(api, gun, file, { also });
    return answer?.status === 200 ? answer.body : undefined;
  };
  const files = new Map<string, Buffer>();
  const follow = async (bytes: Buffer): Promise<boolean> => {
    for (const [role, checksum] of listed(bytes)) {
      const found = await fetch(`${role}.${checksum}.json`);
      if (found === undefined) return false;
      if (sha256(found) !== checksum) {
        const detail = `${role}.${checksum}.json has the checksum ${sha256(found)}`;
        history.violation({ rule: 'what is served is what was listed', gun, detail });
      }
      files.set(role, found);
    }
    return true;
  };
  const timestamp = await fetch('timestamp.json');
  if (timestamp === undefined || !(await follow(timestamp))) return false;
  files.set('timestamp', timestamp);
  const snapshot = files.get('snapshot');
  if (snapshot === undefined || !(await follow(snapshot))) return false;

  try {
    const { versions } = verifyState(files, new Date());
    if (isVolatile) return true;
    for (const [role, version] of versions) {
      const known = floor.get(role) ?? 0;
      if (version >= known) continue;
      const detail = `API ${api} showed ${role} ${version} after ${role} ${known} had been seen`;
      history.violation({
        rule: 'no role goes back',
        gun,
        detail,
        about: { role, version: known },
      });
    }
    sawAll(
      torment,
      [...versions].map(([role, version]) => ({ role, version })),
    );
    return true;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    history.violation({ rule: 'what is served verifies', gun, detail });
    return false;
  }
}
