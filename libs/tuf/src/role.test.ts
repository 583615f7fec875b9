import { expect, test } from 'vitest';
import { ancestorsOf, parentOf, parseRoleName } from './role.ts';

test.each([
  '',
  'Root',
  'root.json',
  'mirror',
  'targets/',
  'targets//a',
  'targets/a/',
  '/targets/a',
  'targets/A',
  'targets/a.b',
  'targets/a b',
  'targets/*',
  'targets/..',
  'targets/é',
  'targets/a\n',
  'targetsa/b',
  'root/a',
  '/tmp/root',
  `targets/${'a'.repeat(248)}`,
])('%j is the name of no role (WIRE §7.5)', (name) => {
  expect(parseRoleName(name)).toBeUndefined();
});

test.each([
  'root',
  'targets',
  'snapshot',
  'timestamp',
  'targets/releases',
  'targets/a/b-c/_1',
  'targets/-',
  `targets/${'a'.repeat(247)}`,
])('%s is the name of a role', (name) => {
  expect(parseRoleName(name)).toBe(name);
});

test('a delegation has a parent, and ancestors from targets down', () => {
  expect(parentOf('targets/a')).toBe('targets');
  expect(parentOf('targets/a/b')).toBe('targets/a');
  expect(ancestorsOf('targets/a/b/c')).toEqual(['targets', 'targets/a', 'targets/a/b']);
});
