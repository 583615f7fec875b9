import { Refusal } from './errors.ts';
import { JsonNumber, type Json, type JsonObject } from './json.ts';
import { keyId, type PublicKey } from './key.ts';
import type { Metafile, UploadedFile } from './metafile.ts';
import { formsIn } from './plain-files.ts';
import { TOP_LEVEL_ROLES, type RoleName } from './role.ts';
import { readStoredRoot } from './root.ts';
import type { RoleKeys } from './signed.ts';
import { readStoredTargets } from './targets.ts';

/**
 * Limits beyond the rules of the old server. It let the holder of a key publish what no client can
 * read or follow any more, and so lock everybody out, the owner included.
 */
export interface Guard {
  /** How far above the version that is current the next one of a role may be; of the first, above 0. */
  readonly versionJump: bigint;
  /** Files in an update that count. */
  readonly roles: number;
  /** Signatures of a file. */
  readonly signatures: number;
  /** Keys that a root lists, for all of its roles. */
  readonly rootKeys: number;
  /** Objects and lists within each other, counted from the signed part. */
  readonly depth: number;
  /**
   * Where a threshold may not be above the number of keys. `root`: of the top-level roles; `all`: of
   * delegations, too. Real clients publish such delegations: a delegation whose last key was taken
   * away waits for the next one, and clients step over it meanwhile.
   */
  readonly thresholds: 'root' | 'all';
}

/**
 * No real client comes near these. Clients count versions up by one, from what is current or, after a
 * deletion, from what they remember; they sign a file with each key of its role, and a root with the
 * former ones besides.
 */
export const DEFAULT_GUARD: Guard = {
  versionJump: 1_000_000n,
  roles: 1_000,
  signatures: 256,
  rootKeys: 256,
  depth: 100,
  thresholds: 'root',
};

/** The guard refuses what Notary's own rules would let pass. */
export class GuardRefusal extends Refusal {
  /** What is to blame: one file, or the update as a whole. */
  readonly files: readonly Metafile[];

  constructor(message: string, files: readonly Metafile[]) {
    super(message);
    this.files = files;
  }
}

/** Before anything is verified: how many files there are. Throws `GuardRefusal`. */
export function checkFileCount(files: readonly UploadedFile[], { roles }: Guard): void {
  if (files.length <= roles) return;
  throw new GuardRefusal(`the update has ${files.length} roles, and may have ${roles}`, files);
}

/** Before anything is verified: what it would cost to verify a file. Throws `GuardRefusal`. */
export function checkCost(file: UploadedFile, { signatures, rootKeys }: Guard): void {
  const { envelope } = file;
  if (envelope.signatures.length > signatures) {
    throw refused(
      file,
      `there are ${envelope.signatures.length} signatures, and may be ${signatures}`,
    );
  }
  const keys = file.role === 'root' ? sizeOf(envelope.signed?.get('keys')) : 0;
  if (keys > rootKeys) throw refused(file, `there are ${keys} keys, and may be ${rootKeys}`);
}

/**
 * After Notary's rules have let a file pass: whether clients can read it and follow version `current`. Throws
 * `GuardRefusal`.
 */
export function checkUsable(
  file: UploadedFile,
  current: bigint | undefined,
  { versionJump, depth, thresholds }: Guard,
): void {
  checkMembers(file);
  checkDepth(file, depth);
  checkNumbers(file);
  checkJump(file, current ?? 0n, versionJump);
  if (file.role === 'root') checkRootThresholds(file);
  else if (file.role !== 'snapshot' && thresholds === 'all') checkDelegationThresholds(file);
}

/** Go's clients take a member of any case for its own; the last one counts. We see only the exact one. */
function checkMembers(file: UploadedFile): void {
  const { signed, others } = file.envelope;
  const [other] = others;
  if (other !== undefined) {
    throw refused(file, `member ${JSON.stringify(other)} beside signed and signatures`);
  }
  const twin = signed && findTwin(signed, SHAPES[shapeOf(file.role)]);
  if (twin !== undefined) {
    throw refused(file, `member ${JSON.stringify(twin)} is not written as clients expect it`);
  }
}

type Kind = 'root' | 'targets' | 'snapshot';

function shapeOf(role: RoleName): Kind {
  return role === 'root' || role === 'snapshot' ? role : 'targets';
}

/** How a client reads a part of a file. What has no shape is not read as a struct. */
type Shape = Struct | { readonly each: Shape };

interface Struct {
  readonly members: ReadonlyMap<string, Shape | undefined>;
  /** The names of its members, folded. */
  readonly folded: ReadonlySet<string>;
}

function struct(members: Readonly<Record<string, Shape | undefined>>): Struct {
  const names = Object.keys(members);
  return { members: new Map(Object.entries(members)), folded: new Set(names.map(fold)) };
}

const key = struct({
  keytype: undefined,
  keyval: struct({ public: undefined, private: undefined }),
});
const files: Shape = {
  each: struct({ length: undefined, hashes: undefined, custom: undefined }),
};
const common = { _type: undefined, expires: undefined, version: undefined };
const roleKeys = { keyids: undefined, threshold: undefined };

