import type { IncomingMessage } from 'node:http';
import type { Cause } from '@scrivener/events';
import type { Access } from '../auth/authenticate.ts';
import type { Reply } from '../answer.ts';
import type { Operation, Route } from '../paths.ts';

/** A request on its way through one route. */
export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: Reply;
  /** Raw, without the question mark. */
  readonly query: string;
  readonly cause: Cause;
  /** Who was let in; empty where everybody is. */
  readonly access: Access;
}

/** Answers one operation, or throws what `errors.ts` has an answer for. */
export type Handler<Op extends Operation> = (
  route: Extract<Route, { operation: Op }>,
  exchange: Exchange,
) => Promise<void> | void;
