import { status } from '@grpc/grpc-js';
import {
  keyId,
  snapshotPayload,
  timestampPayload,
  type KeyId,
  type PublicKey,
  type ServerRole,
  type ServerSignatures,
  type Signature,
  type SigningRequest,
} from '@scrivener/tuf';
import { LRUCache } from 'lru-cache';
import { ZodError } from 'zod';
import { refuseMalformed } from '../key-signer.ts';
import { SigningError, type CreateKeyRequest, type Signer } from '../signer.ts';
import { asking } from '../trace.ts';
import {
  checkHealth,
  createKey,
  getKeyInfo,
  HEALTH_OF_KEY_MANAGEMENT,
  HEALTH_OF_SIGNER,
  sign,
  type Method,
  type PublicKeyMessage,
} from './protocol.ts';
import { isServiceError, SignerChannel, type Patience } from './signer-channel.ts';
import type { ClientTls } from './tls.ts';

export interface RemoteSignerOptions {
  readonly hostname: string;
  readonly port: number;
  readonly tls: ClientTls;
  /** How long one question may take in all, in milliseconds; 8 s if not said. */
  readonly deadline?: number;
}

/** What a health route wants to know: which services of the Signer say that they are serving. */
export interface RemoteSignerHealth {
  readonly keyManagement: boolean;
  readonly signer: boolean;
}

/** A `Signer` behind gRPC: a Notary Signer, or a worker of ours that serves as one. */
export interface RemoteSigner extends Signer {
  /** Asks now; answers within 2 s whatever happens, and never throws. */
  health(): Promise<RemoteSignerHealth>;
}

const DEADLINE = 8_000;
/** A little less than a health route gives us. */
const HEALTH_LIMIT = 1_750;
/** Keys whose role is remembered. */
const KNOWN_KEYS = 10_000;

/** What signatures by a key are called in metadata (WIRE §7.4); the old Server goes by this, too. */
const METHODS: ReadonlyMap<string, string> = new Map([
  ['ed25519', 'eddsa'],
  ['ecdsa', 'ecdsa'],
  ['rsa', 'rsapss'],
]);

/** What never changes about a key. */
interface KnownKey {
  readonly role: string;
  readonly method: string;
}

/**
 * Asks a Signer over gRPC with TLS. It need not be there: a question that is not answered before its
 * deadline throws `UNAVAILABLE`. Throws where the TLS files are broken.
 *
 * The protocol does not name the repository that a key has to belong to, and an old Signer does not
 * check the role; the role is checked here, and the repository by whoever knows which keys were made
 * for it, which is the log. An old Signer's ECDSA is not deterministic.
 */
export function createRemoteSigner(options: RemoteSignerOptions): RemoteSigner {
  return new GrpcSigner(options);
}

class GrpcSigner implements RemoteSigner {
  readonly #channel: SignerChannel;
  readonly #deadline: number;
  readonly #known = new LRUCache<KeyId, KnownKey>({ max: KNOWN_KEYS });

  constructor({ hostname, port, tls, deadline = DEADLINE }: RemoteSignerOptions) {
    this.#channel = new SignerChannel({ hostname, port, tls });
    this.#deadline = deadline;
  }

  async createKey({ gun, role, algorithm }: CreateKeyRequest): Promise<PublicKey> {
    const answer = await this.#ask(createKey, { algorithm, gun, role }, this.#patience());
    const { keyid, key } = readKey(answer);
    if (key.keytype !== algorithm) throw unintelligible();
    this.#known.set(keyid, { role, method: methodOf(key) });
    return key;
  }

