import { isStorableGun, type Cause, type MetafileRef } from '@scrivener/events';
import type { Expiries, ReadModel } from '@scrivener/read-model';
import type { Logger } from '@scrivener/runtime';
import type { Troubles } from '@scrivener/runtime/monitoring';
import { nameRequest, tracePoint } from '@scrivener/runtime/tracing';
import type { Gun, Metafile, PublicKey, RoleName, ServerRole } from '@scrivener/tuf';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import { Overloaded, type Admission } from './admission/admission.ts';
import { answer, answerEarly, isStillSending, JSON_TEXT, TEXT, type Locals } from './answer.ts';
import { TokenError } from './auth/error.ts';
import type { Authenticate } from './auth/authenticate.ts';
import type { CachePolicy } from './caching.ts';
import { answerTo, NotaryError } from './errors.ts';
import { keepNothing, type KeptFiles } from './hot/kept-files.ts';
import type { CurrentFile } from './renewal/current-server-role.ts';
import type { Metrics } from './monitoring/metrics.ts';
import type { UploadLimits } from './form/multipart.ts';
import { resolveTarget, type Operation, type Route } from './paths.ts';
import type { PublishCommand } from './publish.ts';
import { requestLog } from './monitoring/request-log.ts';
import { getRoleAt, type Past } from './history/at.ts';
import { createClientOf, type ClientOf } from './history/client.ts';
import { getDiff } from './history/diff.ts';
import { getEvents } from './history/events.ts';
import type { Feed } from './history/feed.ts';
import { getOpenApi } from './history/openapi.ts';
import { getPicture } from './history/picture.ts';
import { getChangefeed } from './routes/changefeed.ts';
import { deleteTuf } from './routes/delete.ts';
import type { Pace } from './pacing.ts';
import { getExpiring } from './routes/expiring.ts';
import { getHealth } from './routes/health.ts';
import { serveKey } from './routes/keys.ts';
import { getRole, getRoleByHash, getRoleByVersion } from './routes/metadata.ts';
import { getMetrics } from './routes/metrics.ts';
import type { Exchange, Handler } from './routes/route.ts';
import { updateTuf } from './routes/update.ts';

/** Everything the app needs. Use cases throw `TufError`, `SigningError` or `Unavailable`. */
export interface Deps {
  readonly readModel: Pick<ReadModel, 'current' | 'byVersion' | 'byChecksum' | 'changes'>;
  /** Files in memory; nothing is kept where it is absent. */
  readonly kept?: KeptFiles;
  readonly expiries: Pick<Expiries, 'soonest'>;
  /** What the log says about the past. */
  readonly past: Past;
  /** What happens, for those who follow it. */
  readonly feed: Feed;
  /** Reads one file of an upload. Throws `TufError` `MALFORMED_JSON`. */
  readFile(role: RoleName, bytes: Uint8Array): Promise<Metafile>;
  /** Resolves to the new timestamp when it can be read through every API (WIRE §5 to §9). */
  publish(command: PublishCommand): Promise<MetafileRef>;
  /** When those are told who lost a race. */
  readonly pace: Pick<Pace, 'arrived' | 'lost'>;
  /** The current timestamp or snapshot, renewed first where it has expired (WIRE §8.4). */
  currentServerRole(gun: Gun, role: ServerRole): Promise<CurrentFile | undefined>;
  /** WIRE §4, GET. */
  serverKey(gun: Gun, role: ServerRole, cause: Cause): Promise<PublicKey>;
  /** WIRE §4, POST. */
  rotateKey(gun: Gun, role: ServerRole, cause: Cause): Promise<PublicKey>;
  /** WIRE §10. */
  deleteRepository(gun: Gun, cause: Cause): Promise<void>;
  /** What is wrong, by the name of the check; empty when all is well (WIRE §12). */
  health(): Promise<Troubles>;
  /** The same for load balancers: nor is a process well that was asked to stop. */
  ready(): Promise<Troubles>;
  readonly now: () => Date;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly caching: CachePolicy;
  /** Everybody may do everything where it is absent (WIRE §13). */
  readonly authenticate?: Authenticate;
  /** Who is connected, as events note it; certificates only where it is absent. */
  readonly clientOf?: ClientOf;
  /** Empty: every GUN is welcome (WIRE §14.4). */
  readonly gunPrefixes: readonly string[];
  readonly limits: UploadLimits;
  /** Who may upload, while others do. */
  readonly admission: Pick<Admission, 'receive'>;
}

type Handlers = { readonly [Op in Operation]: Handler<Op> };
type Middleware = RequestHandler<unknown, unknown, unknown, unknown, Locals>;

/**
 * The HTTP edge. Express gives the frame; routes are matched by `paths.ts`, on the decoded path and
 * with a greedy GUN, which its router cannot express.
 */
export function createApp(deps: Deps): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', false);

  app.use(requestLog(deps.logger));
  app.use(count(deps.metrics));
  app.use(dispatch(handlersOf(deps), deps));
  app.use(answerErrors);
  return app;
}

