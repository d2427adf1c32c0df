/**
 * The gates of DESIGN §13, in their order: what closes each, who is held by it and who is not, and what lifts it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { atWork, decided, decisions, many, outlook, phases, untilOperating } from '../support/decisions.ts';
import { BEATS, config, external, lab, lazy, plugin, T0, type Lab } from '../support/fleet.ts';

type Part = Parameters<Lab['declare']>[1];

/** So many alike, up, under one revision. */
function fleetOf(
  count: number,
  part: Part = {},
  options: Parameters<typeof lab>[0] = {},
): { fleet: Lab; names: string[] } {
  const fleet = lab({ ...options });
  fleet.policy({ maxInFlight: 1_000, ...options.policy });
  const names = many(count);
  for (const name of names) fleet.declare(name, part, 'r1');
  for (const name of names) fleet.up(name);
  return { fleet, names };
}

const first = (names: readonly string[]): string => names[0] ?? '';
const holds = (fleet: Lab, names: readonly string[]): Set<string | null> =>
  new Set(names.map((name) => fleet.hold(name)));
const override = (fleet: Lab, part: { target?: string; identity?: string; rollout?: boolean }): void => {
  const { target = null, identity = null, rollout = false } = part;
  fleet.put({ type: 'command.issued', data: { verb: 'override', target, identity, rollout } });
};
const sweep = (fleet: Lab, began = fleet.state.seq): void =>
  void fleet.put({ type: 'sweep.completed', data: { target: 'docker', began } });
const cleared = (fleet: Lab): void => void fleet.put({ type: 'target.cleared', data: { target: 'docker' } });

describe('the order of the gates', () => {
  test('the first that refuses is the hold: from the last to the first, each hides those behind it', () => {
    const { fleet, names } = fleetOf(10);
    const one = first(names);
    fleet.policy({ maxInFlight: 1 });
    fleet.declare('other');
    fleet.drain();
    const shows = (reason: string): void => {
      fleet.drain();
      assert.equal(fleet.hold(one), reason);
    };
    fleet.exits(one);
    shows('budget');
    fleet.seen(one, 'running');
    fleet.exits(one);
    shows('backoff');
    for (const name of names.slice(1, 6)) fleet.exits(name);
    shows('blast-radius');
    fleet.fail('other', { fault: 'target' });
    shows('breaker');
    fleet.holdFleet();
    shows('operator-hold');
    fleet.put({ type: 'event.quarantined', ...fleet.of(one), data: { was: 'command.issued', message: 'not JSON' } });
    shows('quarantined');
    fleet.own();
    shows('unsynced');
  });

  test('before the budget comes the rollout, before the rollout the work of a busy agent', () => {
    const { fleet, names } = fleetOf(3, { heartbeat: BEATS });
    const [, b = '', c = ''] = names;
    fleet.policy({ maxInFlight: 1 });
    for (const name of names) fleet.declare(name, { run: { image: 'bot:2' } }, 'r2');
    fleet.drain();
    assert.deepEqual([fleet.hold(b), fleet.hold(c)], ['rollout', 'rollout']);
    fleet.report(b, 'busy');
    fleet.drain();
    assert.deepEqual([fleet.hold(b), fleet.hold(c)], ['busy', 'rollout']);
  });
});

describe('target seen', () => {
  test('after a new owner nothing of a target is decided before it is synced; another target does not wait for it', () => {
    const fleet = lab({ targets: ['docker', 'box'] });
    fleet.declare('a');
    fleet.declare('b', { target: 'box' });
    fleet.settle();
    fleet.own();
    fleet.sync('box');
    fleet.exits('a');
    fleet.exits('b');
    fleet.drain();
    assert.equal(fleet.hold('a'), 'unsynced');
    assert.deepEqual(atWork(fleet), ['b']);
    fleet.sync('docker');
    fleet.drain();
    assert.deepEqual(atWork(fleet), ['a', 'b']);
  });

  test('L72 another identity under the old name refuses: nothing is believed missing, nothing created', () => {
    const { fleet, names } = fleetOf(3);
    const before = fleet.state.seq;
    fleet.own();
    fleet.sync('docker', { identity: 'another-engine' });
    fleet.settle();
    assert.deepEqual(
      names.map((name) => fleet.phase(name)),
      ['ERROR', 'ERROR', 'ERROR'],
    );
    fleet.advance(86_400_000);
    assert.deepEqual(decided(fleet, undefined, before), []);
    override(fleet, { target: 'docker', identity: 'another-engine' });
    fleet.drain();
    assert.equal(fleet.state.targets.get('docker')?.synced, false, 'and then it is looked at first');
    fleet.sync('docker', { identity: 'another-engine' });
    fleet.settle();
    assert.deepEqual(
      names.map((name) => fleet.phase(name)),
      ['RUNNING', 'RUNNING', 'RUNNING'],
    );
  });

  test('a target that comes back under its own identity is believed again', () => {
    const { fleet, names } = fleetOf(1);
    fleet.sync('docker', { identity: 'another-engine' });
    fleet.drain();
    fleet.sync('docker');
    fleet.drain();
    assert.equal(fleet.phase(first(names)), 'RUNNING');
  });
});

