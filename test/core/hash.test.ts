import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  canonicalJson,
  configHash,
  contentHash,
  hashMatches,
  hashVersion,
  HASH_VERSION,
  infraHash,
  jitter,
  sha256,
} from '../../src/core/hash.ts';
import type { Json } from '../../src/core/model.ts';

/** The same value with every map's keys put in by another order. */
function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]) => [key, reordered(inner)] as const);
  return Object.fromEntries(entries.reverse());
}

const json = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json>;

test('canonical JSON does not depend on the order in which keys were written', () => {
  fc.assert(fc.property(json, (value) => assert.equal(canonicalJson(reordered(value) as Json), canonicalJson(value))));
});

test('canonical JSON reads back as the same value', () => {
  fc.assert(
    fc.property(json, (value) => {
      const positive = JSON.parse(JSON.stringify(value)) as Json; // -0 has no place in JSON text
      assert.deepEqual(JSON.parse(canonicalJson(value)), positive);
    }),
  );
});

test('two values share canonical JSON only if they are equal', () => {
  fc.assert(
    fc.property(json, json, (a, b) => {
      let equal = true;
      try {
        assert.deepStrictEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));
      } catch {
        equal = false;
      }
      assert.equal(canonicalJson(a) === canonicalJson(b), equal);
    }),
  );
});

test('keys are sorted by code unit, not by language and not by number', () => {
  assert.equal(
    canonicalJson({ ä: 1, b: 2, Z: 3, 10: 4, 9: 5, '\u{1f600}': 6, '\uffff': 7 }),
    '{"10":4,"9":5,"Z":3,"b":2,"ä":1,"\u{1f600}":6,"\uffff":7}',
  );
});

test('what has no canonical form is refused with the path to it, never dropped', () => {
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [Number.NaN, /the value: NaN/],
    [{ a: { b: Infinity } }, /a\.b: Infinity/],
    [{ a: undefined }, /a: undefined/],
    [[1, undefined], /\[1\]: undefined/],
    [{ a: () => 1 }, /a: function/],
    [{ a: 10n }, /a: bigint/],
    [{ a: new Date(0) }, /a: not a plain object/],
    [{ a: new Map() }, /a: not a plain object/],
  ];
  for (const [value, words] of refused)
    assert.throws(() => canonicalJson(value as Json), { name: 'TypeError', message: words });
  const cycle: { self?: unknown } = {};
  cycle.self = cycle;
  assert.throws(() => canonicalJson(cycle as Json), /a cycle/);
});

test('sha256 is the one that everybody else computes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) =>
      assert.equal(sha256(text), createHash('sha256').update(text, 'utf8').digest('hex')),
    ),
  );
});

test('L37 nothing random goes into a hash: the same declaration hashes alike, and to this very value in every process', () => {
  const value = { token: '${secret:llm}', greeting: 'hello' };
  assert.equal(configHash(value, { llm: 3 }), configHash({ greeting: 'hello', token: '${secret:llm}' }, { llm: 3 }));
  const expected = createHash('sha256')
    .update('{"config":{"greeting":"hello","token":"${secret:llm}"},"secrets":{"llm":3}}')
    .digest('hex');
  assert.equal(configHash(value, { llm: 3 }), `1:${expected}`);
});

test('a rotated secret changes the hash, though its reference reads the same', () => {
  assert.notEqual(configHash({ k: '${secret:a}' }, { a: 1 }), configHash({ k: '${secret:a}' }, { a: 2 }));
  assert.notEqual(infraHash({ k: '${secret:a}' }, { a: 1 }), infraHash({ k: '${secret:a}' }, { a: 2 }));
});

test('the same value hashes apart as infra, as config and as content', () => {
  const hashes = new Set([infraHash({ a: 1 }), configHash({ a: 1 }, {}), contentHash({ a: 1 })]);
  assert.equal(hashes.size, 3);
});

test('a hash says its version, and anything else says none', () => {
  assert.equal(hashVersion(infraHash({})), HASH_VERSION);
  for (const odd of ['', '1:', 'abc', `01:${'a'.repeat(64)}`, `1:${'A'.repeat(64)}`, `1:${'a'.repeat(63)}`]) {
    assert.equal(hashVersion(odd), null, odd);
  }
});

test('L78 a recorded hash is compared by the version that made it', () => {
  const recorded = infraHash({ image: 'bot:4' });
  const asked: number[] = [];
  assert.ok(hashMatches(recorded, (version) => (asked.push(version), infraHash({ image: 'bot:4' }, {}, version))));
  assert.deepEqual(asked, [1]);
  assert.ok(!hashMatches(recorded, (version) => infraHash({ image: 'bot:5' }, {}, version)));
  assert.ok(!hashMatches(recorded.replace(/^1:/, '7:'), () => assert.fail('a version that nobody here can make')));
  assert.throws(() => infraHash({}, {}, 7), /version 7 is not known/);
});

test('jitter is in [0, 1) and always the same for the same attempt', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.nat(), (uid, concern, attempt) => {
      const value = jitter(uid, concern, attempt);
      assert.ok(value >= 0 && value < 1);
      assert.equal(jitter(uid, concern, attempt), value);
    }),
  );
  assert.equal(jitter('a', 'run', 1), 0.9458008378278464, 'a changed jitter changes every replay: raise LOGIC_VERSION');
});

test('jitter spreads a fleet evenly, and parts that merely join alike do not collide', () => {
  const buckets = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 10_000; i++) buckets[Math.floor(jitter(`agent-${i}`, 'run', 2) * 10)]!++;
  for (const count of buckets) assert.ok(count > 850 && count < 1_150, buckets.join(' '));
  assert.notEqual(jitter('ab', 'c', 1), jitter('a', 'bc', 1));
  assert.notEqual(jitter('a', 'c', 11), jitter('a', 'c1', 1));
});
