/**
 * Faults of Holdfast itself: what throws over one instance costs that one alone, is said, and replays. The faults are planted
 * in what is folded, since the shapes of events are checked when they are read.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { emptyState } from '../../src/core/evolve.ts';
import { checkInvariants, takeFaults } from '../../src/core/invariants.ts';
import type { Instance, PluginSpec } from '../../src/core/model.ts';
import { replay } from '../../src/core/replay.ts';
import { instanceView } from '../../src/core/view.ts';
import { lab, type Lab } from '../support/fleet.ts';

/** No rule can look at its plugins. */
const BROKEN = { plugins: null as unknown as readonly PluginSpec[] };

/** Three that run, and the middle one cannot be looked at any more. */
function withBroken(): Lab {
  const fleet = lab();
  for (const name of ['a', 'b', 'c']) fleet.declare(name);
  fleet.settle();
  fleet.declare('b', BROKEN);
  return fleet;
}

function differences(fleet: Lab): number {
  const result = replay(emptyState('lab'), structuredClone(fleet.log));
  assert.ok(result.kind === 'replay');
  return result.counts.differences;
}

describe('a rule that throws over one instance', () => {
  test('L46 holds that one, and the others are healed as ever', () => {
    const fleet = withBroken();
    fleet.exits('a');
    fleet.exits('c');
    fleet.tick();
    assert.deepEqual([fleet.operation('a'), fleet.operation('c')], ['start', 'start']);
    const { phase, hold } = fleet.inst('b');
    assert.deepEqual([phase, hold?.reason, hold?.rule], ['DEGRADED', 'fault', 'unclassified']);
  });

  test('L46 it is counted as a violation with the words of the fault, and those words are not in the log', () => {
    const fleet = withBroken();
    const decision = fleet.tick();
    const [violation] = takeFaults(fleet.state, decision);
    assert.equal(violation?.instance, 'b');
    assert.match(violation?.message ?? '', /deciding about it failed.*null/);
    assert.doesNotMatch(JSON.stringify(fleet.log.slice(-1)), /null \(reading|not iterable/);
  });

  test('L46 the same log gives the same decisions again', () => {
    const fleet = withBroken();
    fleet.exits('b');
    fleet.exits('c');
    fleet.settle();
    assert.equal(differences(fleet), 0);
  });

  test('a declaration that can be decided lets it go on', () => {
    const fleet = withBroken();
    fleet.drain();
    fleet.exits('b');
    fleet.drain();
    assert.equal(fleet.operation('b'), null);
    fleet.declare('b', { plugins: [] });
    fleet.settle();
    assert.equal(fleet.phase('b'), 'RUNNING');
    assert.equal(fleet.hold('b'), null);
  });

  test('its view and its invariants are no fault of the others: they can be asked, and say that they cannot be judged', () => {
    const fleet = withBroken();
    fleet.drain();
    const view = instanceView(fleet.state, fleet.inst('b'), fleet.now);
    assert.equal(view.conditions.find(({ type }) => type === 'PluginsInstalled')?.status, 'unknown');
    const inst: Instance = fleet.inst('c');
    fleet.state.dirty.clear();
    inst.phase = 'RUNNING';
    inst.spec = { ...inst.spec, ...BROKEN };
    const found = checkInvariants(fleet.state, fleet.now, [inst.uid]);
    assert.ok(found.some(({ invariant, message }) => invariant === 10 && message.includes('unforeseen')));
  });
});

describe('a fold that throws', () => {
  const nonsense = { report: 'degraded', message: undefined as unknown as string } as const;

  test('L46 holds the instance of its event like a row that cannot be read, until an operator has looked', () => {
    const fleet = lab();
    for (const name of ['a', 'b']) fleet.declare(name);
    fleet.settle();
    const { seq } = fleet.put({ type: 'agent.reported', ...fleet.of('b'), data: nonsense });
    assert.match(fleet.state.faults[0]?.message ?? '', new RegExp(`folding event ${seq} \\(agent.reported\\) failed`));
    fleet.exits('a');
    fleet.exits('b');
    fleet.drain();
    assert.deepEqual([fleet.operation('a'), fleet.operation('b')], ['start', null]);
    assert.equal(fleet.hold('b'), 'quarantined');
    assert.equal(differences(fleet), 0);
    fleet.command('b', 'reconcile');
    fleet.drain();
    assert.equal(fleet.operation('b'), 'start');
  });

  test('L46 a tick that cannot be folded for one of many is folded for the others', () => {
    const fleet = lab();
    for (const name of ['a', 'b']) fleet.declare(name);
    fleet.settle();
    for (const name of ['a', 'b']) fleet.exits(name);
    // Whatever begins an operation on it reads where it runs.
    const { spec } = fleet.inst('a');
    const decided = { now: fleet.now, logic: 1, transitions: [], holds: [] };
    const start = (name: string) => ({
      ...fleet.of(name),
      type: 'start' as const,
      rule: 'start',
      facts: [],
      operation: `${fleet.inst(name).uid}#9`,
    });
    const actions = ['a', 'b'].map(start);
    fleet.inst('a').spec = null as unknown as typeof spec;
    fleet.put({ type: 'tick.decided', data: { ...decided, actions } });
    fleet.inst('a').spec = spec;
    assert.equal(fleet.inst('b').operation?.kind, 'start');
    assert.equal(fleet.state.faults.length, 1);
    assert.notEqual(fleet.inst('a').quarantinedSeq, null);
  });
});