function handlersOf(deps: Deps): Handlers {
  const { readModel, caching, kept = keepNothing } = deps;
  return {
    Version: (_route, { res }) => answer(res, 200, { 'Content-Type': TEXT }, '{}'),
    UpdateTUF: updateTuf({
      publish: deps.metrics.countPublishes((command) => deps.publish(command)),
      pace: deps.pace,
      readFile: (...file) => deps.readFile(...file),
      limits: deps.limits,
      admission: deps.admission,
    }),
    GetRoleByHash: getRoleByHash(readModel, kept, caching),
    GetRoleByVersion: getRoleByVersion(readModel, kept, caching),
    GetRole: getRole(readModel, (gun, role) => deps.currentServerRole(gun, role), kept, caching),
    GetKey: serveKey((...question) => deps.serverKey(...question)),
    RotateKey: serveKey((...question) => deps.rotateKey(...question)),
    DeleteTUF: deleteTuf((gun, cause) => deps.deleteRepository(gun, cause)),
    Changefeed: getChangefeed(readModel),
    Expiring: getExpiring(deps.expiries, deps.now),
    Events: getEvents(deps),
    HistoryAt: getRoleAt(deps.past),
    HistoryDiff: getDiff(deps.past),
    HistoryPicture: getPicture(deps.past),
    OpenApi: getOpenApi(),
    Health: getHealth(() => deps.health()),
    Live: getHealth(async () => ({})),
    Ready: getHealth(() => deps.ready()),
    Metrics: getMetrics(deps.metrics),
    NotFound: () => {
      throw new NotaryError('METADATA_NOT_FOUND');
    },
  };
}

function count(metrics: Metrics): Middleware {
  return (_req, res, next) => {
    const started = performance.now();
    res.once('close', () => metrics.observe(res, (performance.now() - started) * 1000));
    next();
  };
}

/** The order of WIRE §1.3: clean path, method and route, GUN prefix, authentication, handler. */
function dispatch(
  handlers: Handlers,
  {
    gunPrefixes,
    authenticate,
    clientOf = createClientOf(),
  }: Pick<Deps, 'gunPrefixes' | 'authenticate' | 'clientOf'>,
): Middleware {
  return async (req, res) => {
    const destination = resolveTarget(req.method, req.url);
    switch (destination.kind) {
      case 'malformed':
        answer(res, 400, { 'Content-Type': TEXT, Connection: 'close' }, '400 Bad Request');
        return;
      case 'moved':
        answer(res, 301, { Location: destination.location });
        return;
      case 'wrong-method':
        answer(res, 405, {});
        return;
      case 'no-page':
        answer(
          res,
          404,
          { 'Content-Type': TEXT, 'X-Content-Type-Options': 'nosniff' },
          '404 page not found\n',
        );
        return;
      case 'route': {
        const { route, query } = destination;
        res.locals.operation = route.operation;
        nameRequest(req.method, route.operation);
        admit(route, gunPrefixes);
        const access = (await authenticate?.(req, route)) ?? {};
        if (access.subject !== undefined) res.locals.subject = access.subject;
        const cause = causeOf(res.locals, clientOf(req));
        await handle(handlers, route, { req, res, query, cause, access });
      }
    }
  };
}

/** What the log of events says about why and for whom something happened, and in which trace. */
function causeOf({ requestId, subject }: Locals, client: Cause): Cause {
  return { requestId, ...(subject !== undefined && { subject }), ...client, ...tracePoint() };
}

/** TypeScript cannot see that a handler looked up by its operation takes that operation's route. */
async function handle(handlers: Handlers, route: Route, exchange: Exchange): Promise<void> {
  const handler = handlers[route.operation] as Handler<Operation>;
  await handler(route, exchange);
}

/** WIRE §14.4. A GUN that no store can keep as text is no better than one outside the prefixes. */
function admit(route: Route, prefixes: readonly string[]): void {
  if (!('gun' in route) || route.gun === undefined) return;
  const { gun } = route;
  const isWelcome = prefixes.length === 0 || prefixes.some((prefix) => gun.startsWith(prefix));
  if (isWelcome && isStorableGun(gun)) return;
  if (route.operation !== 'UpdateTUF') throw new NotaryError('METADATA_NOT_FOUND');
  if (isWelcome) throw new NotaryError('INVALID_GUN');
  const detail = `Require GUNs with prefix: [${prefixes.join(' ')}]`;
  throw new NotaryError('INVALID_GUN', { detail });
}

/** What there was too much of. It is no error of ours: a line without a stack, for there may be many. */
function overloadOf(thrown: unknown): string | undefined {
  const cause = thrown instanceof NotaryError ? thrown.cause : thrown;
  return cause instanceof Overloaded ? cause.message : undefined;
}

/** What was wrong with a token is for the log alone. */
function reasonOf(thrown: unknown): string | undefined {
  const cause = thrown instanceof NotaryError ? thrown.cause : undefined;
  return cause instanceof TokenError ? cause.message : undefined;
}

/** Four parameters: that is how Express knows an error handler. */
const answerErrors: ErrorRequestHandler<unknown, unknown, unknown, unknown, Locals> = async (
  thrown: unknown,
  req,
  res,
  _next,
) => {
  const { status, headers, body, summary } = answerTo(thrown);
  const overload = overloadOf(thrown);
  if (overload !== undefined) res.locals.log.warn({ reason: overload }, summary);
  else if (status < 500) res.locals.log.info({ reason: reasonOf(thrown) }, summary);
  else res.locals.log.error({ err: thrown }, summary);

  if (res.headersSent) {
    // Half an answer must not look like a whole one.
    res.destroy();
    return;
  }
  const all = { 'Content-Type': JSON_TEXT, ...headers };
  if (await isStillSending(req)) await answerEarly(res, status, all, body);
  else answer(res, status, all, body);
};
