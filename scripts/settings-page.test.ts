import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { SETTINGS_PAGE, settingsPage } from './settings-page.ts';

test('docs/settings.md is what the schemas say: `npm run settings` writes it', () => {
  expect(readFileSync(SETTINGS_PAGE, 'utf8')).toBe(settingsPage());
});

test('every setting is explained', () => {
  const rows = settingsPage()
    .split('\n')
    .filter((line) => line.startsWith('| `'));

  expect(rows.length).toBeGreaterThan(60);
  expect(rows.filter((row) => row.split(' | ')[2]?.trim() === '')).toEqual([]);
});
