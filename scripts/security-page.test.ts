import { existsSync, readFileSync } from 'node:fs';
import { FLAGS } from '@scrivener/runtime';
import { expect, test } from 'vitest';

const root = new URL('../', import.meta.url);
const page = readFileSync(new URL('SECURITY.md', root), 'utf8');

/** `file`: “name”, “name” */
const named = [...page.matchAll(/`([\w./-]+\.(?:test|e2e)\.ts)`: ((?:“[^”]+”(?:, )?)+)/g)].flatMap(
  ([, file = '', names = '']) =>
    [...names.matchAll(/“([^”]+)”/g)].map(([, name = '']) => [file, name] as const),
);

test.each(named)('the test that the page names is there: %s, %s', (file, name) => {
  expect(existsSync(new URL(file, root))).toBe(true);
  expect(readFileSync(new URL(file, root), 'utf8')).toContain(`'${name}'`);
});

test('each finding has a test', () => {
  const table = page.split('## Findings')[1]?.split('\n## ')[0] ?? '';
  const findings = table
    .split('\n')
    .filter((line) => /^\| [A-Z]/.test(line))
    .slice(1);

  expect(findings.length).toBeGreaterThan(10);
  for (const finding of findings) expect(finding).toMatch(/`: “/);
  expect(named.length).toBeGreaterThanOrEqual(findings.length);
});

test('no program is told a secret on its command line', () => {
  const given = Object.entries(FLAGS).filter(([, flag]) => 'value' in flag);

  expect(given.map(([name]) => name)).toEqual(['config', 'logf']);
});
