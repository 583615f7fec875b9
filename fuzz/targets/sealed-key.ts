import { createSealer, SealError } from '../../apps/signer-worker/src/seal.ts';
import { bytesOf, expectSame, textOf, verdictOf, type Target } from '../target.ts';

/** A private key as it lies in the signers' database: it is opened unchanged, or not at all. */
export const sealedKey: Target = {
  name: 'sealed-key',
  words: ['.', 'eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ci', 'eyJhbGciOiJkaXIi', 'e30', '=', '-', '_'],
  runs: 100,
  open: async () => {
    const sealer = createSealer({ NOTARY_SIGNER_A: 'a passphrase' }, 'a');
    const privateKey = Buffer.alloc(96, 7);
    const { jwe } = await sealer.seal(privateKey);
    return {
      seeds: [bytesOf(jwe)],
      run: (input) =>
        verdictOf(async () => {
          const opened = await sealer.unseal({ alias: 'a', jwe: textOf(input) });
          expectSame(privateKey.equals(opened), true, 'it is the key that was sealed');
        }, SealError),
    };
  },
};
