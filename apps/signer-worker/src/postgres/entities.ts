import { defineEntity, p } from '@mikro-orm/postgresql';

/** `migrations/signer` says what each table is for. */
export const PrivateKey = defineEntity({
  name: 'PrivateKey',
  tableName: 'private_keys',
  properties: {
    keyId: p.text().primary(),
    gun: p.text(),
    role: p.text(),
    algorithm: p.text(),
    passphraseAlias: p.text(),
    public: p.blob(),
    private: p.text(),
  },
});

export const PendingKey = defineEntity({
  name: 'PendingKey',
  tableName: 'pending_keys',
  properties: {
    gunSha256: p.blob().primary(),
    role: p.text().primary(),
    algorithm: p.text().primary(),
    keyId: p.text(),
  },
});
