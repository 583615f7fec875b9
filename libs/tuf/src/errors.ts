import type { RoleName } from './role.ts';

/**
 * Why the rules refuse something.
 *
 * - `MALFORMED_JSON`: bytes that are not JSON of the right shape (WIRE §5.3)
 * - `INVALID_ROLE`: a name that no role can have
 * - `BAD_ROOT`, `BAD_TARGETS`, `BAD_SNAPSHOT`: that file breaks a rule (§6.2 to §6.5)
 * - `BAD_HIERARCHY`: a file is missing and the server cannot make it; `missing` says which
 * - `VALIDATION`: the update as a whole cannot be valid
 * - `UNTRUSTED_STATE`: what is stored no longer verifies, so nothing can follow it
 * - `OLD_VERSION`: a version at least as high is stored already (§9)
 */
export type TufErrorCode =
  | 'MALFORMED_JSON'
  | 'INVALID_ROLE'
  | 'BAD_ROOT'
  | 'BAD_TARGETS'
  | 'BAD_SNAPSHOT'
  | 'BAD_HIERARCHY'
  | 'VALIDATION'
  | 'UNTRUSTED_STATE'
  | 'OLD_VERSION';

export interface TufErrorOptions extends ErrorOptions {
  readonly missing?: RoleName;
}

/** A refusal by the TUF rules. `message` is the text that Notary's clients are used to see. */
export class TufError extends Error {
  override readonly name = 'TufError';
  readonly code: TufErrorCode;
  /** The role whose file is missing; with `BAD_HIERARCHY` only. */
  readonly missing: RoleName | undefined;

  constructor(code: TufErrorCode, message: string, options: TufErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.missing = options.missing;
  }
}

/**
 * A rule is broken, and this is the text for it. The rules do not know whether the file they look
 * at was uploaded or stored; `judge` does, and so decides what the refusal counts as.
 */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** Runs rules; what they refuse becomes a `TufError` with this code. */
export function judge<T>(code: TufErrorCode, rules: () => T): T {
  try {
    return rules();
  } catch (error) {
    if (error instanceof Refusal) throw new TufError(code, error.message, { cause: error });
    throw error;
  }
}
