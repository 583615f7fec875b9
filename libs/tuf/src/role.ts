/** A role that only the repository root can delegate: the four of the TUF specification. */
export type TopLevelRole = 'root' | 'targets' | 'snapshot' | 'timestamp';

/** A delegated targets role, such as `targets/releases`. */
export type DelegationName = `targets/${string}`;

export type RoleName = TopLevelRole | DelegationName;

/** A role that the server may sign itself: timestamp always, snapshot when the owner handed it over. */
export type ServerRole = 'snapshot' | 'timestamp';

/** In the order in which a root is checked (WIRE §6.2). */
export const TOP_LEVEL_ROLES: readonly TopLevelRole[] = [
  'root',
  'targets',
  'snapshot',
  'timestamp',
];

/** 255 is what a column of the old server's database held; clients keep to it. */
const DELEGATION_LENGTH = 255;

/** The role of that name; `undefined` where no role can have it (WIRE §5.2.3). */
export function parseRoleName(text: string): RoleName | undefined {
  return TOP_LEVEL_ROLES.find((role) => role === text) ?? parseDelegationName(text);
}

/** WIRE §7.5. Slashes part the segments, so that none may be empty. */
export function parseDelegationName(text: string): DelegationName | undefined {
  const wellFormed = text.length <= DELEGATION_LENGTH && /^targets(?:\/[-a-z0-9_]+)+$/.test(text);
  return wellFormed ? (text as DelegationName) : undefined;
}

export function isDelegation(role: RoleName): role is DelegationName {
  return role.startsWith('targets/');
}

/** Who delegates a role: `targets/a` for `targets/a/b`, `targets` for `targets/a`. */
export function parentOf(role: DelegationName): DelegationName | 'targets' {
  const parent = role.slice(0, role.lastIndexOf('/'));
  return parent === 'targets' ? parent : (parent as DelegationName);
}

/** All roles between the root and a delegation, `targets` first. */
export function ancestorsOf(role: DelegationName): (DelegationName | 'targets')[] {
  const parent = parentOf(role);
  return parent === 'targets' ? [parent] : [...ancestorsOf(parent), parent];
}
