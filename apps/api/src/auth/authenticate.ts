import type { IncomingMessage } from 'node:http';
import { challenge, type Challenger, type Wanted } from './challenge.ts';
import type { Certificate } from './chain.ts';
import { TokenError } from './error.ts';
import { createKeyring } from './keys.ts';
import {
  checkClaims,
  endOf,
  parseToken,
  readClaims,
  verifySignature,
  type Claims,
} from './token.ts';
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

export interface TokenAuthOptions extends Challenger {
  /** The `iss` of good tokens. Their `aud` is the `service`. */
  readonly issuer: string;
  /** The root certificate bundle, at least one. */
  readonly rootCertBundle: readonly Certificate[];
  readonly now: () => Date;
}

/** Registry v2 token authentication. */
export function createAuthenticate(options: TokenAuthOptions): Authenticate {
  const { issuer, service, now } = options;
  const keyring = createKeyring(options.rootCertBundle);

  const check = async (
    authorization: string | undefined,
    wanted: Wanted,
    { operation }: Route,
  ): Promise<Access> => {
    const token = parseToken(bearerOf(authorization));
    await verifySignature(token, keyring.keyOf(token.header, now()));
    const claims = readClaims(token);
    checkClaims(claims, { issuer, audience: service, now: now() });
    const isAdmin = grants(claims.access, CATALOG);
    const isGranted = grants(claims.access, wanted);
    if (!isGranted && !(HISTORY.has(operation) && (isAdmin || pullsAnything(claims, wanted)))) {
      throw new TokenError('INSUFFICIENT_SCOPE', 'the token does not allow this');
    }
    return {
      ...(claims.sub !== '' && { subject: claims.sub }),
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

/** Two words, parted by one blank. */
function bearerOf(authorization = ''): string {
  const [scheme, token, ...more] = authorization.split(' ');
  if (scheme?.toLowerCase() !== 'bearer' || token === undefined || more.length > 0) {
    throw new TokenError('NO_TOKEN', 'no bearer token');
  }
  return token;
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
