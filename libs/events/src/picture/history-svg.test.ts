import { assert, property, string } from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { memoryEventStore } from '../memory/index.ts';
import { emptyRepository, restoreRepository } from '../repository.ts';
import type { RecordedEvent } from '../event-store.ts';
import { clock, gunOf, storyteller } from '../testing/facts.ts';
import { historySvg } from './history-svg.ts';
import { escapeXml, shorten } from './xml.ts';

const now = new Date('2026-11-23T00:00:00.000Z');
const gun = gunOf('example.com/a');
const draw = (stream: readonly RecordedEvent[], more = {}) =>
  historySvg({ gun, stream, rotations: [], now, ...more });
const count = (svg: string, pattern: RegExp) => (svg.match(pattern) ?? []).length;

let life: readonly RecordedEvent[] = [];
let long: readonly RecordedEvent[] = [];
beforeAll(async () => {
  const events = memoryEventStore();
  const { publish, renew, makeKey, remove } = storyteller(events, clock());
  let { repository } = await makeKey(emptyRepository(gun));
  ({ repository } = await publish(repository, ['root', 'targets', 'targets/releases']));
  ({ repository } = await renew(repository));
  await remove(repository);
  life = await events.readStream(gun, 0);

  const other = memoryEventStore();
  const tale = storyteller(other, clock());
  let { repository: lasting } = await tale.publish(emptyRepository(gun), ['root', 'targets']);
  while (lasting.head.version < 3_000) ({ repository: lasting } = await tale.renew(lasting));
  long = await other.readStream(gun, 0);
});

describe('the picture of a repository', () => {
  test('has a lane for each role, marks for what happened, and says how it stands', () => {
    const svg = draw(life);

    expect([...svg.matchAll(/<g><title>([^<]*)</g)].map(([, title]) => title)).toEqual([
      'root: 1 version',
      'targets: 1 version',
      'snapshot: 1 version',
      'timestamp: 2 versions',
      'targets/releases: 1 version',
    ]);
    expect(count(svg, /<circle class="mark client"/g)).toBe(4); // three, and that of the legend
    expect(count(svg, /<path class="key"/g)).toBe(2);
    expect(svg).toContain('deleted, 2026-11-22T00:00:04.000Z, position 4');
    expect(svg).toContain('Deleted at 2026-11-22 00:00 UTC');
    expect(svg).toContain('<title id="title">History of example.com/a</title>');
  });

  test('says that a deletion was taken back, by whom and why', async () => {
    const events = memoryEventStore();
    const { publish, remove } = storyteller(events, clock());
    let { repository } = await publish(emptyRepository(gun));
    ({ repository } = await remove(repository));
    const cause = { operator: 'olive', reason: 'the <wrong> script' };
    const at = '2026-11-22T00:00:03.000Z';
    const event = restoreRepository(repository, { at, cause, windowMs: 60_000 });
    await events.append(repository.head, event, []);

    const svg = draw(await events.readStream(gun, 0));

    expect(svg).toContain('restored, 2026-11-22T00:00:03.000Z, position 3');
    expect(svg).toContain('<title>targets: 1 version</title>');
    expect(svg).toContain('>olive<');
    expect(svg).toContain('took the deletion back: the &lt;wrong&gt; script');
    expect(svg).toContain('Good; the first to expire is targets');
  });

  test('says that what is current has expired', () => {
    const svg = draw(life.slice(0, 3), { now: new Date('2028-01-01T00:00:00Z') });

    expect(svg).toContain('Expired: root, targets, snapshot, timestamp, targets/releases');
    expect(count(svg, /<rect class="expired"/g)).toBe(6);
  });

  test('names rotations', () => {
    const svg = draw(life, { rotations: [{ position: 2, roles: ['root', 'targets'] }] });

    expect(svg).toContain('keys of targets rotated, 2026-11-22T00:00:02.000Z');
    expect(svg).toContain('with other keys for root, targets');
  });

  test('of 3,000 events stays small, and says what it leaves out', () => {
    const svg = draw(long, { now: new Date(long.at(-1)?.event.at ?? 0) });

    expect(svg.length).toBeLessThan(100_000);
    expect(count(svg, /<rect class="tick"/g)).toBeGreaterThan(100);
    expect(svg).toMatch(/Left out, for they stand close to others: \d{4} marks\./);
  });

  test('says how many events came before what is drawn', () => {
    const svg = draw(long.slice(-100), { omitted: 2_900 });

    expect(svg).toContain('Not drawn: the first 2900 events');
    expect(svg).toContain('100 events, positions 2901 to 3000');
  });

  test('of nothing is a picture, too', () => {
    expect(draw([])).toContain('Nothing was published');
  });

  test('has nothing that runs or is fetched, whatever its names are', () => {
    const hostile = '</text><script>alert(1)</script>"\'&\u0000\u202e\ud800<image href="//x"/>';
    const stream = life.map((recorded) => ({
      ...recorded,
      event: { ...recorded.event, cause: { subject: hostile } },
    }));

    const svg = draw(stream, { gun: gunOf(hostile) });

    expect(svg).not.toMatch(/<script|<image|\shref="|\son\w+="|[\0\u202e]/);
    expect(svg.isWellFormed()).toBe(true);
    expect(svg).toContain('&lt;script&gt;');
  });

  test('keeps any text between its quotes and tags', () => {
    assert(
      property(string({ unit: 'binary' }), (text) => {
        expect(escapeXml(text)).toMatch(/^(?:[^<>"'&]|&(?:amp|lt|gt|quot|#39);)*$/);
      }),
    );
  });

  test.each([
    ['short', 'short'],
    ['x'.repeat(10), 'x'.repeat(10)],
    ['x'.repeat(11), `${'x'.repeat(9)}…`],
    ['🐳'.repeat(11), `${'🐳'.repeat(9)}…`],
  ])('shortens %s', (text, shown) => {
    expect(shorten(text, 10)).toBe(shown);
  });
});