  async sign(request: SigningRequest): Promise<ServerSignatures> {
    refuseMalformed(request);
    const { snapshot, timestamp } = request;
    const patience = this.#patience();
    // All are asked for before one signs, so that a request in vain uses up no pending key.
    await this.#refuseUnknown('snapshot', snapshot?.keyids ?? [], patience);
    await this.#refuseUnknown('timestamp', timestamp.keyids, patience);

    const signAll = (keyids: readonly KeyId[], payload: Uint8Array) =>
      Promise.all(keyids.map((keyid) => this.#sign(keyid, payload, patience)));
    if (snapshot === undefined) {
      const payload = timestampPayload(request, undefined);
      return { timestamp: await signAll(timestamp.keyids, payload) };
    }
    const signatures = await signAll(snapshot.keyids, snapshotPayload(snapshot));
    const payload = timestampPayload(request, signatures);
    return { snapshot: signatures, timestamp: await signAll(timestamp.keyids, payload) };
  }

  async health(): Promise<RemoteSignerHealth> {
    const patience = { until: Date.now() + HEALTH_LIMIT, retry: false };
    const isServing = (service: string) =>
      this.#channel.call(checkHealth, { service }, patience).then(
        (answer) => answer.status === 'SERVING',
        () => false,
      );
    const [keyManagement, signer] = await Promise.all([
      isServing(HEALTH_OF_KEY_MANAGEMENT),
      isServing(HEALTH_OF_SIGNER),
    ]);
    return { keyManagement, signer };
  }

  async close(): Promise<void> {
    this.#channel.close();
  }

  async #refuseUnknown(
    role: ServerRole,
    keyids: readonly KeyId[],
    patience: Patience,
  ): Promise<void> {
    const keys = await Promise.all(keyids.map((keyid) => this.#know(keyid, patience)));
    // Keys older than a certain migration of the old Signer have no role (SIGNER §5.4).
    const wrong = keys.findIndex((key) => key.role !== '' && key.role !== role);
    if (wrong >= 0) {
      throw new SigningError('UNKNOWN_KEY', `no key ${keyids[wrong]} for the ${role}`);
    }
  }

  async #know(keyid: KeyId, patience: Patience): Promise<KnownKey> {
    const known = this.#known.get(keyid);
    if (known !== undefined) return known;
    const answer = await this.#ask(getKeyInfo, { ID: keyid }, patience);
    const found = readKey(answer);
    if (found.keyid !== keyid) throw unintelligible();
    const key = { role: answer.role, method: methodOf(found.key) };
    this.#known.set(keyid, key);
    return key;
  }

  async #sign(keyid: KeyId, content: Uint8Array, patience: Patience): Promise<Signature> {
    const { method } = await this.#know(keyid, patience);
    const answer = await this.#ask(
      sign,
      { keyID: { ID: keyid }, content },
      { ...patience, bytes: content.length },
    );
    if (answer.content.length === 0) throw unintelligible();
    return { keyid, method, sig: Buffer.from(answer.content).toString('base64') };
  }

  #patience(): Patience {
    return { until: Date.now() + this.#deadline, retry: true };
  }

  async #ask<Request extends object, Response>(
    method: Method<Request, Response>,
    message: Request,
    patience: Patience,
  ): Promise<Response> {
    try {
      return await asking(method.name, { 'rpc.system': 'grpc' }, (carrier) =>
        this.#channel.call(method, message, { ...patience, carrier }),
      );
    } catch (error) {
      throw signingError(error);
    }
  }
}

/** The key in an answer, under the id that we compute ourselves. */
function readKey({ keyInfo, publicKey }: PublicKeyMessage): { keyid: KeyId; key: PublicKey } {
  const key = {
    keytype: keyInfo?.algorithm?.algorithm ?? '',
    public: Buffer.from(publicKey).toString('base64'),
  };
  const keyid = keyId(key);
  if (keyInfo?.keyID?.ID !== keyid) throw unintelligible();
  return { keyid, key };
}

function methodOf({ keytype }: PublicKey): string {
  const method = METHODS.get(keytype);
  if (method === undefined) throw unintelligible();
  return method;
}

function signingError(cause: unknown): SigningError {
  if (cause instanceof ZodError) return unintelligible(cause);
  if (!isServiceError(cause)) {
    return new SigningError('UNAVAILABLE', 'the signer cannot be asked', { cause });
  }
  if (cause.code === status.NOT_FOUND) {
    return new SigningError('UNKNOWN_KEY', cause.details, { cause });
  }
  if (cause.code === status.RESOURCE_EXHAUSTED) {
    return new SigningError('TOO_LARGE', `the signer takes no more: ${cause.details}`, { cause });
  }
  return new SigningError('UNAVAILABLE', `the signer failed: ${cause.details}`, { cause });
}

function unintelligible(cause?: Error): SigningError {
  return new SigningError('UNAVAILABLE', 'the signer gave an unintelligible answer', { cause });
}