describe('quarantine, shared resources, predecessors', () => {
  test('a declaration that cannot be read holds whoever comes under its name, until somebody has looked', () => {
    const fleet = lab();
    fleet.put({
      type: 'event.quarantined',
      instance: 'a',
      uid: 'u-lost',
      data: { was: 'spec.applied', message: 'not JSON' },
    });
    fleet.declare('a');
    fleet.declare('b');
    fleet.settle();
    assert.deepEqual([fleet.hold('a'), fleet.phase('b')], ['quarantined', 'RUNNING']);
    fleet.command('a', 'reconcile');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
  });

  test('L46 a row that cannot be read holds its instance and nobody else', () => {
    const { fleet, names } = fleetOf(2);
    const [a = '', b = ''] = names;
    fleet.put({ type: 'event.quarantined', ...fleet.of(a), data: { was: 'command.issued', message: 'not JSON' } });
    fleet.exits(a);
    fleet.exits(b);
    fleet.settle();
    assert.equal(fleet.hold(a), 'quarantined');
    assert.equal(fleet.phase(b), 'RUNNING');
    fleet.advance(86_400_000);
    assert.equal(fleet.operation(a), null);
    fleet.command(a, 'reconcile');
    fleet.settle();
    assert.equal(fleet.phase(a), 'RUNNING');
  });

  test('an unreadable row about nobody holds everybody: it could have been a hold', () => {
    const { fleet, names } = fleetOf(2);
    fleet.put({ type: 'event.quarantined', data: { was: 'command.issued', message: 'not JSON' } });
    for (const name of names) fleet.exits(name);
    fleet.drain();
    assert.deepEqual(holds(fleet, names), new Set(['quarantined']));
  });

  test('L55 what is quarantined can still be deleted, by its name', () => {
    const { fleet, names } = fleetOf(1);
    const one = first(names);
    fleet.delete(one, { prune: true });
    fleet.put({ type: 'event.quarantined', ...fleet.of(one), data: { was: 'spec.deleted', message: 'not JSON' } });
    fleet.settle();
    assert.equal(fleet.hold(one), 'quarantined');
    fleet.delete(one);
    fleet.settle();
    assert.equal(fleet.state.instances.size, 0);
  });

  test('two that hold one resource are both held, until one lets go', () => {
    const { fleet, names } = fleetOf(2);
    const [a = '', b = ''] = names;
    fleet.seen(b, 'running', { ref: fleet.inst(a).resource?.ref ?? null });
    for (const name of names) fleet.declare(name, { run: { image: 'bot:2' } }, 'r2');
    fleet.drain();
    assert.deepEqual(holds(fleet, names), new Set(['conflict']));
    fleet.delete(b, { forget: true });
    fleet.settle();
    assert.equal(fleet.inst(a).resource?.infra, fleet.inst(a).hashes.infra);
  });

  test('a re-declared name waits for its predecessor to be gone, and goes on by itself', () => {
    const { fleet, names } = fleetOf(1);
    const one = first(names);
    const old = fleet.inst(one).uid;
    fleet.delete(one);
    fleet.declare(one);
    fleet.drain();
    assert.notEqual(fleet.inst(one).uid, old);
    assert.equal(fleet.hold(one), 'predecessor');
    fleet.succeed(old);
    fleet.settle();
    assert.equal(fleet.state.instances.has(old), false);
    assert.equal(fleet.phase(one), 'RUNNING');
  });
});

describe('operator hold', () => {
  test('L84 on hold nothing is healed, updated, created or pruned', () => {
    const { fleet, names } = fleetOf(3);
    const [a = '', b = '', c = ''] = names;
    fleet.holdFleet();
    const before = fleet.state.seq;
    fleet.exits(a);
    fleet.declare(b, { run: { image: 'bot:2' } }, 'r2');
    fleet.delete(c, { prune: true });
    fleet.declare('new');
    fleet.advance(86_400_000);
    assert.deepEqual(decided(fleet, undefined, before), []);
    assert.deepEqual(holds(fleet, [...names, 'new']), new Set(['operator-hold']));
    fleet.release();
    fleet.advance(120_000);
    fleet.settle();
    assert.equal(fleet.phase(a), 'RUNNING');
    assert.equal(fleet.state.names.has(c), false);
  });

  test('L84 on hold a runaway can be stopped, and deleted, by its name', () => {
    const { fleet, names } = fleetOf(2);
    const [a = '', b = ''] = names;
    fleet.holdFleet();
    fleet.command(a, 'stop');
    fleet.delete(b);
    fleet.settle();
    assert.equal(fleet.phase(a), 'STOPPED');
    assert.equal(fleet.state.names.has(b), false);
  });

  test('a prune that is confirmed by name passes', () => {
    const { fleet, names } = fleetOf(1);
    fleet.holdFleet();
    fleet.delete(first(names), { prune: true });
    fleet.drain();
    assert.equal(fleet.hold(first(names)), 'operator-hold');
    fleet.delete(first(names));
    fleet.settle();
    assert.equal(fleet.state.instances.size, 0);
  });

  test('it holds what it names: a target, some instances, or all', () => {
    for (const [scope, held] of [
      [{ target: 'box' }, ['b']],
      [{ instances: ['a'] }, ['a']],
      [{}, ['a', 'b']],
    ] as const) {
      const fleet = lab({ targets: ['docker', 'box'] });
      fleet.declare('a');
      fleet.declare('b', { target: 'box' });
      fleet.holdFleet(scope);
      fleet.drain();
      assert.deepEqual(
        ['a', 'b'].filter((name) => fleet.hold(name) === 'operator-hold'),
        held,
      );
    }
  });

  test('it ends by release, and by its own time', () => {
    const fleet = lab();
    fleet.holdFleet({ until: T0 + 60_000 });
    fleet.declare('a');
    fleet.advance(59_999);
    assert.equal(fleet.operation('a'), null);
    fleet.advance(1);
    assert.equal(fleet.operation('a'), 'provision');
    fleet.holdFleet({ target: 'docker' });
    fleet.declare('b');
    fleet.release({ target: 'box' });
    fleet.drain();
    assert.equal(fleet.hold('b'), 'operator-hold');
    fleet.release({ target: 'docker' });
    fleet.drain();
    assert.equal(fleet.operation('b'), 'provision');
  });

  test('it survives a new owner', () => {
    const fleet = lab();
    fleet.holdFleet();
    fleet.own();
    fleet.sync('docker');
    fleet.declare('a');
    fleet.drain();
    assert.equal(fleet.hold('a'), 'operator-hold');
  });
});

