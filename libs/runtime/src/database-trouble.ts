/** Node's codes for a connection that could not be made, or broke. */
const NETWORK = /^(?:ECONN\w+|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENOTFOUND|EAI_AGAIN)$/;

/**
 * SQLSTATE: connection trouble (08), out of resources such as the disk (53), stopped or starting
 * (57), system error (58); a rolled back serialisation (40), and a server that only reads (25006).
 */
const SQLSTATE = /^(?:(?:08|53|57|58|40)[0-9A-Z]{3}|25006)$/;

/** What the driver says without any code; a server that dies or starts may answer the first byte oddly. */
const MESSAGE =
  /Connection terminated|timeout e(?:xpired|xceeded when trying to connect)|Query read timeout|is not queryable|SSL connection/;

/**
 * Whether an error means that the database is away, overloaded or too slow: trouble that passes,
 * and that nobody who asked has caused. Looks at the causes, too.
 */
export function isDatabaseTrouble(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // MikroORM makes an error of its own of the driver's, with the same code and no cause.
  const code = 'code' in error ? String(error.code) : '';
  if (SQLSTATE.test(code) || NETWORK.test(code)) return true;
  if (MESSAGE.test(error.message)) return true;
  if (error instanceof AggregateError && error.errors.some(isDatabaseTrouble)) return true;
  return isDatabaseTrouble(error.cause);
}
