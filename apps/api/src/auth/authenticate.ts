import type { IncomingMessage } from 'node:http';
import type { Gun } from '@scrivener/tuf';
import { challenge, type Challenger, type Wanted } from './challenge.ts';
import { TokenError } from './error.ts';
import { endOf, type Claims } from './token.ts';
import { createTokens, type Tokens, type TokensOptions } from './tokens.ts';
import { NotaryError } from '../errors.ts';
import type { Operation, Route } from '../paths.ts';

/** Who was let in. */
export interface Access {
  /** The `sub` of the token; absent where it has none, as tokens for nobody in particular do. */
  readonly subject?: string;
  /** Whether it may see everything, as whoever has `registry:catalog:*` may. */
  readonly isAdmin?: boolean;
  /** Whether it may pull this repository; only where the answer depends on it. */
  readonly mayPull?: (gun: string) => boolean;
  /** When the token ends, and with it what goes on being sent. */
  readonly until?: Date;
}

/**
 * Lets a request through to its route, or throws `NotaryError` `UNAUTHORIZED` with the challenge that
 * tells a client where to get a token (WIRE §13). Whatever a token says, there is no other outcome.
 */
export type Authenticate = (request: IncomingMessage, route: Route) => Promise<Access>;

/**
 * Who may pull this repository, by the token that is shown; at once, and undefined where the token is not
 * known to be good, whatever is wrong with it: then the request has to be authenticated.
 */
export type RecallPuller = (authorization: string | undefined, gun: Gun) => Access | undefined;

export interface TokenAuthOptions extends Challenger, TokensOptions {}

/** Registry v2 token authentication. */
export function createAuthenticate(
  options: TokenAuthOptions,
  tokens: Tokens = createTokens(options),
): Authenticate {
  const check = async (
    authorization: string | undefined,
    wanted: Wanted,
    { operation }: Route,
  ): Promise<Access> => {
    const claims = await tokens.claimsOf(bearerOf(authorization));
    const isAdmin = grants(claims.access, CATALOG);
    const isGranted = grants(claims.access, wanted);
    if (!isGranted && !(HISTORY.has(operation) && (isAdmin || pullsAnything(claims, wanted)))) {
      throw new TokenError('INSUFFICIENT_SCOPE', 'the token does not allow this');
    }
    return {
      ...whoIs(claims),
      isAdmin,
      mayPull: (gun) => isAdmin || grants(claims.access, repository(gun, 'pull')),
      until: endOf(claims),
    };
  };

  return async (request, route) => {
    const wanted = wantedBy(route);
    if (wanted === undefined) return {};
    try {
      return await check(request.headers.authorization, wanted, route);
    } catch (thrown) {
      // Nothing in there depends on anything but the token, so nothing else can be to blame.
      const error = TokenError.from(thrown);
      throw new NotaryError('UNAUTHORIZED', {
        detail: wanted.actions.map((action) => detailOf(wanted, action)),
        headers: {
          'WWW-Authenticate': challenge(options, request.headers.host ?? '', wanted, error.code),
        },
        cause: error,
      });
    }
  };
}

export function createRecallPuller(tokens: Pick<Tokens, 'recall'>): RecallPuller {
  return (authorization, gun) => {
    const compact = bearerIn(authorization);
    const claims = compact === undefined ? undefined : tokens.recall(compact);
    if (claims === undefined || !grants(claims.access, repository(gun, 'pull'))) return undefined;
    return whoIs(claims);
  };
}

function whoIs({ sub }: Claims): Pick<Access, 'subject'> {
  return sub === '' ? {} : { subject: sub };
}

function bearerOf(authorization: string | undefined): string {
  const token = bearerIn(authorization);
  if (token === undefined) throw new TokenError('NO_TOKEN', 'no bearer token');
  return token;
}

/** Two words, parted by one blank. */
function bearerIn(authorization = ''): string | undefined {
  const [scheme, token, ...more] = authorization.split(' ');
  return scheme?.toLowerCase() === 'bearer' && more.length === 0 ? token : undefined;
}

/** What an operation needs (WIRE §1.2); undefined where it is for everybody. */
function wantedBy(route: Route): Wanted | undefined {
  switch (route.operation) {
    case 'Health':
    case 'Live':
    case 'Ready':
    case 'Metrics':
    case 'OpenApi':
      return undefined;
    case 'Version':
    case 'Expiring':
    case 'NotFound':
      return CATALOG;
    case 'Events':
    case 'Changefeed':
      return route.gun === undefined ? CATALOG : repository(route.gun, 'pull');
    case 'GetRole':
    case 'GetRoleByHash':
    case 'GetRoleByVersion':
    case 'HistoryAt':
    case 'HistoryDiff':
    case 'HistoryPicture':
      return repository(route.gun, 'pull');
    case 'UpdateTUF':
    case 'GetKey':
      return repository(route.gun, 'push', 'pull');
    case 'RotateKey':
    case 'DeleteTUF':
      return repository(route.gun, '*');
  }
}

const CATALOG: Wanted = { type: 'registry', name: 'catalog', actions: ['*'] };

/** What an administrator may see as well as those who may pull. */
const HISTORY: ReadonlySet<Operation> = new Set([
  'Events',
  'HistoryAt',
  'HistoryDiff',
  'HistoryPicture',
]);

/** The events of all repositories are those of the ones that a token names, if it names any. */
function pullsAnything({ access }: Claims, wanted: Wanted): boolean {
  if (wanted !== CATALOG) return false;
  return access.some(
    (entry) => entry?.type === 'repository' && grants(access, repository(entry.name, 'pull')),
  );
}

function repository(name: string, ...actions: readonly string[]): Wanted {
  return { type: 'repository', name, actions };
}

/** Entries add up, and a star in one of them stands for every action. */
function grants(access: Claims['access'], { type, name, actions }: Wanted): boolean {
  const granted = new Set<string>();
  for (const entry of access) {
    // The old server fell over these. A token server that writes them is not to be relied on.
    if (entry === null) return false;
    if (entry.type === type && entry.name === name) {
      for (const action of entry.actions) granted.add(action);
    }
  }
  return granted.has('*') || actions.every((action) => granted.has(action));
}

function detailOf({ type, name }: Wanted, action: string): Record<string, string> {
  return { Type: type, Class: '', Name: name, Action: action };
}
