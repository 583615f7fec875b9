import { createHash } from 'node:crypto';
import {
  deleteRepository,
  draftOf,
  emptyRepository,
  evolve,
  publishUpdate,
  recordKey,
  renewRoles,
  restoreRepository,
  type Cause,
  type Draft,
  type NewMetafile,
  type Repository,
  type RepositoryEvent,
} from '@scrivener/events';
import {
  assembleServerRoles,
  certificatesExpireAt,
  DEFAULT_GUARD,
  expiryOf,
  parseMetafile,
  planRenewal,
  signServerRoles,
  verifyServerRoles,
  verifyUpdate,
  type DelegationName,
  type Gun,
  type KeyId,
  type Metafile,
  type RoleName,
  type ServerPrivateKey,
  type ServerRole,
  type SigningRequest,
} from '@scrivener/tuf';
import { createPublisher, serverKey, type Part, type Publisher } from '@scrivener/tuf/testing';
import { createRandom, type Random } from '../../e2e/torture/random.ts';

const DAY = 86_400_000;

export interface LifeOptions {
  readonly gun: Gun;
  /** The same seed gives the same life, but for signatures of ECDSA, which are new each time. */
  readonly seed: number;
  /** When each of its events happens, in milliseconds, ascending. */
  readonly times: readonly number[];
}

/** One repository whose owner, collaborators and server do what they do. */
export interface Life {
  /** When the next event happens, in milliseconds; undefined when there is none. */
  nextAt(): number | undefined;
  /** The next event: decided, signed and verified by the code that a server runs. */
  live(): Draft;
}

/** What may happen to a repository that has been published. */
type Deed =
  | 'publish'
  | 'publish delegation'
  | 'delegate'
  | 'rotate targets'
  | 'rotate root'
  | 'make timestamp key'
  | 'renew timestamp'
  | 'renew snapshot'
  | 'delete';

/** How often each is chosen, out of a thousand; where it cannot be done, the owner publishes. */
const DEEDS: ReadonlyMap<Deed, number> = new Map([
  ['publish', 440],
  ['publish delegation', 130],
  ['delegate', 20],
  ['rotate targets', 10],
  ['rotate root', 10],
  ['make timestamp key', 7],
  ['renew timestamp', 350],
  ['renew snapshot', 30],
  ['delete', 3],
]);

const TAGS = ['latest', 'stable', 'edge', '1.0', '1.1', '2.0'];
const TEAMS = ['releases', 'qa', 'security', 'nightly'];
const PEOPLE = ['alice', 'bob', 'carol', 'dave', 'release-bot', 'nightly-ci'];

