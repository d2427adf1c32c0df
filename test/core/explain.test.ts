import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { decisionTableMarkdown, PHASES_OF_ROW } from '../../src/core/decision-table.ts';
import { Case } from '../../src/core/case.ts';
import { judge } from '../../src/core/decide.ts';
import { factText, holdText, phaseText, reasonText, restsOn, why, type Why } from '../../src/core/explain.ts';
import { Slots } from '../../src/core/gates.ts';
import { PHASES, type Hold, type HoldReason } from '../../src/core/model.ts';
import { TABLE } from '../../src/core/table.ts';
import { holdWords } from '../../src/core/words.ts';
import { BEATS, external, lab, type Lab, lazy, T0 } from '../support/fleet.ts';
import { SAMPLE_EVENTS } from '../support/sample-events.ts';
import { play, stories } from '../support/stories.ts';

function whyOf(fleet: Lab, name: string, withEvents = true): Why {
  const { uid } = fleet.inst(name);
  const events = new Map(restsOn(fleet.state, uid, fleet.now).map((seq) => [seq, fleet.log[seq - 1]!]));
  const found = why(fleet.state, fleet.agenda, uid, fleet.now, withEvents ? events : new Map());
  assert.ok(found !== null);
  return found;
}

/** Up, then three crashes in a row: in backoff. */
function crashing(): Lab {
  const fleet = lab();
  fleet.declare('a');
  fleet.settle();
  for (let i = 0; i < 3; i += 1) {
    fleet.now += 1_000;
    fleet.exits('a', { code: 3 });
    fleet.drain();
    if (fleet.operation('a') !== null) fleet.settle();
    else break;
  }
  return fleet;
}

test('why names the row, the fact it rests on, what holds it, and when it is looked at next', () => {
  const fleet = crashing();
  fleet.now += 400;
  const found = whyOf(fleet, 'a');
  const until = fleet.inst('a').hold?.until ?? 0;
  assert.deepEqual([found.instance, found.phase, found.rule], ['a', 'PENDING', 'start']);
  assert.equal(found.text, reasonText('start'));
  const exit = fleet.events('resource.observed').at(-1)!;
  assert.deepEqual(found.facts, [
    {
      seq: exit.seq,
      type: 'resource.observed',
      ageMs: 400,
      text: 'its target says that it is stopped: it ended with exit code 3',
    },
  ]);
  assert.equal(found.hold?.reason, 'backoff');
  assert.match(
    found.hold?.text ?? '',
    /^"run" failed, and waits before its next attempt; the time lifts this, at 2026-01-01T00:00:0/,
  );
  assert.equal(found.nextLookAt, found.hold?.until);
  assert.equal(Date.parse(found.nextLookAt ?? ''), until);
  assert.ok(found.wouldChange.some((text) => text.startsWith('the time lifts this')));
});

test('why tells of each row above the one that speaks why it did not', () => {
  const found = whyOf(crashing(), 'a');
  assert.deepEqual(
    found.rejected.map(({ rule }) => rule),
    TABLE.slice(
      0,
      TABLE.findIndex(({ id }) => id === 'start'),
    )
      .filter(({ on }) => on !== 'external')
      .map(({ id }) => id),
  );
  assert.equal(found.rejected.find(({ rule }) => rule === 'deleting')?.because, 'nobody asked to delete it');
  assert.equal(found.rejected.find(({ rule }) => rule === 'asleep')?.because, 'it is hot');
  for (const { because } of found.rejected) assert.notEqual(because, '');
});

test('where the events are no longer kept, the facts are told from the state, and are at least so old', () => {
  const fleet = lab();
  fleet.declare('a');
  fleet.settle();
  fleet.now += 5_000;
  fleet.command('a', 'stop');
  fleet.settle();
  fleet.now += 1_000;
  const told = whyOf(fleet, 'a', false).facts;
  const known = whyOf(fleet, 'a', true).facts;
  assert.deepEqual(
    told.map(({ seq }) => seq),
    known.map(({ seq }) => seq),
  );
  assert.deepEqual(
    told.map(({ ageMs }) => ageMs),
    [1_000, 1_000],
  );
  assert.ok(told.some(({ text }) => text === 'it should be stopped'));
  assert.ok(known.some(({ text }) => text === '"stop" was asked'));
});

test('an operation that changes nothing of what runs leaves the word to the rows below, and why says so', () => {
  const fleet = lab();
  fleet.declare('a', {
    heartbeat: BEATS,
    health: { http: { port: 1, path: '/' }, everyMs: 1_000, silentAfterMs: 5_000, startGraceMs: 5_000 },
  });
  fleet.up('a');
  fleet.report('a', 'silent');
  fleet.drain();
  fleet.advance(60_000);
  assert.equal(fleet.operation('a'), 'probe');
  const found = whyOf(fleet, 'a');
  assert.equal(found.rule, 'silent');
  assert.match(found.rejected.find(({ rule }) => rule === 'operating')?.because ?? '', /the rows below give the phase/);
});

test('L76: a fact from a time after now is of no negative age', () => {
  const fleet = crashing();
  const found = why(fleet.state, fleet.agenda, fleet.inst('a').uid, T0 - 1);
  assert.ok(found?.facts.every(({ ageMs }) => ageMs === 0));
});

