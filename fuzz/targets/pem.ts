import { encodeBase64 } from '../../libs/tuf/src/base64.ts';
import { firstCertificate, usableRootKeys, usableUntil } from '../../libs/tuf/src/certificates.ts';
import { certificatePem, pemBlocks } from '../../libs/tuf/src/pem.ts';
import { gunOf } from '../../libs/tuf/src/testing/scenario.ts';
import { expectSame, type Target } from '../target.ts';

const gun = gunOf('example.com/fuzz');

/** The certificates of a root key. Nothing in them is an error; they are only no use. */
export const pem: Target = {
  name: 'pem',
  words: [
    '-----BEGIN CERTIFICATE-----\n',
    '-----END CERTIFICATE-----\n',
    '-----BEGIN PUBLIC KEY-----\n',
    'a: b\n',
    '\n',
    '\r\n',
    'MIIB',
    '==',
    '-----',
    '-----BEGIN -----\n',
  ],
  runs: 3_000,
  open: () => ({
    run: (input) => {
      for (const { label, der } of pemBlocks(input)) {
        if (label !== 'CERTIFICATE') continue;
        const [again] = pemBlocks(Buffer.from(certificatePem(der), 'latin1'));
        expectSame(Buffer.from(again?.der ?? []).equals(der), true, 'written again it is the same');
      }
      const key = { keytype: 'ecdsa-x509', public: encodeBase64(input) };
      // A certificate is for the repository that it names, so it is looked up under its own name.
      const name = firstCertificate(input)?.commonName;
      const named = name === undefined || name === '' || name.includes('*') ? gun : gunOf(name);
      usableUntil([key], named, 1n);
      return usableRootKeys([key], named).size > 0 ? 'value' : 'refusal';
    },
  }),
};
