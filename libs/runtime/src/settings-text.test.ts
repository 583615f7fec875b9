import { expect, test } from 'vitest';
import { z } from 'zod';
import { list, seconds, text } from './settings.ts';
import { settingRows, settingsInEffect, unknownSettings } from './settings-text.ts';

const schema = z.object({
  storage: z
    .object({
      backend: text('postgres').describe('where'),
      db_url: text().meta({ description: 'URL', url: true }),
      password: text().meta({ description: 'way in', secret: true }),
    })
    .prefault({}),
  auth: z
    .object({
      options: z
        .unknown()
        .optional()
        .meta({ members: z.object({ realm: z.string().describe('URL') }) }),
    })
    .prefault({}),
  idle: seconds(75).describe('how long'),
  names: list().describe('which'),
});

test('every setting is explained with its variable and its default', () => {
  expect(settingRows(schema, 'X')).toEqual([
    {
      name: 'storage.backend',
      variable: 'X_STORAGE_BACKEND',
      byDefault: 'postgres',
      description: 'where',
    },
    {
      name: 'storage.db_url',
      variable: 'X_STORAGE_DB_URL',
      byDefault: undefined,
      description: 'URL',
    },
    {
      name: 'storage.password',
      variable: 'X_STORAGE_PASSWORD',
      byDefault: undefined,
      description: 'way in',
    },
    { name: 'auth.options.realm', variable: undefined, byDefault: undefined, description: 'URL' },
    { name: 'idle', variable: 'X_IDLE', byDefault: '75', description: 'how long' },
    { name: 'names', variable: 'X_NAMES', byDefault: undefined, description: 'which' },
  ]);
});

test('what is in effect is shown with its defaults, and without what nobody has asked for', () => {
  const given = {
    storage: { password: 'hunter2' },
    auth: { options: { realm: 'r', more: 'x' } },
    idle: '7',
  };

  expect(settingsInEffect(schema, given)).toEqual({
    storage: { backend: 'postgres', password: '***' },
    auth: { options: { realm: 'r' } },
    idle: '7',
    names: [],
  });
});

test('names that mean nothing are found', () => {
  const file = {
    Storage: { backend: 'x', Backend: 'y', tls_ca_file: 'z' },
    'storage.db_url': 'x',
    auth: { options: { realm: 'x', relam: 'y' } },
    logs: { level: { deep: 1 } },
    idle: 7,
  };

  expect(unknownSettings(schema, file)).toEqual([
    'storage.Backend',
    'storage.tls_ca_file',
    'auth.options.relam',
    'logs.level.deep',
  ]);
});

test.each([
  [
    'postgres://server:hunter2@db/notary?sslmode=disable',
    'postgres://server:***@db/notary?sslmode=disable',
  ],
  ['postgres://server:hun@ter2@db/notary', 'postgres://server:***@db/notary'],
  ['postgres://server@db/notary', 'postgres://server@db/notary'],
  [
    'postgres://db:5432/notary?user=a&password=hunter2&x=y',
    'postgres://db:5432/notary?user=a&password=***&x=y',
  ],
  [
    'server:hunter2@tcp(mysql:3306)/notary?parseTime=True',
    'server:***@tcp(mysql:3306)/notary?parseTime=True',
  ],
  ["host=db password='hun ter2' user=a", 'host=db password=*** user=a'],
  ['host=db password = hunter2', 'host=db password = ***'],
])('the password of %s is masked', (given, shown) => {
  expect(settingsInEffect(schema, { storage: { db_url: given } })['storage']).toMatchObject({
    db_url: shown,
  });
});
