import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { wordsOf } from '../../src/core/error-words.ts';
import { isWordless, thrown } from '../support/thrown.ts';

/** As Node and others leave it. */
const NONE = '';

test('L43 whatever is thrown is told in words', () => {
  fc.assert(
    fc.property(thrown, (caught) => {
      const words = wordsOf(caught);
      assert.ok(!isWordless(words), JSON.stringify(words));
    }),
    { numRuns: 2_000 },
  );
});

test('what is told is the most that is known of it', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:5432'), { code: 'ECONNREFUSED' });
  const cases: readonly (readonly [caught: unknown, words: string])[] = [
    [new Error('no room'), 'no room'],
    ['no room', 'no room'],
    [
      new AggregateError([refused, new Error(NONE)], NONE),
      'connect ECONNREFUSED ::1:5432; Error was thrown, without words',
    ],
    [new TypeError('fetch failed', { cause: refused }), 'fetch failed: connect ECONNREFUSED ::1:5432'],
    [new Error('it broke (no room)', { cause: new Error('no room') }), 'it broke (no room)'],
    [new Error(NONE, { cause: 'no room' }), 'no room'],
    [Object.assign(new Error(NONE), { code: 'EPIPE' }), 'failed with code EPIPE, and without words'],
    [{ message: 'no room' }, 'no room'],
    [{}, 'something was thrown, without words'],
    [new Error('[object Object]'), 'Error was thrown, without words'],
    [null, 'null was thrown'],
    [undefined, 'undefined was thrown'],
  ];
  for (const [caught, words] of cases) assert.equal(wordsOf(caught), words);
});

test('what an error of ours leaves out of its words stays out, though its cause holds it', () => {
  class Ours extends Error {
    override readonly name = 'Ours';
  }
  const cause = new Error('password "hunter2" is wrong');
  assert.equal(wordsOf(new Ours('the database cannot be used', { cause })), 'the database cannot be used');
});
