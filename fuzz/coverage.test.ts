import { expect, test } from 'vitest';
import { readJson } from '../libs/tuf/src/json.ts';
import { openCoverage } from './coverage.ts';

test('code is new once: the first time that an input reaches it', async () => {
  const coverage = await openCoverage(new URL('../', import.meta.url));

  readJson('[1, 2]');
  expect(await coverage.markNew()).toBe(true);
  readJson('[3, 4, 5]');
  expect(await coverage.reachedNew()).toBe(false);
  readJson(String.raw`"\u00e9"`);
  expect(await coverage.reachedNew()).toBe(true);
  readJson(String.raw`"\u00e8"`);
  expect(await coverage.markNew(), 'reached again, and only now marked').toBe(true);
  readJson(String.raw`"\u00e7"`);
  expect(await coverage.markNew()).toBe(false);

  coverage.close();
});