describe('target breaker', () => {
  test('a fault of the target is charged to the target: nobody there acts, nobody there has failed', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.declare('b');
    fleet.drain();
    fleet.fail('a', { fault: 'target', message: 'engine down' });
    fleet.succeed('b');
    fleet.drain();
    assert.equal(fleet.hold('a'), 'breaker');
    assert.equal(fleet.inst('a').hold?.detail, 'engine down');
    assert.deepEqual(fleet.inst('a').concerns, {});
    fleet.exits('b');
    fleet.drain();
    assert.equal(fleet.hold('b'), 'breaker');
  });

  test('a complete listing lifts it, not time', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    fleet.fail('a', { fault: 'target' });
    fleet.advance(3_600_000);
    assert.equal(fleet.hold('a'), 'breaker');
    cleared(fleet);
    fleet.drain();
    assert.equal(fleet.operation('a'), 'provision');
  });

  test('repeats double its wait, up to five minutes; a success ends the doubling', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    const waits: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      fleet.fail('a', { fault: 'target' });
      cleared(fleet);
      fleet.drain();
      const from = fleet.now;
      while (fleet.operation('a') === null) fleet.advance(Math.max(1, fleet.agenda.nextAt - fleet.now));
      waits.push((fleet.now - from) / 1_000);
    }
    assert.deepEqual(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    fleet.succeed('a');
    fleet.exits('a');
    fleet.drain();
    fleet.fail('a', { fault: 'target' });
    cleared(fleet);
    fleet.advance(5_000);
    assert.equal(fleet.operation('a'), 'start');
  });

  test('several operations that fail together for one reason open it once', () => {
    const fleet = lab();
    for (const name of ['a', 'b', 'c']) fleet.declare(name);
    fleet.drain();
    for (const name of ['a', 'b', 'c']) fleet.fail(name, { fault: 'target' });
    assert.equal(fleet.state.targets.get('docker')?.breakerRepeats, 1);
  });

  test('a new owner that synced the target is not held by the breaker of the old one for ever', () => {
    const fleet = lab();
    fleet.declare('a');
    fleet.drain();
    fleet.fail('a', { fault: 'target' });
    fleet.own();
    fleet.sync('docker');
    fleet.advance(5_000);
    assert.equal(fleet.operation('a'), 'provision');
  });
});

describe('blast radius', () => {
  test('L51 at most five, or 30 %, are healed at once; one more, and all of them wait', () => {
    for (const [count, most] of [
      [10, 5],
      [100, 30],
    ] as const) {
      for (const lost of [most, most + 1]) {
        const { fleet, names } = fleetOf(count);
        const gone = names.slice(0, lost);
        for (const name of gone) fleet.seen(name, 'missing');
        fleet.drain();
        assert.equal(atWork(fleet).length, lost > most ? 0 : lost, `${lost} of ${count}`);
        assert.deepEqual(holds(fleet, gone), new Set([lost > most ? 'blast-radius' : null]));
      }
    }
  });

  test('losses more than 60 s apart do not add up, nor do those healed meanwhile', () => {
    const { fleet, names } = fleetOf(10, { heartbeat: { ...BEATS, silentAfterMs: 600_000 } });
    for (const name of names.slice(0, 5)) fleet.report(name, 'silent');
    fleet.advance(60_001);
    fleet.report(names[5] ?? '', 'silent');
    assert.equal(fleet.state.targets.get('docker')?.blast, null);
    const healed = fleetOf(10);
    for (const name of healed.names) {
      healed.fleet.exits(name);
      healed.fleet.settle();
    }
    assert.deepEqual(new Set(healed.names.map((name) => healed.fleet.phase(name))), new Set(['RUNNING']));
  });

  test('sleepers count among those that exist', () => {
    const { fleet, names } = fleetOf(20, lazy());
    for (const name of names.slice(0, 6)) fleet.seen(name, 'missing');
    fleet.drain();
    assert.deepEqual(holds(fleet, names.slice(0, 6)), new Set([null]));
  });

  test('stops that were asked for are no losses', () => {
    const { fleet, names } = fleetOf(10);
    for (const name of names) fleet.command(name, 'stop');
    fleet.settle();
    assert.equal(fleet.state.targets.get('docker')?.blast, null);
  });

  test('L45 stopped ones are started after a second complete sweep, not by one that began before', () => {
    const { fleet, names } = fleetOf(10);
    const began = fleet.state.seq;
    for (const name of names.slice(0, 6)) fleet.exits(name);
    fleet.drain();
    sweep(fleet, began);
    fleet.drain();
    assert.deepEqual(atWork(fleet), []);
    sweep(fleet);
    fleet.drain();
    assert.deepEqual(atWork(fleet), names.slice(0, 6));
  });

  test('L51 missing ones wait for an operator, however long and however often they are swept', () => {
    const { fleet, names } = fleetOf(10);
    for (const name of names) fleet.seen(name, 'missing');
    for (let hour = 0; hour < 24; hour += 1) {
      sweep(fleet);
      fleet.advance(3_600_000);
    }
    assert.deepEqual(holds(fleet, names), new Set(['blast-radius']));
    override(fleet, { target: 'docker' });
    fleet.drain();
    assert.deepEqual(atWork(fleet), names);
  });

  test('L51 that some of the missing are found again does not make the rest any less doubtful', () => {
    const { fleet, names } = fleetOf(10);
    for (const name of names.slice(0, 7)) fleet.seen(name, 'missing');
    fleet.drain();
    for (const name of names.slice(0, 5)) fleet.seen(name, 'running');
    fleet.drain();
    assert.deepEqual(holds(fleet, names.slice(5, 7)), new Set(['blast-radius']));
    for (const name of names.slice(5, 7)) fleet.seen(name, 'running');
    fleet.drain();
    assert.equal(fleet.state.targets.get('docker')?.blast, null);
  });

  test('L88 when all fall silent at once nobody is restarted, and being heard is what lifts it', () => {
    const { fleet, names } = fleetOf(20, { heartbeat: BEATS });
    const before = fleet.state.seq;
    for (const name of names) fleet.report(name, 'silent');
    fleet.advance(3_600_000);
    assert.deepEqual(decided(fleet, undefined, before), []);
    assert.deepEqual(holds(fleet, names), new Set(['blast-radius']));
    for (const name of names) fleet.report(name, 'recovered');
    fleet.drain();
    assert.deepEqual(decided(fleet, undefined, before), []);
    assert.deepEqual(new Set(names.map((name) => fleet.phase(name))), new Set(['RUNNING']));
  });

  test('L88 once most are heard again, the few that are really dead are healed', () => {
    const { fleet, names } = fleetOf(20, { heartbeat: BEATS });
    for (const name of names) fleet.report(name, 'silent');
    fleet.advance(60_000);
    for (const name of names.slice(2)) fleet.report(name, 'recovered');
    fleet.drain();
    assert.deepEqual(atWork(fleet), names.slice(0, 2));
  });

  test('L88 all that were started and never came are as doubtful as all that fell silent', () => {
    const fleet = lab();
    const names = many(8);
    for (const name of names) fleet.declare(name, { heartbeat: BEATS });
    fleet.settle();
    const before = fleet.state.seq;
    fleet.advance(3_600_000);
    assert.deepEqual(decided(fleet, undefined, before), []);
    assert.deepEqual(holds(fleet, names), new Set(['blast-radius']));
  });

  test('L88 that a silent one is seen running is no news of it', () => {
    const { fleet, names } = fleetOf(10, { heartbeat: BEATS });
    for (const name of names) fleet.report(name, 'silent');
    for (const name of names) fleet.seen(name, 'running', { attrs: { pid: 7 } });
    fleet.advance(60_000);
    assert.deepEqual(holds(fleet, names), new Set(['blast-radius']));
  });

  test('complaints are not answered with restarts while a third of the target is silent', () => {
    const { fleet, names } = fleetOf(10, { heartbeat: BEATS, onDegraded: 'restart' });
    const last = names[9] ?? '';
    for (const name of names.slice(0, 6)) fleet.report(name, 'silent');
    fleet.degraded(last);
    fleet.drain();
    assert.equal(fleet.hold(last), 'blast-radius');
    for (const name of names.slice(0, 6)) fleet.report(name, 'recovered');
    fleet.drain();
    assert.equal(fleet.operation(last), 'restart');
  });

  test('what is wanted no more is no loss: stopping or deleting by name is never held', () => {
    const { fleet, names } = fleetOf(10);
    for (const name of names.slice(0, 8)) fleet.exits(name);
    fleet.drain();
    for (const name of names.slice(0, 8)) fleet.delete(name);
    fleet.settle();
    assert.equal(fleet.state.instances.size, 2);
    assert.equal(fleet.state.targets.get('docker')?.blast, null);
  });

  test('L49 that the losses grow while all wait is not said of each anew', () => {
    const { fleet, names } = fleetOf(20);
    for (const name of names.slice(0, 7)) fleet.exits(name);
    fleet.drain();
    const before = fleet.state.seq;
    fleet.exits(names[7] ?? '');
    fleet.drain();
    const said = fleet
      .events('tick.decided')
      .filter((event) => event.seq > before)
      .flatMap((event) => event.data.holds);
    assert.deepEqual(
      said.map((hold) => hold.instance),
      [names[7]],
    );
  });
});

