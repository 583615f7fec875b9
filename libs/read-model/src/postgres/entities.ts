import { defineEntity, p } from '@mikro-orm/core';

/** `migrations/server/002_read_model.sql` */
export const ChangefeedEntry = defineEntity({
  name: 'ChangefeedEntry',
  tableName: 'changefeed',
  properties: {
    id: p.bigint('number').primary(),
    createdAt: p.datetime(),
    gun: p.text(),
    gunSha256: p.blob(),
    version: p.bigint('bigint'),
    sha256: p.blob().nullable(),
    category: p.enum(['update', 'deletion']),
    position: p.bigint('number'),
  },
});
