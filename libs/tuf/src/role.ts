/** A role that only the repository root can delegate: the four of the TUF specification. */
export type TopLevelRole = 'root' | 'targets' | 'snapshot' | 'timestamp';

/** A delegated targets role, such as `targets/releases`. */
export type DelegationName = `targets/${string}`;

export type RoleName = TopLevelRole | DelegationName;

/** A role that the server may sign itself: timestamp always, snapshot when the owner handed it over. */
export type ServerRole = 'snapshot' | 'timestamp';
