import { Socket } from 'node:net';
import type { ClientBase, Pool } from 'pg';

/** By when the server has to have said something to who connects, in milliseconds. */
const FIRST_WORD = 750;
/** How often the connections of a pool that are not in use are looked after, in milliseconds. */
const LOOK = 1_000;
/** How long the answer to that may take. */
const LOOK_LIMIT = 2_000;

/** What is known of a server, by address, in this process. */
interface Server {
  /** It said nothing to the last who tried. */
  isSilent: boolean;
  /** Whether it says something to the one who tries now, while it is silent. */
  scout?: Promise<boolean> | undefined;
}

const servers = new Map<string, Server>();

/**
 * Gives up where the server says nothing. While it is silent one tries at a time, and the others wait for
 * what comes of that: a server that hangs will have to begin a session for each attempt of that time.
 */
class PromptSocket extends Socket {
  override connect(...where: unknown[]): this {
    const address = where.slice(0, 2).join(' ');
    const server = servers.get(address) ?? { isSilent: false };
    servers.set(address, server);
    if (server.isSilent && server.scout !== undefined) void this.#follow(server, where);
    else this.#try(server, where);
    return this;
  }

  async #follow(server: Server, where: unknown[]): Promise<void> {
    const spoke = await server.scout;
    if (this.destroyed) return;
    if (spoke === true) this.#try(server, where);
    else this.destroy(new Error('timeout expired'));
  }

  #try(server: Server, where: unknown[]): void {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    if (server.isSilent) server.scout = promise;
    let isOver = false;
    const giveUp = () => {
      if (isOver) return;
      server.isSilent = true;
      this.destroy(new Error('timeout expired'));
    };
    // where this process was busy itself, the word may lie there unread
    const timer = setTimeout(() => setImmediate(giveUp), FIRST_WORD);
    const end = (spoke: boolean) => {
      isOver = true;
      clearTimeout(timer);
      if (spoke) server.isSilent = false;
      if (server.scout === promise) server.scout = undefined;
      resolve(spoke);
    };
    this.once('data', () => end(true));
    this.once('close', () => end(false));
    super.connect(...(where as [number, string]));
  }
}

/**
 * For every connection to a database, beside the limits of pool and statement: a network that swallows
 * packets says nothing of it, so whoever waits has to find out. An attempt to connect that hears nothing
 * ends soon, to make room for one that may; a slow server says its first word and has the time that it
 * needs.
 */
export const promptly = {
  stream: (): Socket => new PromptSocket(),
  keepAlive: true,
  /** The default of Linux is two hours. */
  keepAliveInitialDelayMillis: LOOK,
} as const;

/** What a pool does first on each of its connections. */
export interface Prepared {
  readonly onConnect: (client: Pick<ClientBase, 'query'>) => Promise<unknown>;
}

/** By a statement: poolers that stand in between refuse options of a session that they do not know. */
function prepared(settings: string): Prepared {
  return { onConnect: (client) => client.query(settings) };
}

/**
 * For connections that find rows by their keys: a plan that was made while a table was small reads all of
 * it, and is kept until the server counts its rows again, which may be a minute and ten thousand publishes later.
 */
export const byIndex = prepared('set enable_seqscan = off');

/**
 * For connections whose statements have but one good plan, whatever their parameters, that takes longer to make
 * than to carry out: left to itself the server makes it anew each time, for it expects more of a parameter that it
 * does not know.
 */
export const planOnce = prepared(
  'set enable_seqscan = off; set plan_cache_mode = force_generic_plan',
);

/**
 * Looks after connections that nobody uses until the pool ends: where one of them turns out to be dead, all
 * are replaced, or each would cost somebody the time limit of a statement.
 */
export function lookAfter(pool: Pool): void {
  const look = async () => {
    if (pool.idleCount === 0) return;
    try {
      // a limit of its own, which the types do not know
      await pool.query({ text: 'select 1', query_timeout: LOOK_LIMIT } as { text: string });
    } catch {
      await replaceIdle(pool);
    }
  };
  const next = () => {
    if (pool.ending) return;
    setTimeout(() => void look().finally(next), LOOK).unref();
  };
  next();
}

async function replaceIdle(pool: Pool): Promise<void> {
  const taking = Array.from({ length: pool.idleCount }, () => pool.connect());
  for (const taken of await Promise.allSettled(taking)) {
    if (taken.status === 'fulfilled') taken.value.release(true);
  }
}
