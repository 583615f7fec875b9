// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 needs it, and before it loads
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BasicConstraintsExtension,
  PemConverter,
  X509CertificateGenerator,
  type X509Certificate,
} from '@peculiar/x509';
import { ensureCertificates } from '../../../../../fixtures/certificates.ts';

interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** What stands in the PEM files of a CA of a test's own, and of a server and a client under it. */
export interface TestCertificates {
  readonly ca: string;
  readonly server: Pair;
  readonly client: Pair;
}

/** Certificates for `localhost`, under a CA that nobody else has. */
export async function makeCertificates(): Promise<TestCertificates> {
  const folder = mkdtempSync(join(tmpdir(), 'grpc-certificates-'));
  try {
    await ensureCertificates(new Date(), folder);
    const read = (file: string) => readFileSync(join(folder, file), 'utf8');
    const pair = (name: string) => ({ cert: read(`${name}.crt`), key: read(`${name}.key`) });
    return {
      ca: read('root-ca.crt'),
      server: pair('notary-signer'),
      client: pair('notary-server'),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Issuer {
  readonly certificate: X509Certificate;
  readonly keys: webcrypto.CryptoKeyPair;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** A client's certificate under an intermediate CA whose root nobody is shown. */
export async function makeChain(): Promise<{ intermediate: string; client: Pair }> {
  const root = await issue('a root', undefined, true);
  const intermediate = await issue('an intermediate', root, true);
  const client = await issue('a client', intermediate, false);
  const key = await webcrypto.subtle.exportKey('pkcs8', client.keys.privateKey);
  return {
    intermediate: intermediate.certificate.toString('pem'),
    client: {
      cert: client.certificate.toString('pem'),
      key: PemConverter.encode(key, 'PRIVATE KEY'),
    },
  };
}

async function issue(name: string, by: Issuer | undefined, isCa: boolean): Promise<Issuer> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.create({
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    serialNumber: '01',
    subject: `CN=${name}`,
    issuer: by?.certificate.subject ?? `CN=${name}`,
    publicKey: keys.publicKey,
    signingKey: (by?.keys ?? keys).privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [new BasicConstraintsExtension(isCa, undefined, true)],
  });
  return { certificate, keys };
}