describe('backoff and giving up', () => {
  const crash = (fleet: Lab, name = 'a'): void => {
    fleet.exits(name);
    fleet.drain();
  };
  const one = (part: Part = {}, policy: Parameters<typeof lab>[0] = {}): Lab => {
    const fleet = lab(policy);
    fleet.declare('a', part);
    fleet.up('a');
    return fleet;
  };
  const waited = (fleet: Lab): number => untilOperating(fleet, 'a');

  test('the first failure is healed at once, quick ones after it wait 1 s × 2ⁿ up to 5 min, ± 10 %', () => {
    const fleet = one({}, { policy: { giveUpAfter: 100 } });
    const waits: number[] = [];
    for (let life = 0; life < 12; life += 1) {
      crash(fleet);
      waits.push(waited(fleet));
      fleet.succeed('a');
    }
    const ideal = [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300];
    for (const [at, ms] of waits.entries()) {
      const want = (ideal[at] ?? 0) * 1_000;
      assert.ok(ms >= want * 0.9 && ms <= want * 1.1, `wait ${at} was ${ms} ms, not ${want} ± 10 %`);
    }
  });

  test('a life of a minute or more begins the row anew; the failure still counts', () => {
    const fleet = one();
    crash(fleet);
    fleet.succeed('a');
    crash(fleet);
    waited(fleet);
    fleet.succeed('a');
    fleet.advance(60_000);
    crash(fleet);
    assert.equal(waited(fleet), 0);
    assert.equal(fleet.inst('a').concerns.run?.failures, 3);
  });

  test('L40 failures of different operations and lives add up in one place, and end in ERROR', () => {
    const fleet = one();
    for (let failure = 0; failure < 10; failure += 1) {
      crash(fleet);
      if (fleet.phase('a') === 'ERROR') break;
      waited(fleet);
      if (failure % 2 === 0) {
        fleet.fail('a');
        waited(fleet);
      }
      fleet.succeed('a');
      fleet.drain();
    }
    assert.equal(fleet.phase('a'), 'ERROR');
    assert.equal(fleet.inst('a').concerns.run?.failures, 10);
    assert.ok((fleet.inst('a').concerns.run?.error?.message ?? '').length > 0, 'L43 with words');
  });

  test('L41 giving up is not for ever: one attempt every 30 minutes, and one only', () => {
    const fleet = one({}, { policy: { giveUpAfter: 2 } });
    crash(fleet);
    fleet.succeed('a');
    crash(fleet);
    assert.equal(fleet.phase('a'), 'ERROR');
    const before = fleet.state.seq;
    for (let half = 1; half <= 4; half += 1) {
      fleet.advance(1_800_000);
      assert.equal(fleet.operation('a'), 'start', `attempt ${half}`);
      fleet.fail('a');
      fleet.drain();
      assert.equal(fleet.phase('a'), 'ERROR');
    }
    assert.deepEqual(decided(fleet, 'a', before), ['start', 'start', 'start', 'start']);
    fleet.advance(1_800_000);
    fleet.succeed('a');
    fleet.advance(600_000);
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.deepEqual(fleet.inst('a').concerns, {}, 'and ten good minutes forgive all');
  });

  test('ten minutes running and live forgive, nine do not, whatever config does meanwhile', () => {
    const fleet = one({ heartbeat: BEATS });
    crash(fleet);
    fleet.succeed('a');
    fleet.report('a', 'first');
    fleet.declare('b');
    fleet.advance(599_999);
    assert.equal(fleet.inst('a').concerns.run?.failures, 1);
    fleet.advance(1);
    assert.equal(fleet.inst('a').concerns.run, undefined);
  });

  test('falling asleep live forgives', () => {
    const fleet = one(lazy());
    fleet.command('a', 'wake');
    fleet.settle();
    crash(fleet);
    fleet.succeed('a');
    fleet.command('a', 'sleep');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'SLEEPING');
    assert.equal(fleet.inst('a').concerns.run, undefined);
  });

  test('L44 planned restarts never count, however many', () => {
    const fleet = one();
    for (let at = 0; at < 25; at += 1) {
      fleet.command('a', 'restart');
      fleet.settle();
    }
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.deepEqual(fleet.inst('a').restarts, { crashes: 0, planned: 25 });
    assert.deepEqual(fleet.inst('a').concerns, {});
  });

  test('L82 a plugin in backoff does not delay the healing of a crash', () => {
    const fleet = one();
    fleet.declare('a', { plugins: [plugin('git+file:///x#v1')] });
    fleet.drain();
    for (let at = 0; at < 4; at += 1) {
      fleet.fail('a');
      fleet.advance(10_000);
    }
    fleet.end('a', 'aborted');
    crash(fleet);
    const before = fleet.now;
    fleet.settle();
    assert.equal(fleet.inst('a').resource?.state, 'running');
    assert.equal(fleet.now, before);
  });

  test('L82 nor does a config that cannot be applied reset or delay what run has counted', () => {
    const fleet = one();
    crash(fleet);
    fleet.succeed('a');
    fleet.declare('a', { config: config(1) });
    fleet.drain();
    fleet.succeed('a');
    fleet.settle();
    assert.equal(fleet.inst('a').concerns.config, undefined);
    fleet.exits('a');
    assert.equal(fleet.inst('a').concerns.run?.failures, 1, 'only the new generation pardoned the crash before it');
  });

  test('L90 a crash-looper that beats once per life does not reset its own counter', () => {
    const fleet = one({ heartbeat: BEATS });
    let lives = 0;
    while (fleet.phase('a') !== 'ERROR' && lives < 50) {
      lives += 1;
      crash(fleet);
      if (fleet.phase('a') === 'ERROR') break;
      waited(fleet);
      fleet.succeed('a');
      fleet.report('a', 'first');
      fleet.drain();
    }
    assert.equal(lives, 10);
  });

  test('L90 nor does one that falls silent after one beat: heard again it may go on, but the count stands', () => {
    const fleet = one({ heartbeat: BEATS }, { policy: { giveUpAfter: 2 } });
    for (let life = 0; life < 2; life += 1) {
      fleet.report('a', 'silent');
      fleet.advance(20_000);
      if (fleet.operation('a') !== null) fleet.succeed('a');
      fleet.settle();
    }
    assert.equal(fleet.phase('a'), 'ERROR');
    fleet.report('a', 'first');
    fleet.settle();
    assert.equal(fleet.phase('a'), 'RUNNING');
    assert.equal(fleet.inst('a').concerns.run?.failures, 2);
  });

  test('stop never gives up', () => {
    const fleet = one();
    fleet.command('a', 'stop');
    fleet.drain();
    for (let at = 0; at < 30; at += 1) {
      fleet.fail('a', { class: at % 2 === 0 ? 'terminal' : 'transient' });
      fleet.drain();
      waited(fleet);
    }
    assert.equal(fleet.operation('a'), 'stop');
    assert.equal(fleet.inst('a').concerns.stop?.gaveUpAt, null);
  });

  test('a restart for silence that fails at once is not repeated in a hot loop', () => {
    const fleet = one({ heartbeat: BEATS });
    fleet.report('a', 'silent');
    fleet.advance(15_000);
    const saw = { ...fleet.look('a', 'running') };
    const from = fleet.now;
    for (let at = 0; at < 5; at += 1) {
      fleet.fail('a', {}, saw);
      waited(fleet);
    }
    assert.ok(fleet.now - from >= 6_000, `five failed restarts in ${fleet.now - from} ms`);
  });

  test('the same attempt waits exactly as long in every replay', () => {
    const runs = [1, 2].map(() => {
      const fleet = one();
      crash(fleet);
      fleet.succeed('a');
      crash(fleet);
      return fleet.inst('a').hold?.until;
    });
    assert.equal(runs[0], runs[1]);
  });
});