test('asking why changes nothing, and of nobody there is nothing to tell', () => {
  const fleet = crashing();
  const before = structuredClone({ ...fleet.state });
  whyOf(fleet, 'a');
  assert.deepEqual({ ...fleet.state }, before);
  assert.equal(why(fleet.state, fleet.agenda, 'gone', fleet.now), null);
  assert.deepEqual(restsOn(fleet.state, 'gone', fleet.now), []);
});

test('of any history, why agrees with the decided phase, and says something on every point', () => {
  fc.assert(
    fc.property(stories(), (story) => {
      const fleet = play(story);
      fleet.drain();
      for (const inst of fleet.state.instances.values()) {
        const found = why(fleet.state, fleet.agenda, inst.uid, fleet.now)!;
        assert.equal(found.phase, inst.phase);
        assert.ok(found.wouldChange.length > 0, `nothing would change ${found.rule}`);
        for (const text of [
          found.text,
          ...found.wouldChange,
          ...found.facts.map((fact) => fact.text),
          ...found.rejected.map(({ because }) => because),
        ]) {
          assert.match(text, /\S/);
          assert.doesNotMatch(text, /undefined|NaN|\[object/);
        }
      }
    }),
    { numRuns: 300 },
  );
});

// ── sentences ───────────────────────────────────────────────────────────────────────────────────────────────────────

const REASONS: { readonly [R in HoldReason]: RegExp } = {
  unsynced: /first complete listing/,
  'target-stale': /next complete listing/,
  'target-refused': /override/,
  quarantined: /"reconcile"/,
  conflict: /lets go/,
  'operator-hold': /release/,
  breaker: /complete listing/,
  'blast-radius': /override/,
  backoff: /2026-01-01T00:00:00.000Z/,
  'gave-up': /"reconcile".*2026-01-01T00:00:00.000Z/,
  rollout: /proved/,
  'rollout-failed': /new revision/,
  budget: /makes room/,
  busy: /end of its work/,
  predecessor: /gone/,
  fault: /mended Holdfast/,
};

test('every hold says in one sentence why it is there and what lifts it', () => {
  for (const [reason, lifts] of Object.entries(REASONS) as [HoldReason, RegExp][]) {
    const hold: Hold = { reason, rule: 'start', until: T0, detail: 'missing' };
    assert.match(holdWords(hold).lifts, lifts, reason);
    assert.equal(holdText(hold), `${holdWords(hold).why}; ${holdWords(hold).lifts}`);
    assert.doesNotMatch(holdText({ ...hold, until: null, detail: null }), /undefined|null/);
  }
});

test('what lifts the blast radius depends on what was lost', () => {
  const lifts = (detail: string): string =>
    holdWords({ reason: 'blast-radius', rule: 'start', until: null, detail }).lifts;
  assert.match(lifts('stopped'), /second complete listing/);
  assert.match(lifts('silent'), /being heard/);
  assert.match(lifts('missing'), /only an override/);
});

test('every phase and every row has its sentence; a row of another build is named', () => {
  for (const phase of PHASES) assert.match(phaseText(phase), /^its? /);
  for (const { id, sentence } of TABLE) assert.equal(reasonText(id), sentence);
  assert.equal(reasonText('of-tomorrow'), 'rule "of-tomorrow" is not known to this build');
});

test('every type of event is told in one sentence', () => {
  for (const event of SAMPLE_EVENTS) {
    const text = factText({ ...event, seq: 1, at: T0, v: 1 });
    assert.match(text, /^\S.*\S$/);
    assert.doesNotMatch(text, /undefined|\[object/);
  }
});

// ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('the page has a line for every row, in order, and docs/decision-table.md is what it says', () => {
  const page = decisionTableMarkdown();
  const lines = page.split('\n').filter((line) => /^\| \d/.test(line));
  assert.deepEqual(
    lines.map((line) => line.split('|')[2]?.trim()),
    TABLE.map(({ id }) => `\`${id}\``),
  );
  const path = new URL('../../docs/decision-table.md', import.meta.url);
  assert.equal(readFileSync(path, 'utf8'), page, 'stale: run "npm run docs"');
});

test('every row gives the phases that the page says, and no other', () => {
  const seen = new Map<string, Set<string>>();
  fc.assert(
    fc.property(stories(), (story) => {
      play(story, (fleet) => {
        for (const inst of fleet.state.instances.values()) {
          const { row, phase } = judge(new Case(fleet.state, inst, fleet.now), new Slots(fleet.state));
          assert.ok(PHASES_OF_ROW[row.id].includes(phase), `row ${row.id} gives ${phase}`);
          seen.set(row.id, (seen.get(row.id) ?? new Set()).add(phase));
        }
      });
    }),
    { numRuns: 500, seed: 1 },
  );
  // The stories visit the whole table: a property that never sees a row says nothing about it.
  assert.deepEqual(
    TABLE.filter(({ id }) => id !== 'unclassified' && !seen.has(id)).map(({ id }) => id),
    [],
  );
});

test('external and lazy ones are explained, too', () => {
  const fleet = lab({ targets: ['docker', 'external'] });
  fleet.declare('laptop', external());
  fleet.declare('lazy', lazy());
  fleet.settle();
  assert.deepEqual(
    [whyOf(fleet, 'laptop').rule, whyOf(fleet, 'laptop').wouldChange],
    ['offline', ['its next heartbeat']],
  );
  assert.deepEqual([whyOf(fleet, 'lazy').rule, whyOf(fleet, 'lazy').phase], ['asleep', 'SLEEPING']);
});
