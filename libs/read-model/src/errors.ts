/**
 * - `LOG_GAP`: positions are missing in the log, so that nothing true can be projected from it
 * - `MISSING_BYTES`: the log no longer has the bytes of a file that is listed
 * - `REBUILDING`: somebody else rebuilds the read model, or changed which generation is live
 * - `NOT_A_REPLAY`: the past cannot be put into that schema: it is of something else
 * - `NOTHING_KEPT`: there is no former generation to go back to
 */
export type ReadModelErrorCode =
  | 'LOG_GAP'
  | 'MISSING_BYTES'
  | 'REBUILDING'
  | 'NOTHING_KEPT'
  | 'NOT_A_REPLAY';

export class ReadModelError extends Error {
  override readonly name = 'ReadModelError';
  readonly code: ReadModelErrorCode;

  constructor(code: ReadModelErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
