/**
 * Why a token did not let somebody in; the message is for the log.
 *
 * - `NO_TOKEN`: there was none
 * - `INVALID_TOKEN`: it cannot be read, is meant for others, has expired or is not well signed
 * - `INSUFFICIENT_SCOPE`: it is good, but not for this
 */
export class TokenError extends Error {
  override readonly name = 'TokenError';
  readonly code: 'NO_TOKEN' | 'INVALID_TOKEN' | 'INSUFFICIENT_SCOPE';

  constructor(code: TokenError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** What a library throws over a token makes it invalid. */
  static from(thrown: unknown): TokenError {
    if (thrown instanceof TokenError) return thrown;
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    return new TokenError('INVALID_TOKEN', reason, { cause: thrown });
  }
}
