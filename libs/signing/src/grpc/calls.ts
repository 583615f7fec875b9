import { setTimeout as delay } from 'node:timers/promises';
import {
  status,
  type handleUnaryCall,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import {
  checkServerPayload,
  keyId,
  parseGun,
  TufError,
  type Gun,
  type KeyId,
  type PublicKey,
  type ServerKeyAlgorithm,
  type ServerPrivateKey,
  type ServerRole,
} from '@scrivener/tuf';
import { createKeySigner } from '../key-signer.ts';
import { UnreadableKey, type HeldKey, type KeyStore } from '../key-store.ts';
import { answering as inTrace } from '../trace.ts';
import {
  createKey,
  deleteKey,
  getKeyInfo,
  sign,
  type Method,
  type PublicKeyMessage,
  type SignatureMessage,
} from './protocol.ts';
import { carrierOf } from './trace.ts';

export interface CallsOptions {
  readonly keys: KeyStore;
  /** In milliseconds. */
  readonly callLimit: number;
  readonly onError: (error: unknown, call: string) => void;
  readonly onAnswered: (call: AnsweredCall) => void;
}

/** One call from its request to its answer. */
export interface AnsweredCall {
  /** `Signer/Sign` */
  readonly name: string;
  /** gRPC's name for it: `OK`, `NOT_FOUND`. */
  readonly code: string;
  readonly milliseconds: number;
}

interface Calls {
  readonly keyManagement: UntypedServiceImplementation;
  readonly signer: UntypedServiceImplementation;
}

/** An answer that is an error: a code of gRPC, and a text that the caller may see. */
class CallError extends Error {
  override readonly name = 'CallError';
  readonly code: status;

  constructor(code: status, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

type Outcome<Response> =
  | { readonly code: status.OK; readonly response: Response }
  | { readonly code: status; readonly details: string };

/** Longest text of an error: it travels in a header, and may repeat what the caller sent. */
const LONGEST_TEXT = 256;

/**
 * The calls of the old Signer, with its answers and words (SIGNER §1.2), but for its faults (§1.3): a
 * key has to be named, trouble with the database or a passphrase is no "not found", and a key signs
 * what its role signs and nothing else.
 */
export function createCalls({ keys, callLimit, onError, onAnswered }: CallsOptions): Calls {
  /** Trouble with the keys is told to the log in full and to the caller in these words. */
  const answering = <Request, Response>(
    method: Method<Request, Response>,
    trouble: (request: Request) => string,
    answer: (request: Request) => Promise<Response>,
  ): handleUnaryCall<unknown, Response> => {
    const outcome = async (request: Request): Promise<Outcome<Response>> => {
      try {
        return { code: status.OK, response: await inTime(answer(request), callLimit) };
      } catch (error) {
        if (!(error instanceof CallError)) onError(error, method.name);
        const { code, message } = callError(error, () => trouble(request));
        return { code, details: message.slice(0, LONGEST_TEXT) };
      }
    };
    const reply = async (request: unknown, respond: sendUnaryData<Response>) => {
      const begin = performance.now();
      const parsed = method.request.safeParse(request);
      const given = parsed.success
        ? await outcome(parsed.data)
        : { code: status.INVALID_ARGUMENT, details: 'malformed request' };
      if ('response' in given) respond(null, given.response);
      else respond(given);
      const milliseconds = performance.now() - begin;
      onAnswered({ name: method.name, code: status[given.code], milliseconds });
    };
    return ({ request, metadata }, respond) =>
      void inTrace(method.name, { 'rpc.system': 'grpc' }, carrierOf(metadata), () =>
        reply(request, respond),
      );
  };

  return {
    keyManagement: {
      CreateKey: answering(
        createKey,
        () => 'Key creation failed',
        async (request) => {
          const algorithm = parseAlgorithm(request.algorithm);
          const role = parseRole(request.role);
          const gun = parseStorableGun(request.gun);
          const key = await createKeySigner(keys).createKey({ gun, role, algorithm });
          return publicKeyMessage(key);
        },
      ),
      DeleteKey: answering(
        deleteKey,
        ({ ID }) => `Key deletion for KeyID ${ID} failed`,
        async ({ ID }) => {
          const keyid = parseKeyId(ID);
          if (keyid !== undefined) await keys.remove(keyid);
          return {};
        },
      ),
      GetKeyInfo: answering(
        getKeyInfo,
        () => 'the keys cannot be read',
        async ({ ID }) => {
          const { key, role } = await find(keys, ID, 'key ID not found');
          return { ...publicKeyMessage(key.publicKey), role };
        },
      ),
    },
    signer: {
      Sign: answering(
        sign,
        () => 'the keys cannot be read',
        async ({ keyID, content }) => {
          const ID = keyID?.ID ?? '';
          const { key, role } = await find(keys, ID, `signing key not found: ${ID}`);
          refuseMalformed(role, content);
          // First, as in `createKeySigner`: a key that signed must never count as pending.
          await keys.markUsed([key.keyid]);
          return signatureMessage(key, content);
        },
      ),
    },
  };
}

/** The key of that id, which has to be named; `NOT_FOUND` with that text where it is not there. */
async function find(keys: KeyStore, ID: string, notFound: string): Promise<HeldKey> {
  const keyid = parseKeyId(ID);
  const held = keyid && (await keys.findById(keyid));
  if (held === undefined) throw new CallError(status.NOT_FOUND, notFound);
  return held;
}

/** `undefined` where no key can have that id; `INVALID_ARGUMENT` where there is none at all. */
function parseKeyId(ID: string): KeyId | undefined {
  if (ID === '') throw invalid('a key ID is required');
  return /^[0-9a-f]{64}$/.test(ID) ? (ID as KeyId) : undefined;
}

function parseAlgorithm(algorithm: string): ServerKeyAlgorithm {
  if (algorithm === 'ecdsa' || algorithm === 'ed25519') return algorithm;
  throw new CallError(status.UNKNOWN, `algorithm ${algorithm} not supported for create key`);
}

/** An old Server asks for these two and no other, and others could never sign. */
function parseRole(role: string): ServerRole {
  if (role === 'snapshot' || role === 'timestamp') return role;
  throw invalid(`a signer makes no keys for the role "${role}"`);
}

/** No text in Postgres holds a NUL. */
function parseStorableGun(text: string): Gun {
  const gun = text.includes('\0') ? undefined : parseGun(text);
  if (gun === undefined) throw invalid('no repository can have that name');
  return gun;
}

function refuseMalformed(role: ServerRole, content: Uint8Array): void {
  try {
    checkServerPayload(role, content);
  } catch (error) {
    if (!(error instanceof TufError)) throw error;
    throw new CallError(status.INVALID_ARGUMENT, `a ${role} key does not sign this`, {
      cause: error,
    });
  }
}

function publicKeyMessage(key: PublicKey): PublicKeyMessage {
  return {
    keyInfo: { keyID: { ID: keyId(key) }, algorithm: { algorithm: key.keytype } },
    publicKey: Buffer.from(key.public, 'base64'),
  };
}

function signatureMessage(key: ServerPrivateKey, content: Uint8Array): SignatureMessage {
  return {
    keyInfo: { keyID: { ID: key.keyid }, algorithm: { algorithm: key.algorithm } },
    algorithm: { algorithm: key.method },
    content: Buffer.from(key.sign(content).sig, 'base64'),
  };
}

function invalid(message: string): CallError {
  return new CallError(status.INVALID_ARGUMENT, message);
}

/** A key that cannot be read stays so; all else may pass. */
function callError(error: unknown, trouble: () => string): CallError {
  if (error instanceof CallError) return error;
  const code = error instanceof UnreadableKey ? status.INTERNAL : status.UNAVAILABLE;
  return new CallError(code, trouble());
}

async function inTime<Value>(work: Promise<Value>, limit: number): Promise<Value> {
  const over = new AbortController();
  const late = delay(limit, undefined, { signal: over.signal }).then((): never => {
    throw new Error(`the call took longer than ${limit} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => {});
    over.abort();
  }
}
