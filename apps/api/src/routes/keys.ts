import type { Cause } from '@scrivener/events';
import { renderPublicKey, type Gun, type PublicKey, type ServerRole } from '@scrivener/tuf';
import { answer, TEXT } from '../answer.ts';
import type { Exchange, Handler } from './route.ts';

/** A use case of WIRE §4: which public key the server signs a role with. */
type KeyOf = (gun: Gun, role: ServerRole, cause: Cause) => Promise<PublicKey>;

/** `GET …/{role}.key` and `POST …/{role}.key` differ only in the key that they ask for. */
export function serveKey(keyOf: KeyOf): Handler<'GetKey'> & Handler<'RotateKey'> {
  return async ({ gun, role }: { gun: Gun; role: ServerRole }, { req, res, cause }: Exchange) => {
    const key = await keyOf(gun, role, cause);
    res.locals.log.debug(`200 ${req.method} ${role} key`);
    answer(res, 200, { 'Content-Type': TEXT }, renderPublicKey(key));
  };
}
