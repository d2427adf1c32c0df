import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { evolve } from '../../src/core/evolve.ts';
import { LOGIC_VERSION } from '../../src/core/limits.ts';
import type { FleetState } from '../../src/core/model.ts';
import { freeze, thaw } from '../../src/core/snapshot.ts';
import { BEATS, lab, lazy } from '../support/fleet.ts';
import { play, stories } from '../support/stories.ts';

const copy = (state: FleetState): FleetState => thaw(freeze(state), LOGIC_VERSION);
/** Everything but who is dirty, and the order of Maps, which decides nothing. */
const content = (state: FleetState): object => ({ ...state, dirty: null });

test('a thawed state holds what was frozen, whatever the history', () => {
  fc.assert(
    fc.property(stories(), (story) => {
      const { state } = play(story);
      const thawed = copy(state);
      assert.deepEqual(content(thawed), content(state));
      assert.equal(freeze(thawed), freeze(state));
    }),
    { numRuns: 300 },
  );
});

test('folding on from a snapshot equals folding the whole log, wherever the snapshot was taken', () => {
  fc.assert(
    fc.property(stories(), fc.nat(), (story, where) => {
      const { log, state } = play(story);
      const half = lab({ bare: true }).state;
      const at = where % (log.length + 1);
      for (const event of log.slice(0, at)) evolve(half, event);
      const thawed = copy(half);
      for (const event of log.slice(at)) evolve(thawed, event);
      assert.deepEqual(content(thawed), content(state));
    }),
    { numRuns: 300 },
  );
});

test('after a thaw everybody is dirty, and looking at everybody decides nothing that was decided already', () => {
  const fleet = lab();
  fleet.declare('a', { heartbeat: BEATS });
  fleet.declare('b', lazy());
  fleet.up('a');
  const thawed = copy(fleet.state);
  assert.deepEqual(thawed.dirty, new Set(fleet.state.instances.keys()));
  const again = lab({ bare: true });
  Object.assign(again.state, thawed);
  again.now = fleet.now;
  assert.deepEqual([again.tick().actions, again.state.dirty.size], [[], 0]);
});

test('equal states have equal texts, in whatever order they came about', () => {
  const one = lab({ bare: true });
  const other = lab({ bare: true });
  one.declare('a');
  one.declare('b');
  Object.assign(other.state, copy(one.state));
  other.state.instances = new Map([...other.state.instances].reverse());
  other.state.names = new Map([...other.state.names].reverse());
  assert.equal(freeze(other.state), freeze(one.state));
});

test('freezing leaves the state as it is', () => {
  const fleet = lab();
  fleet.declare('a');
  fleet.settle();
  const before = structuredClone({ ...fleet.state });
  freeze(fleet.state);
  assert.deepEqual({ ...fleet.state }, before);
});

test('what a template gives to many is written once and held once', () => {
  const fleet = lab();
  for (let i = 0; i < 50; i += 1) {
    fleet.declare(`bot-${i}`, {
      heartbeat: { ...BEATS },
      run: { image: 'bot:4', env: { BOT: `bot-${i}` } },
      labels: { team: 'a-rather-long-name-of-a-team' },
    });
  }
  const text = freeze(fleet.state);
  assert.equal(text.split('a-rather-long-name-of-a-team').length - 1, 1);
  const thawed = thaw(text, LOGIC_VERSION);
  const [first, second] = [...thawed.instances.values()];
  assert.equal(first?.spec.heartbeat, second?.spec.heartbeat);
  assert.notEqual(first?.spec.run, second?.spec.run);
});

test('instances do not share what folding changes in place', () => {
  const fleet = lab();
  fleet.declare('a');
  fleet.declare('b');
  const thawed = copy(fleet.state);
  const [a, b] = [...thawed.instances.values()];
  assert.notEqual(a?.concerns, b?.concerns);
});

test('a snapshot of a newer or an unknown older logic is refused in words', () => {
  const text = freeze(lab().state);
  assert.throws(() => thaw(text, LOGIC_VERSION + 1), new RegExp(`logic version ${LOGIC_VERSION + 1}.*newer Holdfast`));
  assert.throws(() => thaw(text, 0), /logic version 0, from which this build .* knows no way/);
  assert.throws(() => thaw('{}', LOGIC_VERSION), /not the state of a fleet/);
});

test('a snapshot of logic version 1 is read: what was stopping goes on counting as it was counted', () => {
  const fleet = lab();
  fleet.declare('a');
  fleet.settle();
  fleet.command('a', 'stop');
  fleet.drain();
  const text = freeze(fleet.state);
  const old = thaw(text.replace(',"named":true', ''), 1);
  assert.notEqual(text, text.replace(',"named":true', ''));
  assert.deepEqual(content(old), content(fleet.state));
});

test('predecessors, shared refs and rollouts survive', () => {
  const fleet = lab({ targets: ['docker'] });
  fleet.declare('a');
  fleet.settle();
  fleet.delete('a');
  fleet.declare('a');
  fleet.declare('b');
  fleet.settle();
  fleet.seen('b', 'running', { ref: 'ref-same' });
  fleet.seen('a', 'running', { ref: 'ref-same' });
  const thawed = copy(fleet.state);
  assert.deepEqual(content(thawed), content(fleet.state));
  assert.equal(thawed.refs.get('docker\0ref-same')?.length, 2);
});
