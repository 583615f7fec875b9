import { z } from 'zod';
import { ConfigError } from './config-error.ts';
import { list, text } from './settings.ts';
import { readClientTls, readText, reasonOf, type Beside, type ClientTls } from './tls-files.ts';

/** How to reach the Redis of the queue. */
export interface RedisSettings {
  readonly mode: 'single' | 'sentinel' | 'cluster';
  /** Of the one Redis; without meaning in the other modes. */
  readonly hostname: string;
  readonly port: number;
  /** The sentinels, or some nodes of the cluster; empty for a single Redis. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** What the sentinels call the group of the master; only for them. */
  readonly master: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Plain text where absent. */
  readonly tls: ClientTls | undefined;
}

/** The settings of a queue, wherever they stand. */
export const redisShape = {
  username: text().describe('user of the Redis'),
  password: text().meta({ description: 'password of the Redis', secret: true }),
  prefix: text()
    .pipe(z.string().regex(/^[^:{}]*$/, 'must have none of : { }'))
    .prefault('')
    .describe('parts the queues of several stacks on one Redis'),
  job_key_file: text().describe(
    'file of the secrets that jobs are authenticated with: the first line authenticates, all verify',
  ),
  mode: text('single').describe('`single`, `sentinel` or `cluster`: what `nodes` are'),
  nodes: list().describe('host:port of sentinels, or of some nodes of the cluster'),
  master: text().describe('name of the master group that the sentinels watch'),
};

export const tlsClientShape = {
  tls_ca_file: text().describe('PEM: the CAs that are believed; makes the connection TLS'),
  tls_client_cert: text().describe('PEM: certificate that is shown to the other side'),
  tls_client_key: text().describe('PEM: key of that certificate'),
};

/** Of Redis, where nothing else is said. */
const REDIS_PORT = 6379;

interface GivenRedis {
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly username: string;
  readonly password: string;
  readonly mode: string;
  readonly nodes: readonly string[];
  readonly master: string;
  readonly tls_ca_file: string;
  readonly tls_client_cert: string;
  readonly tls_client_key: string;
}

/** `section` is the name that refusals give to the settings. Throws `ConfigError`. */
export function parseRedis(section: string, given: GivenRedis, beside: Beside): RedisSettings {
  const { mode, master } = given;
  if (mode !== 'single' && mode !== 'sentinel' && mode !== 'cluster') {
    throw new ConfigError(`${section}.mode must be "single", "sentinel" or "cluster"`);
  }
  if (mode === 'single' && given.nodes.length > 0) {
    throw new ConfigError(`${section}.nodes need a ${section}.mode "sentinel" or "cluster"`);
  }
  if (mode !== 'single' && given.nodes.length === 0) {
    throw new ConfigError(`${section}.mode "${mode}" needs ${section}.nodes`);
  }
  if (mode === 'sentinel' && master === '') {
    throw new ConfigError(`${section}.mode "sentinel" needs the name of the ${section}.master`);
  }
  const isTls =
    given.tls_ca_file !== '' || given.tls_client_cert !== '' || given.tls_client_key !== '';
  return {
    mode,
    hostname: given.hostname === '' ? '127.0.0.1' : given.hostname,
    port: given.port ?? REDIS_PORT,
    nodes: given.nodes.map((node) => parseNode(section, node)),
    master: orNone(master),
    username: orNone(given.username),
    password: orNone(given.password),
    tls: isTls ? readClientTls(given, beside, `the Redis of ${section}`) : undefined,
  };
}

function parseNode(section: string, node: string): { host: string; port: number } {
  const [, host, port] = /^(?:\[?([^\]]+)\]?):(\d{1,5})$/.exec(node) ?? [];
  if (host === undefined || Number(port) > 65_535 || Number(port) < 1) {
    throw new ConfigError(`${section}.nodes: "${node}" is no host:port`);
  }
  return { host, port: Number(port) };
}

/** Reads the file of job keys and has it parsed. Throws `ConfigError`. */
export function readJobKeys<Keys>(
  section: string,
  file: string,
  beside: Beside,
  parse: (text: string) => Keys,
): Keys {
  if (file === '') {
    throw new ConfigError(
      `${section}.job_key_file is required: without it whoever can write to the Redis could have things signed`,
    );
  }
  const text = readText(beside(file), (reason) => `${section}.job_key_file: ${reason}`);
  try {
    return parse(text);
  } catch (error) {
    throw new ConfigError(`${section}.job_key_file: ${reasonOf(error)}`, { cause: error });
  }
}

function orNone(given: string): string | undefined {
  return given === '' ? undefined : given;
}
