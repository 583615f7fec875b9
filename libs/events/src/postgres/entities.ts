import { defineEntity, p } from '@mikro-orm/core';

/** The exact bytes of a metafile, kept once (`migrations/server/001_event_log.sql`). */
export const StoredFile = defineEntity({
  name: 'StoredFile',
  tableName: 'files',
  properties: {
    sha256: p.blob().primary(),
    bytes: p.blob(),
  },
});
