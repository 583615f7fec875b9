import { evolve, emptyRepository, publishUpdate, recordKey } from '@scrivener/events';
import { createLogger } from '@scrivener/runtime';
import { SigningError, type Signer } from '@scrivener/signing';
import {
  isExpired,
  keyId,
  renderPublicKey,
  sha256Of,
  type Gun,
  type Metafile,
  type RoleName,
  type ServerRole,
} from '@scrivener/tuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createRenewalRound, roundSize } from './renewal-loop.ts';
import { madeBy } from '../sign.ts';
import { gunOf } from '../testing/client.ts';
import { inMemory, type TestProcesses } from '../testing/processes.ts';

// Ninety days in the life of many repositories, on a clock of its own, with signers and queue away
// for days. `SIMULATED_REPOSITORIES=10000` makes it the size of a large registry; figures are printed.

const REPOSITORIES = Number(process.env['SIMULATED_REPOSITORIES'] ?? 150);
const DAYS = 90;
const TICKS_A_DAY = 24;
const TICK = 86_400_000 / TICKS_A_DAY;
const START = new Date('2026-11-22T00:00:00.000Z');

/** From day to day nothing can be signed: the signers are away, and later the queue in front of them. */
const OUTAGES = [
  { from: 20, to: 23 },
  { from: 50, to: 51 },
];

const settings = {
  enabled: true,
  lifeLeft: 0.33,
  jitter: 0.1,
  perSecond: 20,
  pollMs: 10_000,
  retryMs: 60_000,
} as const;

/** Of that many processes each renews so much in a tick at most. */
const PROCESSES = 3;
const ROUNDS_A_TICK = (settings.perSecond * TICK) / 1_000 / roundSize(settings);

let now = START;
const day = () => (now.getTime() - START.getTime()) / 86_400_000;
const isAway = () => OUTAGES.some(({ from, to }) => day() >= from && day() < to);

let memory: TestProcesses;
const guns = Array.from({ length: REPOSITORIES }, (_, n) => gunOf(`registry/library/${n}`));
/** What was wrong when, by tick and by reader. */
const expired: string[] = [];
/** Renewals in each tick. */
const renewed: number[] = [];
let attemptsInVain = 0;

beforeAll(async () => {
  memory = inMemory(() => now);
  for (const [n, gun] of guns.entries()) await publish(gun, n);
  while ((await memory.readModel.project()) !== 'idle');
  await liveThrough();
}, 3_600_000);
afterAll(() => memory.close());

/** A repository as a publish leaves it, but that nobody signed: renewals do not look at that. */
async function publish(gun: Gun, n: number): Promise<void> {
  const at = now.toISOString();
  let repository = emptyRepository(gun);
  const keys: Record<string, string> = {};
  for (const role of ['timestamp', 'snapshot'] as const) {
    const key = await memory.signer.createKey({ gun, role, algorithm: 'ed25519' });
    const event = recordKey(repository, { role, keyid: keyId(key), key, at, cause: {} });
    if (event === undefined) throw new Error('a new key is new');
    repository = evolve(repository, await memory.events.append(repository.head, event, []));
    keys[role] = `"${keyId(key)}":${renderPublicKey(key)}`;
  }
  const roles = ['root', 'targets', 'snapshot', 'timestamp'].map((role) => {
    const [keyid = '""'] = (keys[role] ?? '').split(':');
    return `"${role}":{"keyids":[${keys[role] === undefined ? '' : keyid}],"threshold":1}`;
  });
  // Every tenth snapshot is so old that it is due within these days.
  const snapshotLife = n % 10 === 0 ? 30 + (n % 70) : 1_095;
  const root = file(
    'root',
    1_000,
    `"keys":{${Object.values(keys).join(',')}},"roles":{${roles.join(',')}}`,
  );
  const targets = file('targets', 1_000, '"delegations":{"keys":{},"roles":[]},"targets":{}');
  const listed = [root, targets].map(({ role, sha256, bytes }) => {
    const hash = Buffer.from(sha256, 'hex').toString('base64');
    return `"${role}":{"hashes":{"sha256":"${hash}"},"length":${bytes.length}}`;
  });
  const snapshot = file('snapshot', snapshotLife, `"meta":{${listed.join(',')}}`);
  const timestamp = file('timestamp', 14, '"meta":{}');
  const metafiles = [
    ...madeBy(gun, 'client', [root, targets]),
    ...madeBy(gun, 'server', [snapshot, timestamp]),
  ];
  const event = publishUpdate(repository, { metafiles, at, cause: {} });
  await memory.events.append(repository.head, event, metafiles);
}

function file(role: RoleName, life: number, members: string): Metafile {
  const type = role.slice(0, 1).toUpperCase() + role.slice(1);
  const expires = new Date(now.getTime() + life * 86_400_000).toISOString();
  const signed = `{"_type":"${type}","expires":"${expires}",${members},"version":1}`;
  const bytes = Buffer.from(`{"signed":${signed},"signatures":[]}`);
  return { role, version: 1n, bytes, sha256: sha256Of(bytes) };
}

