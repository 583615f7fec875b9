import { defineEntity, p } from '@mikro-orm/core';

/** What is live of the changefeed (`migrations/server/011_generations.sql`). */
export const ChangefeedEntry = defineEntity({
  name: 'ChangefeedEntry',
  tableName: 'live_changefeed',
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
