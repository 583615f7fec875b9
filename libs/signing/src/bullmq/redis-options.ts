import type { ConnectionOptions } from 'node:tls';
import { Cluster, Redis } from 'ioredis';
// oxlint-disable-next-line import/no-unassigned-import -- it mends ioredis
import './steady-streams.ts';

/** Where the queue's Redis is, and how one gets in. */
export interface RedisAddress {
  /** One server, the master that sentinels know, or a cluster; `single` if not said. */
  readonly mode?: 'single' | 'sentinel' | 'cluster' | undefined;
  /** Of the one server. */
  readonly hostname: string;
  readonly port: number;
  /** The sentinels, or some nodes of the cluster. */
  readonly nodes?: readonly RedisNode[] | undefined;
  /** The name by which sentinels know the master. */
  readonly master?: string | undefined;
  /** Of Redis itself; sentinels are asked without. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly db?: number | undefined;
  /** For every connection, those to sentinels as well; from `readRedisTls`. */
  readonly tls?: ConnectionOptions | undefined;
}

interface RedisNode {
  readonly host: string;
  readonly port: number;
}

/** How every connection to the queue is made; from `redisOptions`. */
export type RedisConnection = ServerConnection | ClusterConnection;
/** To one server at a time. */
export type ServerConnection = ReturnType<typeof serverConnection>;
type ClusterConnection = ReturnType<typeof clusterConnection>;

export type RedisClient = Redis | Cluster;

/**
 * Connection settings for everybody who speaks to the queue. A lost connection is tried again at
 * least once a second, and more often where attempts fail at once, however long the outage has lasted: the
 * first second after Redis is back sees us back (the old server took minutes).
 */
export function redisOptions(address: RedisAddress): RedisConnection {
  return address.mode === 'cluster' ? clusterConnection(address) : serverConnection(address);
}

/** One client of its own. An impatient one tries each command once, and not for longer than that. */
export function connect(
  connection: RedisConnection,
  { impatientAfter }: { readonly impatientAfter: number },
): RedisClient {
  // Commands fail at once while Redis is away. Were they kept, a thousand questions that nobody
  // waits for any longer would be put the moment it is back.
  const impatient = {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: impatientAfter,
    socketTimeout: impatientAfter,
  };
  if (!('nodes' in connection)) return new Redis({ ...connection, ...impatient });
  return new Cluster(connection.nodes, {
    ...connection.options,
    enableOfflineQueue: false,
    redisOptions: {
      ...connection.options.redisOptions,
      commandTimeout: impatientAfter,
      socketTimeout: impatientAfter,
    },
  });
}

/** One client of its own, which waits for Redis however long that is away. */
export function connectPatiently(connection: RedisConnection): RedisClient {
  return 'nodes' in connection
    ? new Cluster(connection.nodes, connection.options)
    : new Redis(connection);
}

/** What BullMQ takes to make connections from. It makes none to a cluster: that one it copies. */
export function connectionOf(connection: RedisConnection): {
  readonly client: ServerConnection | Cluster;
  /** Lets go of it, once BullMQ has been closed. */
  release(): void;
} {
  if (!('nodes' in connection)) return { client: connection, release: () => {} };
  const cluster = new Cluster(connection.nodes, connection.options);
  cluster.on('error', () => {}); // BullMQ passes on what happens while it is not closed
  return { client: cluster, release: () => cluster.disconnect() };
}

/** The prefix of the queue's keys. In a cluster all of them have to be on one node. */
export function queuePrefix(connection: RedisConnection, prefix: string): string {
  return 'nodes' in connection ? `{${prefix}}` : prefix;
}

/** `redis://user:password@host:port/db` (or `rediss:`) in parts. */
export function parseRedisUrl(text: string) {
  const url = new URL(text);
  return {
    hostname: url.hostname,
    port: url.port === '' ? 6379 : Number(url.port),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(/^\/\d+$/.test(url.pathname) ? { db: Number(url.pathname.slice(1)) } : {}),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  } satisfies RedisAddress;
}

/**
 * Where packets vanish nobody says that Redis is back: an attempt that hears nothing has to make room for
 * one that may, within the second that a return may take. With TLS, until hands are shaken.
 */
const CONNECT_TIMEOUT = 800;
const retryStrategy = (attempt: number) => Math.min(attempt * 50, 150);

/** Sentinels and nodes of a cluster, which may have to ask each other, in milliseconds. */
const COMMAND_TIMEOUT = 2_000;
/**
 * A connection on which an answer is due is given up after so long a silence, in milliseconds. Longer
 * than any command of ours blocks: two seconds for answers, one for jobs.
 */
const SILENCE = 3_500;

/** Of one server, or of the one that sentinels name. */
export function serverConnection(address: RedisAddress) {
  const { hostname, port } = address;
  return {
    host: hostname,
    port,
    ...access(address),
    retryStrategy,
    ...(address.mode === 'sentinel' ? sentinels(address) : {}),
  };
}

function sentinels({ nodes = [], master = '', tls }: RedisAddress) {
  return {
    sentinels: nodes.map(({ host, port }) => ({ host, port })),
    name: master,
    sentinelCommandTimeout: COMMAND_TIMEOUT,
    sentinelRetryStrategy: retryStrategy,
    // Without the second, ioredis speaks plainly to the master that a sentinel names.
    ...(tls === undefined ? {} : { sentinelTLS: strict(tls), enableTLSForSentinelMode: true }),
  };
}

function clusterConnection(address: RedisAddress) {
  return {
    nodes: (address.nodes ?? []).map(({ host, port }) => ({ host, port })),
    options: {
      redisOptions: access(address),
      clusterRetryStrategy: retryStrategy,
      slotsRefreshTimeout: COMMAND_TIMEOUT,
      // Names are left to TLS: ioredis would look them up, and compare certificates with addresses.
      dnsLookup: keepName,
    },
  };
}

function access({ username, password, db, tls }: RedisAddress) {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(db === undefined ? {} : { db }),
    ...(tls === undefined ? {} : { tls: strict(tls) }),
    connectTimeout: CONNECT_TIMEOUT,
    socketTimeout: SILENCE,
    maxRetriesPerRequest: null, // BullMQ demands it of connections that block
    // A master that has become a replica may keep its connections, and answers them so.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
}

/** Whatever the environment says: NODE_TLS_REJECT_UNAUTHORIZED=0 would let anybody be Redis. */
function strict(tls: ConnectionOptions) {
  return { ...tls, minVersion: 'TLSv1.2' as const, rejectUnauthorized: true };
}

function keepName(
  host: string,
  callback: (error: Error | null, address: string, family?: number) => void,
): void {
  callback(null, host);
}