describe('rollout', () => {
  const V2 = { run: { image: 'bot:2' } };
  const apply = (fleet: Lab, names: readonly string[], part: Part = V2, revision = 'r2'): void => {
    for (const name of names) fleet.declare(name, part, revision);
  };
  const current = (fleet: Lab, names: readonly string[]): string[] =>
    names.filter((name) => fleet.inst(name).resource?.infra === fleet.inst(name).hashes.infra);
  /** Everything in flight succeeds, time passes by seconds, until nothing is in flight and nobody waits. */
  const rollOut = (fleet: Lab, most = 3_600): void => {
    for (let second = 0; second < most; second += 1) {
      fleet.drain();
      for (const name of atWork(fleet)) fleet.succeed(name);
      fleet.advance(1_000);
      const waiting = [...fleet.state.instances.values()].some((inst) => inst.hold !== null || inst.operation !== null);
      if (!waiting && fleet.state.rollout?.active.size === 0) return;
    }
    throw new Error('the rollout never ends');
  };

  test('L79 the first goes alone; the next wait until it is proved for healthyFor', () => {
    const { fleet, names } = fleetOf(20);
    apply(fleet, names);
    fleet.drain();
    assert.equal(atWork(fleet).length, 1);
    assert.equal(names.filter((name) => fleet.hold(name) === 'rollout').length, 19);
    fleet.succeed(first(atWork(fleet)));
    fleet.drain();
    fleet.advance(29_999);
    assert.deepEqual(atWork(fleet), []);
    fleet.advance(1);
    assert.equal(atWork(fleet).length, 2, 'then 10 % at a time');
  });

  test('never are more than maxUnavailable down for it, and all are updated in the end', () => {
    const { fleet, names } = fleetOf(30);
    fleet.policy({
      maxInFlight: 1_000,
      rollout: { maxUnavailable: 0.2, healthyForMs: 5_000, maxFailures: 1, waitIdleMs: 600_000 },
    });
    apply(fleet, names);
    let most = 0;
    for (let second = 0; second < 600 && current(fleet, names).length < 30; second += 1) {
      fleet.drain();
      most = Math.max(most, fleet.state.rollout?.active.size ?? 0);
      for (const name of atWork(fleet)) fleet.succeed(name);
      fleet.advance(1_000);
    }
    assert.equal(current(fleet, names).length, 30);
    assert.equal(most, 6);
  });

  test('L79 a bad image stops at the first, with the reason in sight', () => {
    const { fleet, names } = fleetOf(20);
    apply(fleet, names);
    fleet.drain();
    const canary = first(atWork(fleet));
    fleet.fail(canary, { class: 'terminal', code: 'bad-image' });
    fleet.advance(3_600_000);
    const others = names.filter((name) => name !== canary);
    assert.deepEqual(holds(fleet, others), new Set(['rollout-failed']));
    assert.equal(
      others.every((name) => fleet.inst(name).resource?.state === 'running'),
      true,
    );
    assert.deepEqual(
      new Set(
        decisions(fleet, undefined, 0)
          .filter((action) => action.type === 'update')
          .map((action) => action.instance),
      ),
      new Set([canary]),
    );
  });

  test('L79 a bad key stops at the first', () => {
    const { fleet, names } = fleetOf(10, { config: config('old key') });
    const hashes = Object.fromEntries(
      names.map((name) => [fleet.inst(name).uid, { ...fleet.inst(name).hashes, config: '1:new key' }]),
    );
    fleet.put({ type: 'secret.rotated', data: { secret: 'llm', version: 2, hashes } });
    fleet.drain();
    assert.equal(atWork(fleet).length, 1);
    fleet.fail(first(atWork(fleet)), { class: 'terminal', code: 'invalid' });
    fleet.drain();
    assert.equal(names.filter((name) => fleet.hold(name) === 'rollout-failed').length, 9);
  });

  test('L79 agents that run elsewhere get a new config one by one, too', () => {
    const fleet = lab();
    const names = many(10);
    for (const name of names) fleet.declare(name, external({ config: config(1) }), 'r1');
    for (const name of names) fleet.report(name, 'first');
    fleet.settle();
    apply(fleet, names, { config: config('nonsense') });
    fleet.drain();
    assert.equal(atWork(fleet).length, 1);
  });

  test('one that comes up and does not stay is a failure: no proof by its due time', () => {
    const { fleet, names } = fleetOf(5, { heartbeat: BEATS });
    apply(fleet, names);
    fleet.drain();
    const canary = first(atWork(fleet));
    fleet.succeed(canary);
    fleet.advance(3_600_000);
    assert.equal(fleet.state.rollout?.failures, 1);
    assert.deepEqual(
      holds(
        fleet,
        names.filter((name) => name !== canary),
      ),
      new Set(['rollout-failed']),
    );
  });

  test('L74 a new revision lifts the hold of a failed one, and what it broke is repaired first, at once', () => {
    const { fleet, names } = fleetOf(10);
    apply(fleet, names, { run: { image: 'nonsense' } });
    fleet.drain();
    const canary = first(atWork(fleet));
    fleet.fail(canary, { class: 'terminal', code: 'bad-image' }, { ...fleet.look(canary, 'stopped'), exit: null });
    fleet.drain();
    assert.equal(fleet.operation(canary), 'start', 'what exists is started');
    fleet.fail(canary, { class: 'terminal', code: 'bad-image' });
    fleet.drain();
    apply(fleet, names, { run: { image: 'bot:3' } }, 'r3');
    fleet.drain();
    assert.equal(fleet.inst(canary).operation !== null, true);
    assert.equal(atWork(fleet).length, 2, 'the broken one, and the first of the others');
    rollOut(fleet);
    assert.equal(current(fleet, names).length, 10);
  });

  test('L74 three hundred in ERROR take the fixed image without being reconciled by hand', () => {
    const { fleet, names } = fleetOf(30, {}, { policy: { giveUpAfter: 1 } });
    for (const name of names) fleet.exits(name);
    fleet.drain();
    assert.deepEqual(new Set(names.map((name) => fleet.phase(name))), new Set(['ERROR']));
    apply(fleet, names);
    sweep(fleet);
    fleet.settle();
    assert.deepEqual(new Set(names.map((name) => fleet.phase(name))), new Set(['RUNNING']));
    assert.equal(current(fleet, names).length, 30);
  });

  test('an override takes the failed revision on', () => {
    const { fleet, names } = fleetOf(5);
    apply(fleet, names);
    fleet.drain();
    fleet.fail(first(atWork(fleet)));
    fleet.drain();
    assert.equal(fleet.hold(names[4] ?? ''), 'rollout-failed');
    override(fleet, { rollout: true });
    rollOut(fleet);
    assert.equal(current(fleet, names).length, 5);
  });

  test('maxFailures is how many it takes', () => {
    const { fleet, names } = fleetOf(10);
    fleet.policy({ rollout: { maxUnavailable: 0.5, healthyForMs: 1_000, maxFailures: 2, waitIdleMs: 600_000 } });
    apply(fleet, names);
    fleet.drain();
    fleet.fail(first(atWork(fleet)), { class: 'terminal' });
    fleet.drain();
    assert.equal(atWork(fleet).length, 1);
    fleet.fail(first(atWork(fleet)), { class: 'terminal' });
    fleet.drain();
    assert.equal(atWork(fleet).length, 0);
    assert.equal(names.filter((name) => fleet.hold(name) === 'rollout-failed').length, 8);
  });

  test('L89 it does not wait for proof from sleepers, nor from those that were down before, and it ends', () => {
    const { fleet, names } = fleetOf(4);
    const sleepers = many(4, 's');
    for (const name of sleepers) fleet.declare(name, lazy(), 'r1');
    fleet.settle();
    const [down = '', stopped = ''] = names;
    fleet.command(stopped, 'stop');
    fleet.settle();
    fleet.policy({ giveUpAfter: 1 });
    fleet.exits(down);
    fleet.settle();
    assert.equal(fleet.phase(down), 'ERROR');
    apply(fleet, [...names, ...sleepers]);
    rollOut(fleet);
    assert.deepEqual(current(fleet, sleepers), sleepers);
    assert.deepEqual(new Set(sleepers.map((name) => fleet.phase(name))), new Set(['SLEEPING']));
    assert.deepEqual(
      current(fleet, names),
      names.filter((name) => name !== stopped),
    );
    assert.equal(fleet.state.rollout?.failures, 0);
  });

  test('L89 one that leaves meanwhile (stopped, deleted, completed) is neither proof nor failure', () => {
    for (const leave of ['stop', 'delete', 'complete'] as const) {
      const { fleet, names } = fleetOf(3, { onComplete: 'stop' });
      apply(fleet, names);
      fleet.drain();
      const canary = first(atWork(fleet));
      fleet.succeed(canary);
      if (leave === 'stop') fleet.command(canary, 'stop');
      else if (leave === 'delete') fleet.delete(canary);
      else fleet.exits(canary, { code: 0 });
      rollOut(fleet);
      assert.equal(fleet.state.rollout?.failures, 0, leave);
      assert.equal(current(fleet, [...fleet.state.names.keys()]).length, fleet.state.names.size, leave);
    }
  });

  test('our own downtime is no failure of the one that was down for it', () => {
    const { fleet, names } = fleetOf(3);
    apply(fleet, names);
    fleet.drain();
    fleet.now += 3_600_000;
    fleet.own();
    fleet.sync('docker');
    rollOut(fleet);
    assert.equal(fleet.state.rollout?.failures, 0);
    assert.equal(current(fleet, names).length, 3);
  });

  test('a busy agent is waited for, up to waitIdle', () => {
    const { fleet, names } = fleetOf(1, { heartbeat: BEATS });
    const one = first(names);
    fleet.report(one, 'busy');
    apply(fleet, names);
    fleet.advance(599_999);
    assert.equal(fleet.hold(one), 'busy');
    fleet.advance(1);
    assert.equal(fleet.operation(one), 'update');
  });

  test('a busy agent does not keep the others waiting', () => {
    const { fleet, names } = fleetOf(5, { heartbeat: BEATS });
    fleet.report(first(names), 'busy');
    apply(fleet, names);
    fleet.drain();
    assert.equal(atWork(fleet).length, 1);
    assert.notEqual(first(atWork(fleet)), first(names));
  });

  test('creating, a first config, and writing down what runs are no disruption', () => {
    const { fleet, names } = fleetOf(5);
    apply(fleet, names, { config: config(1) });
    for (const name of many(5, 'new')) fleet.declare(name, {}, 'r2');
    fleet.drain();
    assert.equal(atWork(fleet).length, 10);
  });

  test('a rotated secret starts a rollout of its own, and lets nobody wait for the old one', () => {
    const { fleet, names } = fleetOf(4, { config: config(1) });
    apply(fleet, names);
    fleet.drain();
    fleet.fail(first(atWork(fleet)));
    fleet.drain();
    const { uid, hashes } = fleet.inst(first(names));
    fleet.put({ type: 'secret.rotated', data: { secret: 'used', version: 2, hashes: { [uid]: hashes } } });
    fleet.drain();
    assert.equal(atWork(fleet).length >= 1, true);
  });

  test('a secret that nobody uses lets no failed rollout go on', () => {
    const { fleet, names } = fleetOf(4, { config: config(1) });
    apply(fleet, names);
    fleet.drain();
    fleet.fail(first(atWork(fleet)));
    fleet.drain();
    assert.equal(atWork(fleet).length, 0);
    fleet.put({ type: 'secret.rotated', data: { secret: 'unused', version: 1, hashes: {} } });
    fleet.put({ type: 'secret.deleted', data: { secret: 'unused' } });
    fleet.drain();
    assert.equal(atWork(fleet).length, 0);
    assert.equal(fleet.state.rollout?.failures, 1);
  });
});

