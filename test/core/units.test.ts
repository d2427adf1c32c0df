import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  durationInWords,
  formatDuration,
  formatPercent,
  formatSize,
  parseDuration,
  parsePercent,
  parseSize,
  sizeInWords,
} from '../../src/core/units.ts';

test('durations are read with their unit', () => {
  const cases: readonly (readonly [string, number])[] = [
    ['500ms', 500],
    ['30s', 30_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
    ['1.5h', 5_400_000],
    ['1.1m', 66_000],
    ['0s', 0],
  ];
  for (const [text, ms] of cases) assert.equal(parseDuration(text), ms, text);
});

test('what is no duration is null and not a guess', () => {
  for (const text of [
    '',
    '30',
    's',
    '-1s',
    '1w',
    '1 s',
    '1S',
    '1e3s',
    '0.1ms',
    '1h30m',
    ' 1s',
    '1s\n',
    '٣s',
    '9999999999999s',
  ]) {
    assert.equal(parseDuration(text), null, JSON.stringify(text));
  }
});

test('a formatted duration reads back as the same number, in its largest exact unit', () => {
  fc.assert(fc.property(fc.nat({ max: 2 ** 40 }), (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)));
  assert.deepEqual([90_000, 3_600_000, 86_400_000, 1_500, 0].map(formatDuration), ['90s', '1h', '1d', '1500ms', '0s']);
  assert.throws(() => formatDuration(1.5), RangeError);
  assert.throws(() => formatDuration(-1), RangeError);
});

test('durations for people have two units at most', () => {
  const said = [0, 999, 1_000, 61_000, 3_725_000, 3_600_000, 90_061_000, -61_000].map(durationInWords);
  assert.deepEqual(said, ['0 ms', '999 ms', '1 s', '1 m 1 s', '1 h 2 m', '1 h', '1 d 1 h', '-1 m 1 s']);
});

test('sizes are read in powers of 1024, as Docker reads them', () => {
  const cases: readonly (readonly [string, number | null])[] = [
    ['512m', 536_870_912],
    ['1g', 1_073_741_824],
    ['1.5g', 1_610_612_736],
    ['512MiB', 536_870_912],
    ['64KB', 65_536],
    ['10b', 10],
    ['2t', 2_199_023_255_552],
    ['512', null],
    ['512 m', null],
    ['-1m', null],
    ['1mm', null],
    ['0.3b', null],
    ['', null],
  ];
  for (const [text, bytes] of cases) assert.equal(parseSize(text), bytes, text);
});

test('a formatted size reads back as the same number', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => assert.equal(parseSize(formatSize(bytes)), bytes)));
  assert.equal(formatSize(536_870_912), '512m');
  assert.deepEqual([0, 1_023, 1_610_612_736].map(sizeInWords), ['0 B', '1023 B', '1.5 GiB']);
});

test('percentages are shares from 0 to 1', () => {
  assert.equal(parsePercent('10%'), 0.1);
  assert.equal(parsePercent('100%'), 1);
  assert.equal(parsePercent('0%'), 0);
  for (const text of ['101%', '10', '%', '-1%', '10 %', '']) assert.equal(parsePercent(text), null, text);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000 }), (n) =>
      assert.equal(formatPercent(parsePercent(`${n / 10}%`)!), `${n / 10}%`),
    ),
  );
});
