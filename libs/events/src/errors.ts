/**
 * What is wrong with the log or with what was handed to it. None of these is a client's fault that
 * was not caught before; only `UNSTORABLE_GUN` depends on input (see `isStorableGun`).
 *
 * - `UNSTORABLE_GUN`: no adapter keeps a GUN with U+0000 or a lone surrogate
 * - `UNSTORABLE_EVENT`: an event that no reader could read back
 * - `MISSING_BYTES`: an event names a metafile whose bytes were not handed over with it
 * - `UNREADABLE_EVENT`: what is stored is no event that this version knows
 * - `NOT_RESTORABLE`: there is no deletion that could be taken back (any more); the message says why
 */
export type EventLogErrorCode =
  | 'UNSTORABLE_GUN'
  | 'UNSTORABLE_EVENT'
  | 'MISSING_BYTES'
  | 'UNREADABLE_EVENT'
  | 'NOT_RESTORABLE';

export class EventLogError extends Error {
  override readonly name = 'EventLogError';
  readonly code: EventLogErrorCode;

  constructor(code: EventLogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