describe('budget', () => {
  test('no more than maxInFlight at once per target; whoever waits goes as soon as there is room', () => {
    const fleet = lab({ targets: [] });
    fleet.sync('docker', { maxInFlight: 3 });
    const names = many(10);
    for (const name of names) fleet.declare(name);
    fleet.drain();
    for (let done = 0; done < 10; done += 1) {
      assert.equal(atWork(fleet).length, Math.min(3, 10 - done));
      fleet.succeed(first(atWork(fleet)));
      fleet.drain();
    }
    assert.deepEqual(new Set(names.map((name) => fleet.phase(name))), new Set(['RUNNING']));
  });

  test('each target has its own; the policy of the fleet overrides them all', () => {
    const fleet = lab({ targets: [] });
    fleet.sync('docker', { maxInFlight: 2 });
    fleet.sync('box', { maxInFlight: 1 });
    for (const name of many(4, 'd')) fleet.declare(name);
    for (const name of many(4, 'x')) fleet.declare(name, { target: 'box' });
    fleet.drain();
    assert.deepEqual(atWork(fleet), ['d-00', 'd-01', 'x-00']);
    fleet.policy({ maxInFlight: 3 });
    fleet.drain();
    assert.deepEqual(atWork(fleet), ['d-00', 'd-01', 'd-02', 'x-00', 'x-01', 'x-02']);
  });

  test('wake goes before heal, heal before update, update before create', () => {
    const { fleet } = fleetOf(0);
    fleet.declare('update', {}, 'r1');
    fleet.declare('heal', {}, 'r1');
    fleet.declare('wake', lazy(), 'r1');
    fleet.settle();
    fleet.policy({ maxInFlight: 1 });
    fleet.declare('create', {}, 'r2');
    fleet.declare('update', { run: { image: 'bot:2' } }, 'r2');
    fleet.exits('heal');
    fleet.command('wake', 'wake');
    const order: string[] = [];
    for (let at = 0; at < 4; at += 1) {
      fleet.drain();
      order.push(...atWork(fleet));
      fleet.succeed(first(atWork(fleet)));
    }
    assert.deepEqual(order, ['wake', 'heal', 'update', 'create']);
  });

  test('among equals, who waits longest goes first; among those, the name decides', () => {
    const fleet = lab({ targets: [] });
    fleet.sync('docker', { maxInFlight: 1 });
    for (const name of ['m', 'z', 'c']) {
      fleet.declare(name);
      fleet.drain();
    }
    fleet.declare('b');
    fleet.declare('a');
    const order: string[] = [];
    for (let at = 0; at < 5; at += 1) {
      fleet.drain();
      order.push(first(atWork(fleet)));
      fleet.succeed(first(atWork(fleet)));
    }
    assert.deepEqual(order, ['m', 'z', 'c', 'b', 'a']);
  });

  test('L84 stopping has a budget of its own: a fleet busy with creating can stop a runaway', () => {
    const { fleet, names } = fleetOf(2);
    fleet.policy({ maxInFlight: 1 });
    for (const name of many(5, 'new')) fleet.declare(name);
    fleet.drain();
    for (const name of names) fleet.command(name, 'stop');
    fleet.drain();
    assert.deepEqual(atWork(fleet), ['n-00', 'new-00']);
    assert.equal(fleet.hold('n-01'), 'budget');
    assert.equal(fleet.phase('n-01'), 'PENDING');
  });

  test('L84 nor do a prune of many or those that fall asleep keep a runaway from being stopped', () => {
    const { fleet, names } = fleetOf(4);
    fleet.declare('runaway');
    for (const name of ['z-0', 'z-1']) fleet.declare(name, lazy());
    fleet.settle();
    for (const name of ['z-0', 'z-1']) fleet.command(name, 'wake');
    fleet.settle();
    fleet.policy({ maxInFlight: 1 });
    for (const name of names) fleet.delete(name, { prune: true });
    for (const name of ['z-0', 'z-1']) fleet.command(name, 'sleep');
    fleet.drain();
    assert.deepEqual(atWork(fleet).length, 1);
    fleet.command('runaway', 'stop');
    fleet.drain();
    assert.equal(fleet.operation('runaway'), 'stop');
    assert.equal(fleet.operation('n-01') ?? fleet.operation('n-00'), 'destroy');
  });

  test('no way of ending an operation leaks its room', () => {
    const fleet = lab({ targets: [] });
    fleet.sync('docker', { maxInFlight: 1, graceMs: 1_000 });
    for (const end of ['succeed', 'fail', 'aborted', 'timed-out', 'abandon', 'owner', 'delete'] as const) {
      fleet.declare('a');
      fleet.drain();
      assert.equal(fleet.operation('a') !== null, true, end);
      switch (end) {
        case 'succeed':
          fleet.succeed('a');
          break;
        case 'fail':
          fleet.fail('a');
          break;
        case 'abandon':
          fleet.advance(61_000);
          break;
        case 'owner':
          fleet.own();
          fleet.sync('docker', { maxInFlight: 1, graceMs: 1_000 });
          break;
        case 'delete':
          break;
        default:
          fleet.end('a', end);
      }
      fleet.delete('a', { forget: true });
      fleet.drain();
      fleet.advance(10_000);
      assert.equal(fleet.state.instances.size, 0, end);
      assert.deepEqual(fleet.state.targets.get('docker')?.inFlight, { run: 0, stop: 0 }, end);
    }
  });

  test('L61 ten wakes are one start', () => {
    const fleet = lab();
    fleet.declare('a', lazy());
    fleet.settle();
    for (let at = 0; at < 10; at += 1) {
      fleet.command('a', 'wake');
      fleet.put({ type: 'work.began', ...fleet.of('a'), data: {} });
      fleet.drain();
    }
    fleet.settle();
    assert.equal(decided(fleet, 'a').filter((type) => type === 'start').length, 1);
    assert.equal(outlook(fleet, 'a').phase, 'RUNNING');
    assert.equal(phases(fleet, 'a').filter((phase) => phase === 'RUNNING').length, 1);
  });

  test('healing is never starved by updates, nor an update by creations, on a full target', () => {
    const { fleet, names } = fleetOf(3);
    fleet.policy({ maxInFlight: 1 });
    for (const name of many(20, 'new')) fleet.declare(name, {}, 'r1');
    fleet.drain();
    fleet.exits(first(names));
    fleet.drain();
    fleet.succeed(first(atWork(fleet)));
    fleet.drain();
    assert.deepEqual(atWork(fleet), [first(names)]);
  });
});