const SHAPES: Readonly<Record<Kind, Shape>> = {
  root: struct({
    ...common,
    consistent_snapshot: undefined,
    keys: { each: key },
    roles: { each: struct(roleKeys) },
  }),
  targets: struct({
    ...common,
    targets: files,
    delegations: struct({
      keys: { each: key },
      roles: { each: struct({ ...roleKeys, name: undefined, paths: undefined }) },
    }),
  }),
  snapshot: struct({ ...common, meta: files }),
};

/** The first member that a client takes for one that has another name. */
function findTwin(json: Json, shape: Shape): string | undefined {
  if (Array.isArray(json)) {
    return 'each' in shape ? firstOf(json as readonly Json[], shape.each) : undefined;
  }
  if (!(json instanceof Map)) return undefined;
  const object = json as JsonObject;
  if ('each' in shape) return firstOf(formsIn(object), shape.each);

  for (const [name, value] of object) {
    if (!shape.members.has(name) && shape.folded.has(fold(name))) return name;
    const inner = shape.members.get(name);
    const found = inner && findTwin(value, inner);
    if (found !== undefined) return found;
  }
  return undefined;
}

function firstOf(values: Iterable<Json>, shape: Shape): string | undefined {
  for (const value of values) {
    const found = findTwin(value, shape);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** As Go compares names: the long s and the sign of Kelvin are letters, too. */
function fold(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** Level by level: a document may be 10000 deep. */
function checkDepth(file: UploadedFile, depth: number): void {
  let level: Json[] = file.envelope.signed === undefined ? [] : [file.envelope.signed];
  for (let reached = 1; level.length > 0; reached += 1) {
    if (reached > depth) throw refused(file, `nested more than ${depth} deep`);
    const below: Json[] = [];
    for (const each of level)
      for (const json of inside(each)) if (isContainer(json)) below.push(json);
    level = below;
  }
}

function inside(json: Json): Iterable<Json> {
  if (json instanceof Map) return formsIn(json as JsonObject);
  return Array.isArray(json) ? (json as readonly Json[]) : [];
}

function isContainer(json: Json): boolean {
  return json instanceof Map || Array.isArray(json);
}

/** A Go `int` on the platforms of 32 bits that the Docker client is built for, and the column of SQL. */
const MAX_INT32 = 2n ** 31n - 1n;

/**
 * Versions and thresholds are of Go's type `int`. Lengths are of `int64`, and what is signed of them
 * is a double, so that above 2^53 the signature is over another length than the file has.
 */
function checkNumbers(file: UploadedFile): void {
  if (file.version > MAX_INT32) {
    throw refused(
      file,
      `version ${file.version} is above ${MAX_INT32}, and clients cannot read it`,
    );
  }
  const { signed } = file.envelope;
  for (const threshold of thresholdsIn(signed)) {
    if (numberOf(threshold) <= Number(MAX_INT32)) continue;
    throw refused(file, `threshold ${show(threshold)} is above ${MAX_INT32}`);
  }
  for (const listed of [signed?.get('targets'), signed?.get('meta')]) {
    for (const meta of inside(listed ?? null)) {
      const length = meta instanceof Map ? (meta as JsonObject).get('length') : undefined;
      const value = numberOf(length);
      if (value >= 0 && value <= Number.MAX_SAFE_INTEGER) continue;
      throw refused(file, `length ${show(length)} is none that clients can work with`);
    }
  }
}

function thresholdsIn(signed: JsonObject | undefined): (Json | undefined)[] {
  const delegations = signed?.get('delegations');
  const roles = [
    ...inside(signed?.get('roles') ?? null),
    ...inside((delegations instanceof Map && (delegations as JsonObject).get('roles')) || null),
  ];
  return roles.map((role) =>
    role instanceof Map ? (role as JsonObject).get('threshold') : undefined,
  );
}

/** What is missing counts as 0. Those who read numbers exactly have done so before. */
function numberOf(json: Json | undefined): number {
  if (typeof json === 'number') return json;
  return json instanceof JsonNumber ? Number(json.literal) : 0;
}

function show(json: Json | undefined): string {
  return json instanceof JsonNumber ? json.literal : String(numberOf(json));
}

function checkJump(file: UploadedFile, current: bigint, jump: bigint): void {
  if (file.version - current <= jump) return;
  throw refused(file, `version ${file.version} is more than ${jump} above version ${current}`);
}

function checkRootThresholds(file: UploadedFile): void {
  const { roles, keys } = readStoredRoot(file);
  for (const role of TOP_LEVEL_ROLES) checkThreshold(file, role, roles[role], keys);
}

function checkDelegationThresholds(file: UploadedFile): void {
  const { delegations, keys } = readStoredTargets(file);
  for (const delegation of delegations) checkThreshold(file, delegation.name, delegation, keys);
}

/** A key that is listed twice, or filed under two ids, signs once. */
function checkThreshold(
  file: UploadedFile,
  role: RoleName,
  { keyids, threshold }: RoleKeys,
  keys: ReadonlyMap<string, PublicKey>,
): void {
  const distinct = new Set(keyids.flatMap((id) => keys.get(id) ?? []).map((each) => keyId(each)));
  if (threshold <= distinct.size) return;
  throw refused(file, `threshold ${threshold} of ${role} is above its ${distinct.size} keys`);
}

function sizeOf(json: Json | undefined): number {
  return json instanceof Map ? json.size : 0;
}

function refused(file: UploadedFile, reason: string): GuardRefusal {
  return new GuardRefusal(`${file.role} refused: ${reason}`, [file]);
}