export function createLife({ gun, seed, times }: LifeOptions): Life {
  const random = createRandom(seed);
  const serverSignsSnapshots = random.between(0, 1) < 0.6;
  const algorithm = random.between(0, 1) < 0.8 ? 'ecdsa' : 'ed25519';
  /** Private halves of the server's keys. */
  const held = new Map<KeyId, ServerPrivateKey>();
  /** Key of a role that the next root names. */
  const promised = new Map<ServerRole, ServerPrivateKey>();
  const current = new Map<RoleName, Metafile>();
  /** What the last deletion took. */
  let buried: ReadonlyMap<RoleName, Metafile> = new Map();
  let repository: Repository = emptyRepository(gun);
  let owner: Publisher | undefined;
  let incarnation = 0;
  let index = 0;
  let delegations: DelegationName[] = [];

  const record = (event: RepositoryEvent, metafiles: readonly NewMetafile[]): Draft => {
    const draft = draftOf(repository.head, event, metafiles);
    repository = evolve(repository, { ...draft, position: 0 });
    if (event.type === 'RepositoryDeleted') {
      buried = new Map(current);
      current.clear();
    }
    if (event.type === 'RepositoryRestored') {
      for (const [role, file] of buried) current.set(role, file);
    }
    for (const metafile of metafiles) current.set(metafile.role, metafile);
    return draft;
  };

  const makeKey = (role: ServerRole, at: Date): Draft => {
    const secret = createHash('sha256').update(`${seed} ${gun} ${role} ${held.size}`).digest();
    const key = serverKey(algorithm, secret);
    held.set(key.keyid, key);
    promised.set(role, key);
    const { keyid, publicKey } = key;
    const made = { role, keyid, key: publicKey, at: at.toISOString(), cause: causeOf(random) };
    const event = recordKey(repository, made);
    if (event === undefined) throw new Error('a key was made twice');
    return record(event, []);
  };

  const sign = (request: SigningRequest, root: Metafile): Metafile[] => {
    const signatures = signServerRoles(request, (keyid, payload) => {
      const key = held.get(keyid);
      if (key === undefined) throw new Error(`${keyid} is not the server's`);
      return key.sign(payload);
    });
    const files = assembleServerRoles(request, signatures);
    if (!verifyServerRoles(root, files)) throw new Error('the server signed what it must not');
    return files;
  };

  const publish = (parts: readonly Part[], at: Date): Draft => {
    const upload = parts.map(({ role, bytes }) => parseMetafile(role, bytes));
    const verified = verifyUpdate({
      gun,
      versions: new Map([...current].map(([role, { version }]) => [role, version])),
      current,
      upload,
      serverKeys: new Set(held.keys()),
      now: at,
      guard: DEFAULT_GUARD,
    });
    const metafiles = [
      ...madeBy(gun, 'client', verified.metafiles),
      ...madeBy(gun, 'server', sign(verified.request, verified.root)),
    ];
    const publication = { metafiles, at: at.toISOString(), cause: causeOf(random) };
    return record(publishUpdate(repository, publication), metafiles);
  };

  const renew = (due: ReadonlySet<ServerRole>, at: Date): Draft | undefined => {
    const root = current.get('root');
    const request = planRenewal({ gun, current, serverKeys: new Set(held.keys()), now: at, due });
    if (root === undefined || request === undefined) return undefined;
    const metafiles = madeBy(gun, 'server', sign(request, root));
    return record(
      renewRoles(repository, { metafiles, at: at.toISOString(), cause: {} }),
      metafiles,
    );
  };

  /** Every other deletion was a mistake. */
  const restored = (at: Date): Draft | undefined => {
    if (repository.deletion === undefined || random.between(0, 1) < 0.5) return undefined;
    const cause = { operator: random.pick(PEOPLE), reason: 'deleted by mistake' };
    const windowMs = Number.MAX_SAFE_INTEGER;
    return record(restoreRepository(repository, { at: at.toISOString(), cause, windowMs }), []);
  };

  /** Keys first, for the root names them; then the first publish of this incarnation. */
  const begin = (at: Date): Draft => {
    const timestamp = promised.get('timestamp');
    if (timestamp === undefined) return makeKey('timestamp', at);
    const snapshot = promised.get('snapshot');
    if (serverSignsSnapshots && snapshot === undefined) return makeKey('snapshot', at);
    owner = createPublisher(gun, {
      serverKeys: {
        timestamp: timestamp.publicKey,
        ...(snapshot !== undefined && { snapshot: snapshot.publicKey }),
      },
      seed: `${seed} ${gun} ${(incarnation += 1)}`,
      now: at,
    });
    delegations = [];
    promised.clear();
    return publish(complete(owner, [rootOf(owner, at), tagged(owner, at)], at), at);
  };

  const complete = (publisher: Publisher, parts: readonly Part[], at: Date): Part[] =>
    serverSignsSnapshots
      ? [...parts]
      : [...parts, publisher.snapshot({ expires: inDays(at, 3 * 365) })];

  const tagged = (publisher: Publisher, at: Date): Part => {
    const tag = random.pick(TAGS);
    const content = `${gun} ${tag} ${at.toISOString()}`;
    return publisher.targets({ [tag]: content }, { expires: inDays(at, 3 * 365) });
  };

  const delegated = (publisher: Publisher, role: DelegationName, at: Date): Part => {
    const tag = `${role.replace('targets/', '')}/${random.pick(TAGS)}`;
    const content = `${gun} ${tag} ${at.toISOString()}`;
    return publisher.delegation(role, { [tag]: content }, { expires: inDays(at, 3 * 365) });
  };

  const act = (publisher: Publisher, deed: Deed, at: Date): Draft | undefined => {
    switch (deed) {
      case 'publish':
        return publish(complete(publisher, [tagged(publisher, at)], at), at);
      case 'publish delegation': {
        if (delegations.length === 0) return undefined;
        const part = delegated(publisher, random.pick(delegations), at);
        return publish(complete(publisher, [part], at), at);
      }
      case 'delegate': {
        const role: DelegationName = `targets/${TEAMS[delegations.length] ?? ''}`;
        if (delegations.length === TEAMS.length) return undefined;
        publisher.delegate(role);
        delegations.push(role);
        const parts = [tagged(publisher, at), delegated(publisher, role, at)];
        return publish(complete(publisher, parts, at), at);
      }
      case 'rotate targets':
        publisher.rotate('targets');
        return publish(complete(publisher, [rootOf(publisher, at), tagged(publisher, at)], at), at);
      case 'rotate root':
        publisher.rotate('root');
        return publish(complete(publisher, [rootOf(publisher, at)], at), at);
      case 'make timestamp key':
        return makeKey('timestamp', at);
      case 'renew timestamp':
        return renew(new Set(['timestamp']), at);
      case 'renew snapshot':
        return serverSignsSnapshots ? renew(new Set(['snapshot', 'timestamp']), at) : undefined;
      case 'delete': {
        const event = deleteRepository(repository, {
          at: at.toISOString(),
          cause: causeOf(random),
        });
        return event && record(event, []);
      }
    }
  };

  return {
    nextAt: () => times[index],
    live() {
      const at = new Date(times[index] ?? 0);
      index += 1;
      if (owner === undefined || current.size === 0) return restored(at) ?? begin(at);
      const key = promised.get('timestamp');
      if (key !== undefined) {
        promised.clear();
        owner.handOver('timestamp', key.publicKey);
        return publish(complete(owner, [rootOf(owner, at)], at), at);
      }
      return act(owner, chosen(random), at) ?? mustHappen(act(owner, 'publish', at));
    },
  };
}

