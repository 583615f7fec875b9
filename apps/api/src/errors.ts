import { isDatabaseTrouble } from '@scrivener/runtime';
import { SigningError, type SigningErrorCode } from '@scrivener/signing';
import { TufError, type TufErrorCode } from '@scrivener/tuf';
import { jsonText } from './json-text.ts';

/** What `detail` may hold: anything JSON can say. */
export type Detail =
  | string
  | number
  | boolean
  | null
  | readonly Detail[]
  | { readonly [name: string]: Detail };

/**
 * The codes of Notary's error documents with their status and message (WIRE §2.2). `UNAVAILABLE` is
 * ours: the old server hung or answered 400 where this says "later".
 */
const answers = {
  METADATA_NOT_FOUND: [404, 'You have requested metadata that does not exist.'],
  MALFORMED_UPLOAD: [400, 'The body of your request is malformed.'],
  NO_FILENAME: [400, 'No file/role name provided.'],
  INVALID_ROLE: [400, 'The role you are attempting to operate on is invalid.'],
  MALFORMED_JSON: [400, 'JSON sent by the client could not be parsed by the server'],
  INVALID_UPDATE: [400, 'Update sent by the client is invalid.'],
  VERSION: [400, 'A newer version of metadata is already available.'],
  INVALID_GUN: [400, 'The server does not support actions on images of this name.'],
  INVALID_PARAMETERS: [400, 'The parameters provided are not valid.'],
  UNAUTHORIZED: [401, 'authentication required'],
  UNKNOWN: [500, 'unknown error'],
  UNAVAILABLE: [503, 'The service cannot answer in time. Please try again.'],
} as const satisfies Record<string, readonly [status: number, message: string]>;

export type NotaryCode = keyof typeof answers;

/** Seconds after which a client that got `UNAVAILABLE` may ask again. */
const RETRY_AFTER = '5';

interface NotaryErrorOptions extends ErrorOptions {
  /** Left out of the document where absent; `{}` is not the same (WIRE §2.2). */
  readonly detail?: Detail;
  /** Where it differs from the code's own, such as 413 for an upload that is too long. */
  readonly status?: number;
  /** Of the answer, besides those that every error document has. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A refusal that is told to the client as it stands. */
export class NotaryError extends Error {
  override readonly name = 'NotaryError';
  readonly code: NotaryCode;
  readonly status: number;
  readonly detail: Detail | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: NotaryCode, options: NotaryErrorOptions = {}) {
    super(answers[code][1], options);
    this.code = code;
    this.status = options.status ?? answers[code][0];
    this.detail = options.detail;
    this.headers = options.headers ?? {};
  }
}

/**
 * No answer within the deadline, from a store, a signer or the projection: 503 `UNAVAILABLE` with
 * `Retry-After`. `message` is for the log.
 */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/** A whole error answer: what `app.ts` sends. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** One line of JSON and a newline. */
  readonly body: string;
  /** What the log says about it in one line (WIRE §15). */
  readonly summary: string;
}

/** The answer to anything that was thrown. What nobody foresaw says nothing about itself. */
export function answerTo(thrown: unknown): ErrorAnswer {
  const { code, status, message, detail, headers } = asNotaryError(thrown);
  return {
    status,
    headers: code === 'UNAVAILABLE' ? { ...headers, 'Retry-After': RETRY_AFTER } : headers,
    body: errorDocument(code, message, detail),
    summary: `${code.toLowerCase().replaceAll('_', ' ')}: ${message}: ${shownDetail(detail)}`,
  };
}

/** What a client is told about anything that was thrown. */
export function asNotaryError(thrown: unknown): NotaryError {
  if (thrown instanceof NotaryError) return thrown;
  if (thrown instanceof TufError) return tufAnswers[thrown.code](thrown);
  if (thrown instanceof SigningError) return signingAnswers[thrown.code](thrown);
  if (thrown instanceof Unavailable || isDatabaseTrouble(thrown)) {
    return new NotaryError('UNAVAILABLE', { cause: thrown });
  }
  return new NotaryError('UNKNOWN', { detail: {}, cause: thrown });
}

type Answer<Thrown> = (thrown: Thrown) => NotaryError;

/** WIRE §2.2: a failed validation names itself in `detail`. */
const invalidUpdate =
  (Name: string, more: Record<string, string> = {}): Answer<TufError> =>
  (thrown) =>
    new NotaryError('INVALID_UPDATE', {
      detail: { Name, Error: { ...more, Msg: thrown.message } },
      cause: thrown,
    });

const tufAnswers = {
  MALFORMED_JSON: (cause) => new NotaryError('MALFORMED_JSON', { cause }),
  INVALID_ROLE: (cause) => new NotaryError('INVALID_ROLE', { detail: cause.message, cause }),
  BAD_ROOT: invalidUpdate('ErrBadRoot'),
  BAD_TARGETS: invalidUpdate('ErrBadTargets'),
  BAD_SNAPSHOT: invalidUpdate('ErrBadSnapshot'),
  BAD_HIERARCHY: invalidUpdate('ErrBadHierarchy', { Missing: 'snapshot' }),
  VALIDATION: invalidUpdate('ErrValidation'),
  UNTRUSTED_STATE: (cause) => new NotaryError('INVALID_UPDATE', { cause }),
  OLD_VERSION: (cause) => new NotaryError('VERSION', { detail: {}, cause }),
} satisfies Record<TufErrorCode, Answer<TufError>>;

/** A key that the log knows and the signer does not is our fault, not the client's: 500. */
const signingAnswers = {
  UNKNOWN_KEY: (cause) => new NotaryError('UNKNOWN', { detail: {}, cause }),
  REFUSED: (cause) => new NotaryError('UNKNOWN', { detail: {}, cause }),
  TOO_LARGE: (cause) => tufAnswers.VALIDATION(new TufError('VALIDATION', cause.message, { cause })),
  UNAVAILABLE: (cause) => new NotaryError('UNAVAILABLE', { cause }),
} satisfies Record<SigningErrorCode, Answer<SigningError>>;

/** WIRE §2.2: exactly one error, members in this order, `<`, `>` and `&` escaped, a final newline. */
function errorDocument(code: NotaryCode, message: string, detail: Detail | undefined): string {
  return `${jsonText({ errors: [{ code, message, detail }] })}\n`;
}

function shownDetail(detail: Detail | undefined): string {
  if (detail === undefined) return '<nil>';
  return typeof detail === 'string' ? detail : JSON.stringify(detail);
}
