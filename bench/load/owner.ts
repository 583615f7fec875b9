import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';
import { keyId, type KeyId, type PublicKey } from '@scrivener/tuf';
import { certificatePem } from '../../libs/tuf/src/pem.ts';
import { writeCertificate } from '../../libs/tuf/src/testing/x509.ts';

const YEAR = 365 * 86_400_000;
/** Of everything that an owner signs here, to the second, as clients write it. */
export const EXPIRES = new Date(Date.now() + YEAR).toISOString().replace(/\.\d+Z$/, 'Z');
/** Of the certificates of root keys; they know whole seconds. */
export const CERTIFICATES_EXPIRE = new Date(Math.floor((Date.now() + 10 * YEAR) / 1_000) * 1_000);
const BOUNDARY = 'f1a2c3d4e5f60718293a4b5c6d7e8f90';

export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

/** A P-256 key of node:crypto's, which signs at a fraction of what a server does with the result. */
export interface Key {
  readonly keyid: KeyId;
  readonly publicKey: PublicKey;
  readonly secret: KeyObject;
}

export interface ServerKeys {
  readonly timestamp: PublicKey;
  readonly snapshot: PublicKey;
}

/** The owner of one collection: its keys, and the version that its targets have got to. */
export class Owner {
  readonly gun: string;
  readonly #root: Key;
  readonly #targets: Key;
  readonly #files: number;
  #version = 0;

  /** `files`: how many targets each version of its targets file lists. */
  constructor(gun: string, files: number) {
    this.gun = gun;
    this.#root = newRootKey(gun);
    this.#targets = newKey();
    this.#files = files;
  }

  get path(): string {
    return `/v2/${this.gun}/_trust/tuf/`;
  }

  /** The first publish: root and targets, with the server's keys for the other two roles. */
  firstUpdate(server: ServerKeys): Buffer {
    return form([this.root(server), this.targets()]);
  }

  /** The next version of the targets; one of the files in it has changed. */
  nextUpdate(): Buffer {
    return form([this.targets()]);
  }

  root({ timestamp, snapshot }: ServerKeys): Part {
    const held = { timestamp: [timestamp], snapshot: [snapshot] };
    const roles = { root: [this.#root.publicKey], targets: [this.#targets.publicKey], ...held };
    const byName = Object.entries(roles).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const keys = Object.values(roles)
      .flat()
      .map((key) => [keyId(key), key] as const)
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    const signed = JSON.stringify({
      _type: 'Root',
      consistent_snapshot: false,
      expires: EXPIRES,
      keys: Object.fromEntries(
        keys.map(([id, { keytype, public: text }]) => [
          id,
          { keytype, keyval: { private: null, public: text } },
        ]),
      ),
      roles: Object.fromEntries(
        byName.map(([role, keys]) => [role, { keyids: keys.map(keyId), threshold: 1 }]),
      ),
      version: 1,
    });
    return { role: 'root', bytes: envelope(signed, this.#root) };
  }

  targets(): Part {
    this.#version += 1;
    return {
      role: 'targets',
      bytes: envelope(targetsText(this.#files, this.#version), this.#targets),
    };
  }
}

interface Part {
  readonly role: string;
  readonly bytes: Buffer;
}

/** The canonical form (WIRE §7.2), which for what is written here is `JSON.stringify` of sorted members. */
function targetsText(files: number, version: number): string {
  const delegations = '{"keys":{},"roles":[]}';
  const changed = `"file-000000":${fileEntry(randomBytes(32))}`;
  const targets = [changed, ...unchangedFiles(files)].join(',');
  return `{"_type":"Targets","delegations":${delegations},"expires":"${EXPIRES}","targets":{${targets}},"version":${version}}`;
}

const unchanged = new Map<number, readonly string[]>();

function unchangedFiles(files: number): readonly string[] {
  let entries = unchanged.get(files);
  if (entries === undefined) {
    const text = Array.from({ length: Math.max(0, files - 1) }, (_, index) => {
      const name = `file-${String(index + 1).padStart(6, '0')}`;
      return `"${name}":${fileEntry(randomBytes(32))}`;
    }).join(',');
    entries = text === '' ? [] : [text];
    unchanged.set(files, entries);
  }
  return entries;
}

function fileEntry(digest: Buffer): string {
  return `{"hashes":{"sha256":"${digest.toString('base64')}"},"length":${digest.readUInt16BE()}}`;
}

/** Nothing in these texts has a character that an envelope escapes (WIRE §7.1). */
export function envelope(signed: string, { keyid, secret }: Key): Buffer {
  const sig = sign('sha256', Buffer.from(signed), { key: secret, dsaEncoding: 'ieee-p1363' });
  return Buffer.from(
    `{"signed":${signed},"signatures":[{"keyid":"${keyid}","method":"ecdsa","sig":"${sig.toString('base64')}"}]}`,
  );
}

/** The form that the `notary` client sends. */
function form(parts: readonly Part[]): Buffer {
  return Buffer.concat([
    ...parts.flatMap(({ role, bytes }) => [
      Buffer.from(
        `--${BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="${role}"\r\n` +
          'Content-Type: application/octet-stream\r\n\r\n',
      ),
      bytes,
      Buffer.from('\r\n'),
    ]),
    Buffer.from(`--${BOUNDARY}--\r\n`),
  ]);
}

export function newKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return keyOf({ keytype: 'ecdsa', public: spki.toString('base64') }, privateKey);
}

/** In a certificate signed by itself, as `notary init` makes it. */
function newRootKey(gun: string): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const certificate = writeCertificate({
    commonNames: [gun],
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: CERTIFICATES_EXPIRE,
    subjectPublicKeyInfo: publicKey.export({ type: 'spki', format: 'der' }),
    ca: false,
    signatureAlgorithm: 'ecdsaWithSha256',
    sign: (toBeSigned) => sign('sha256', toBeSigned, { key: privateKey, dsaEncoding: 'der' }),
  });
  const pem = Buffer.from(certificatePem(certificate)).toString('base64');
  return keyOf({ keytype: 'ecdsa-x509', public: pem }, privateKey);
}

function keyOf(publicKey: PublicKey, secret: KeyObject): Key {
  return { keyid: keyId(publicKey), publicKey, secret };
}
