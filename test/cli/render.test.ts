/** Output for people: ages, tables, colours, and other people's words made harmless. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { age, span } from '../../src/cli/render/ages.ts';
import { toneOf } from '../../src/cli/render/colours.ts';
import { table } from '../../src/cli/render/table.ts';
import { cut, plain } from '../../src/cli/render/text.ts';
import { PHASES } from '../../src/core/model.ts';
import { cli } from './support/cli.ts';
import { fakeApi, instanceView } from './support/fake-api.ts';

const bare = (_tone: unknown, text: string): string => text;

test('an age is one unit, the largest that leaves at least two of it', () => {
  const spans: readonly (readonly [number, string])[] = [
    [5, '5ms'],
    [59_999, '59s'],
    [119_000, '119s'],
    [180_000, '3m'],
    [7_199_000, '119m'],
    [36 * 3_600_000, '36h'],
    [72 * 3_600_000, '3d'],
  ];
  for (const [ms, words] of spans) assert.equal(span(ms), words);
  const now = Date.parse('2026-01-01T00:05:00Z');
  assert.equal(age('2026-01-01T00:02:00Z', now), '3m ago');
  assert.equal(age('2026-01-01T00:05:12Z', now), 'in 12s');
  assert.equal(age('2026-01-01T00:05:00.400Z', now), 'now');
  assert.equal(age(null, now), '–');
});

test('a table keeps to the width of the terminal by its last column alone', () => {
  const rows = [
    ['scribe', 'a very long reason indeed'],
    ['b', 'short'],
  ];
  assert.deepEqual(table(['NAME', 'REASON'], rows, bare, 24), [
    'NAME    REASON',
    'scribe  a very long rea…',
    'b       short',
  ]);
  assert.ok(table(['NAME', 'REASON'], rows, bare, null).some((line) => line.endsWith('indeed')));
});

test('words from outside cannot move the cursor or begin a line', () => {
  assert.equal(plain('a\u001b[2J\nb\u009bc'), 'a [2J b c');
  assert.equal(cut('abcdef', 4), 'abc…');
});

test('nothing but RUNNING is green', () => {
  for (const phase of PHASES) assert.equal(toneOf(phase) === 'good', phase === 'RUNNING', phase);
});

test('colours are for terminals, and NO_COLOR switches them off there too', async () => {
  await using api = await fakeApi({
    'GET /v1/fleets/demo/instances': () => ({ items: [instanceView({ phase: 'ERROR' })], next: null }),
  });
  const escape = '\u001b[';
  assert.ok((await cli('get', { api, tty: true })).out.includes(escape));
  assert.ok(!(await cli('get', { api, tty: true, env: { NO_COLOR: '1' } })).out.includes(escape));
  assert.ok(!(await cli('get', { api, tty: true, env: { TERM: 'dumb' } })).out.includes(escape));
  assert.ok(!(await cli('get', { api })).out.includes(escape));
});

test('a terminal is told how many are in which phase, and how many hide an error', async () => {
  const lastError = { code: 'x', message: 'y', at: '2026-01-01T00:00:00.000Z', operation: null, attempt: null };
  const items = [
    instanceView({ name: 'a' }),
    instanceView({ name: 'b', lastError }),
    instanceView({ name: 'c', phase: 'UNKNOWN' }),
  ];
  await using api = await fakeApi({ 'GET /v1/fleets/demo/instances': () => ({ items, next: null }) });
  const { out } = await cli('get', { api, tty: true, env: { NO_COLOR: '1' }, columns: 60 });
  assert.match(out, /3 instances: 2 RUNNING, 1 UNKNOWN; 1 more with an unresolved error\n$/);
  assert.ok(
    out
      .split('\n')
      .slice(0, 4)
      .every((line) => line.length <= 78),
    out,
  );
});