function rootOf(publisher: Publisher, at: Date): Part {
  return publisher.root({ expires: inDays(at, 3650) });
}

function chosen(random: Random): Deed {
  let left = random.between(0, 1_000);
  for (const [deed, share] of DEEDS) {
    left -= share;
    if (left < 0) return deed;
  }
  return 'publish';
}

function mustHappen(draft: Draft | undefined): Draft {
  if (draft === undefined) throw new Error('a publish adds an event');
  return draft;
}

/** As the API notes it. */
function madeBy(gun: Gun, maker: NewMetafile['madeBy'], files: readonly Metafile[]): NewMetafile[] {
  return files.map((file) => {
    const certificates = file.role === 'root' ? certificatesExpireAt(file, gun) : undefined;
    return {
      ...file,
      expires: expiryOf(file).toISOString(),
      ...(certificates !== undefined && { certificatesExpire: certificates.toISOString() }),
      madeBy: maker,
    };
  });
}

function causeOf(random: Random): Cause {
  const subject = random.pick(PEOPLE);
  return {
    requestId: hex(random, 8),
    subject,
    ...(subject.includes('-') && { certificate: `CN=${subject}, O=Example` }),
    traceId: hex(random, 16),
    spanId: hex(random, 8),
  };
}

function hex(random: Random, bytes: number): string {
  return Buffer.from(Array.from({ length: bytes }, () => random.between(0, 256))).toString('hex');
}

function inDays(at: Date, days: number): string {
  return new Date(at.getTime() + days * DAY).toISOString().replace(/\.\d+Z$/, 'Z');
}