async function liveThrough(): Promise<void> {
  const { expiries } = memory.readModel;
  const logger = createLogger('fatal');
  const sign: Signer['sign'] = async (request) => {
    if (isAway()) throw new SigningError('UNAVAILABLE', 'away');
    return memory.signer.sign(request);
  };
  const signer = { ...memory.signer, sign };
  const processes = Array.from({ length: PROCESSES }, () => memory.process({ signer, logger }));
  let renewals = 0;
  const count = (_trigger: string, outcome: string) => {
    if (outcome === 'renewed') renewals += 1;
    else attemptsInVain += 1;
  };
  const rounds = processes.map(({ renew }) =>
    createRenewalRound({ expiries, renew, count, logger, now: () => now }, settings),
  );

  for (let tick = 0; tick < DAYS * TICKS_A_DAY; tick += 1) {
    now = new Date(START.getTime() + tick * TICK);
    renewals = 0;
    await Promise.all(rounds.map(workThroughTick));
    renewed.push(renewals);
    if (tick % TICKS_A_DAY === 7) await claimAndDie();
    await look(processes[tick % PROCESSES]?.currentServerRole, tick);
  }
}

/** What the loop does in the time of a tick: until nothing is due, or all was in vain, or time is up. */
async function workThroughTick(round: ReturnType<typeof createRenewalRound>): Promise<void> {
  for (let n = 0; n < ROUNDS_A_TICK; n += 1) {
    const { claimed, failed } = await round();
    if (claimed < roundSize(settings) || failed === claimed) return;
  }
}

/** A process that dies in the middle of a round: somebody else has to do what it claimed. */
async function claimAndDie(): Promise<void> {
  const soon = new Date(now.getTime() + TICK - 1);
  await memory.readModel.expiries.claim({
    ...settings,
    now: soon,
    until: new Date(soon.getTime() + 60_000),
    limit: roundSize(settings),
  });
}

type Read = ReturnType<TestProcesses['process']>['currentServerRole'];

async function look(read: Read | undefined, tick: number): Promise<void> {
  const { expiries } = memory.readModel;
  for (const { gun, role } of await expiries.soonest({ madeBy: 'server', before: now, limit: 3 })) {
    expired.push(`${day()}: ${role} of ${gun} is current`);
  }
  const gun = guns[(tick * 7_919) % guns.length];
  for (const role of ['timestamp', 'snapshot'] as const) {
    const served = gun && (await read?.(gun, role));
    if (served !== undefined && !isExpired({ role, ...served }, now)) continue;
    expired.push(`${day()}: ${role} of ${gun} was served`);
  }
}

/** Every renewal in the log, with how much of the life of what it followed was left. */
async function renewalsInLog() {
  const seen = new Map<string, { at: number; expires: number }>();
  const found: { gun: Gun; roles: ServerRole[]; left: number }[] = [];
  for (const { event } of await memory.events.readAfter(0, Infinity)) {
    if (event.type !== 'UpdatePublished' && event.type !== 'RoleRenewed') continue;
    const at = Date.parse(event.at);
    const left = event.data.metafiles.map(({ role }) => {
      const last = seen.get(`${event.gun} ${role}`);
      return last === undefined ? 1 : (last.expires - at) / (last.expires - last.at);
    });
    for (const { role, expires } of event.data.metafiles) {
      seen.set(`${event.gun} ${role}`, { at, expires: Date.parse(expires) });
    }
    if (event.type !== 'RoleRenewed') continue;
    const roles = event.data.metafiles.map(({ role }) => role as ServerRole);
    found.push({ gun: event.gun, roles, left: Math.min(...left) });
  }
  return found;
}

describe(`ninety days of ${REPOSITORIES} repositories, signers away for 72 hours, the queue for 24`, () => {
  test('nothing that the server signs was ever served expired, or was current and expired', () => {
    expect(expired).toEqual([]);
  });

  test('nothing was renewed twice, or before it was due', async () => {
    const renewals = await renewalsInLog();

    const early = renewals.filter(({ left }) => left > settings.lifeLeft + settings.jitter);
    expect(early).toEqual([]);
    expect(new Set(renewals.map(({ gun }) => gun)).size).toBe(REPOSITORIES);
    const snapshots = renewals.filter(({ roles }) => roles.includes('snapshot'));
    expect(snapshots.length).toBeGreaterThanOrEqual(REPOSITORIES / 20);
    expect(renewals.length).toBe(renewed.reduce((sum, each) => sum + each, 0));
  });

  test('renewals were spread evenly, though all had been published at once', async () => {
    const isUpset = (tick: number) =>
      OUTAGES.some(({ from, to }) => tick >= from * TICKS_A_DAY && tick <= to * TICKS_A_DAY);
    const calm = renewed.filter((_, tick) => !isUpset(tick));
    // The first wave spreads over the jitter, a tenth of a fortnight; the later ones over more.
    const mean = REPOSITORIES / (settings.jitter * 14 * TICKS_A_DAY);
    const peak = Math.max(...calm);
    const behind = Math.max(...renewed.filter((_, tick) => isUpset(tick)));
    const all = renewed.reduce((sum, each) => sum + each, 0);
    console.info(
      `${all} renewals of ${REPOSITORIES} repositories in ${DAYS} days; in an hour ` +
        `${(all / renewed.length).toFixed(1)} on average, ${peak} at most (the first wave alone: ` +
        `${mean.toFixed(1)}), ${behind} after an outage; ${attemptsInVain} attempts in vain`,
    );

    expect(peak).toBeLessThanOrEqual(2 * mean + 12);
    expect(behind).toBeLessThanOrEqual((PROCESSES * settings.perSecond * TICK) / 1_000);
    expect(attemptsInVain).toBeGreaterThan(0);
  });
});
