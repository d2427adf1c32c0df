import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkEverything, checkReplay, checkText, logChecker } from '../../src/core/audit.ts';
import { decide, type Decision } from '../../src/core/decide.ts';
import type { DecidedAction, StoredEvent } from '../../src/core/events.ts';
import { emptyState } from '../../src/core/evolve.ts';
import { checkDecision, checkInvariants, INVARIANTS, type Violation } from '../../src/core/invariants.ts';
import type { Instance } from '../../src/core/model.ts';
import { replay } from '../../src/core/replay.ts';
import { freeze } from '../../src/core/snapshot.ts';
import { plan } from '../../src/core/tick.ts';
import { BEATS, config, lab, type Lab, lazy, plugin } from '../support/fleet.ts';
import { play, stories } from '../support/stories.ts';

/** Two that run, one that sleeps; nothing dirty. */
function quiet(): Lab {
  const fleet = lab();
  fleet.declare('a', { heartbeat: BEATS, config: config(1), plugins: [plugin('git+file:///x#v1')] });
  fleet.declare('b');
  fleet.declare('lazy', lazy());
  fleet.up('a');
  return fleet;
}

const after = (fleet: Lab, withAgenda = true): readonly Violation[] =>
  checkInvariants(fleet.state, fleet.now, fleet.state.instances.keys(), withAgenda ? fleet.agenda : null);

const numbers = (violations: readonly Violation[]): readonly number[] =>
  [...new Set(violations.map(({ invariant }) => invariant))].sort((a, b) => a - b);

const nothing = (fleet: Lab): Decision => decide(fleet.state, fleet.now, []);

const action = (inst: Instance, type: DecidedAction['type'], more: Partial<DecidedAction> = {}): DecidedAction => ({
  instance: inst.name,
  uid: inst.uid,
  type,
  rule: 'start',
  facts: [],
  operation: `${inst.uid}#9`,
  concern: 'run',
  ...more,
});

test('there are thirteen, numbered in order, each with its sentence', () => {
  assert.deepEqual(
    INVARIANTS.map(({ number }) => number),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13],
  );
  for (const { sentence } of INVARIANTS) assert.match(sentence, /^[A-Z].*\.$/);
});

test('no history breaks any of them, after any tick, and nothing is miscounted', () => {
  fc.assert(
    fc.property(stories(), (story) => {
      const check = logChecker();
      const { log } = play(story, (fleet) => {
        const planned = plan(fleet.state, fleet.agenda, fleet.now).decision;
        assert.deepEqual(checkDecision(fleet.state, planned), []);
        fleet.tick();
        // Two that hold one ref are what the world did; that both are held is what the gates do about it.
        assert.deepEqual(
          after(fleet).filter(({ invariant }) => invariant !== 3),
          [],
        );
        assert.deepEqual(
          checkEverything(fleet.state, fleet.now, fleet.agenda).filter(({ invariant }) => invariant !== 3),
          [],
        );
      });
      assert.deepEqual(
        log.flatMap((event) => check(event)),
        [],
      );
    }),
    { numRuns: 500 },
  );
});

test('the check costs what was looked at: nobody else is found', () => {
  const fleet = quiet();
  fleet.inst('a').phase = 'ERROR';
  assert.deepEqual(checkInvariants(fleet.state, fleet.now, [fleet.inst('b').uid], fleet.agenda), []);
  assert.deepEqual(checkInvariants(fleet.state, fleet.now, ['gone'], fleet.agenda), []);
});

// ── each broken on purpose ──────────────────────────────────────────────────────────────────────────────────────────

test('1: a second operation for one that has one, and one of another epoch or number, are found', () => {
  const fleet = quiet();
  fleet.exits('b');
  fleet.tick();
  const b = fleet.inst('b');
  assert.deepEqual(numbers(checkDecision(fleet.state, { ...nothing(fleet), actions: [action(b, 'restart')] })), [1]);
  const a = fleet.inst('a');
  assert.deepEqual(
    numbers(checkDecision(fleet.state, { ...nothing(fleet), actions: [action(a, 'restart'), action(a, 'probe')] })),
    [1],
  );
  assert.deepEqual(numbers(after(fleet)), []);
  b.operations += 1;
  assert.deepEqual(numbers(after(fleet)), [1]);
  b.operations -= 1;
  fleet.state.epoch += 1;
  assert.deepEqual(numbers(after(fleet)), [1]);
});

test('2: an operation past its deadline and grace is found, and one without a deadline', () => {
  const fleet = quiet();
  fleet.exits('b');
  fleet.tick();
  const operation = fleet.inst('b').operation!;
  assert.deepEqual(
    numbers(checkInvariants(fleet.state, operation.deadlineAt + operation.graceMs, [fleet.inst('b').uid])),
    [],
  );
  const [late] = checkInvariants(fleet.state, operation.deadlineAt + operation.graceMs + 1, [fleet.inst('b').uid]);
  assert.deepEqual([late?.invariant, late?.recovery, late?.instance], [2, 'abort', 'b']);
  assert.match(late?.message ?? '', /1 ms past its deadline and grace/);
  fleet.inst('b').operation = { ...operation, abort: { at: fleet.now, reason: 'stop' } };
  assert.deepEqual(
    numbers(checkInvariants(fleet.state, fleet.now + operation.graceMs + 1, [fleet.inst('b').uid])),
    [2],
  );
  fleet.inst('b').operation = { ...operation, deadlineAt: Number.POSITIVE_INFINITY };
  assert.deepEqual(numbers(after(fleet)), [2]);
});

test('3: two that hold one resource are both found, and both to be held', () => {
  const fleet = quiet();
  fleet.seen('b', 'running', { ref: fleet.inst('a').resource?.ref ?? '' });
  fleet.drain();
  const found = after(fleet);
  assert.deepEqual(
    found.map(({ invariant, instance, recovery }) => [invariant, instance, recovery]),
    [
      [3, 'a', 'hold'],
      [3, 'b', 'hold'],
    ],
  );
});

test('4: a start for what should be stopped is found, before and after', () => {
  const fleet = quiet();
  fleet.command('b', 'stop');
  fleet.settle();
  const b = fleet.inst('b');
  for (const type of ['start', 'provision', 'restart', 'update'] as const) {
    assert.ok(numbers(checkDecision(fleet.state, { ...nothing(fleet), actions: [action(b, type)] })).includes(4), type);
  }
  fleet.put({
    type: 'tick.decided',
    data: {
      now: fleet.now,
      logic: 1,
      actions: [action(b, 'start', { operation: `${b.uid}#${b.operations + 1}`, deadlineAt: fleet.now + 1 })],
      transitions: [],
      holds: [],
    },
  });
  assert.deepEqual(numbers(after(fleet)), [4]);
});

test('5: ERROR without an error, or with an empty one, is found', () => {
  const fleet = quiet();
  const b = fleet.inst('b');
  b.phase = 'ERROR';
  assert.ok(numbers(after(fleet)).includes(5));
  fleet.exits('b', { code: 78 });
  fleet.drain();
  assert.deepEqual([fleet.phase('b'), numbers(after(fleet))], ['ERROR', []]);
  const run = b.concerns.run!;
  b.concerns.run = { ...run, error: { ...run.error!, message: '' } };
  assert.deepEqual(numbers(after(fleet)), [5]);
});

test('6: a provision of what exists is found, before and after', () => {
  const fleet = quiet();
  const b = fleet.inst('b');
  assert.deepEqual(numbers(checkDecision(fleet.state, { ...nothing(fleet), actions: [action(b, 'provision')] })), [6]);
  fleet.put({
    type: 'tick.decided',
    data: {
      now: fleet.now,
      logic: 1,
      actions: [action(b, 'provision', { operation: `${b.uid}#${b.operations + 1}`, deadlineAt: fleet.now + 1 })],
      transitions: [],
      holds: [],
    },
  });
  assert.deepEqual(numbers(after(fleet)), [6]);
});

test('7: one that would act and is not looked at is found, to be marked dirty', () => {
  const fleet = quiet();
  fleet.exits('b');
  fleet.inst('b').phase = 'PENDING';
  assert.deepEqual(numbers(after(fleet)), []); // dirty: the next tick looks
  fleet.state.dirty.clear();
  const [stuck] = after(fleet);
  assert.deepEqual([stuck?.invariant, stuck?.instance, stuck?.recovery], [7, 'b', 'mark-dirty']);
  assert.match(stuck?.message ?? '', /row "start" would start, and nobody looks/);
});

test('7: a hold until a time at which nobody looks is found, and one that stands in no line', () => {
  const fleet = quiet();
  const b = fleet.inst('b');
  b.hold = { reason: 'backoff', rule: 'start', until: fleet.now + 5_000, detail: 'run' };
  assert.match(after(fleet)[0]?.message ?? '', /until \d+, and is not looked at then/);
  assert.deepEqual(after(fleet, false), []); // without the agenda it cannot be known
  b.hold = { reason: 'budget', rule: 'start', until: null, detail: 'docker' };
  assert.match(after(fleet)[0]?.message ?? '', /stands in no line/);
  b.hold = { reason: 'quarantined', rule: 'start', until: null, detail: 'event 3' };
  assert.deepEqual(after(fleet), []);
});

test('7: a phase that waits for nothing is found; one that awaits a fact is not', () => {
  const fleet = quiet();
  const b = fleet.inst('b');
  b.phase = 'PENDING';
  assert.match(after(fleet)[0]?.message ?? '', /shown as PENDING, is RUNNING by row "running", and nobody looks/);
  b.phase = 'RUNNING';
  fleet.degraded('b');
  fleet.drain();
  assert.deepEqual([fleet.phase('b'), after(fleet)], ['DEGRADED', []]);
  fleet.put({ type: 'target.stale', data: { target: 'docker', message: 'no answer' } });
  fleet.drain();
  assert.deepEqual([fleet.phase('b'), after(fleet)], ['UNKNOWN', []]);
});

test('7: an alarm that rings too late is found when everything is looked at', () => {
  const fleet = quiet();
  fleet.declare('c', { heartbeat: BEATS });
  fleet.settle();
  assert.deepEqual(checkEverything(fleet.state, fleet.now, fleet.agenda), []);
  const late = { alarm: () => fleet.now + 999_999, waits: () => false } as unknown as Lab['agenda'];
  const found = checkEverything(fleet.state, fleet.now, late);
  assert.ok(
    found.some(
      ({ invariant, instance, message }) => invariant === 7 && instance === 'c' && /it is looked at/.test(message),
    ),
  );
});

test('8: a flap said of one that sleeps is found; that it is missing is always said', () => {
  const fleet = quiet();
  fleet.command('lazy', 'wake');
  fleet.settle();
  fleet.command('lazy', 'sleep');
  fleet.settle();
  const inst = fleet.inst('lazy');
  assert.equal(inst.phase, 'SLEEPING');
  const flap = {
    seq: 1,
    at: fleet.now,
    exit: null,
    incarnation: inst.endingIncarnation,
    kind: 'container_stopped',
  } as const;
  assert.deepEqual(numbers(checkDecision(fleet.state, { ...nothing(fleet), flaps: [{ inst, flap }] })), [8]);
  fleet.seen('lazy', 'missing');
  const planned = plan(fleet.state, fleet.agenda, fleet.now).decision;
  assert.deepEqual([planned.flaps.length, checkDecision(fleet.state, planned)], [1, []]);
});

test('9: more operations than the budget has room for are found, and miscounted budgets', () => {
  const fleet = lab({ policy: { maxInFlight: 1 } });
  fleet.declare('a');
  fleet.declare('b');
  const planned = plan(fleet.state, fleet.agenda, fleet.now).decision;
  assert.deepEqual(checkDecision(fleet.state, planned), []);
  const both = [action(fleet.inst('a'), 'provision'), action(fleet.inst('b'), 'provision')];
  assert.deepEqual(numbers(checkDecision(fleet.state, { ...planned, actions: both })), [9]);
  fleet.settle();
  assert.deepEqual(checkEverything(fleet.state, fleet.now, fleet.agenda), []);
  fleet.state.targets.get('docker')!.inFlight.run = 1;
  assert.deepEqual(numbers(checkEverything(fleet.state, fleet.now, fleet.agenda)), [9]);
});

test('9: more disruption than the rollout has room for is found', () => {
  const fleet = lab();
  for (const name of ['a', 'b']) fleet.declare(name);
  fleet.settle();
  for (const name of ['a', 'b']) fleet.declare(name, { run: { image: 'bot:2' } }, 'rev-2');
  const actions = ['a', 'b'].map((name) => action(fleet.inst(name), 'update', { rolloutUntil: fleet.now }));
  assert.deepEqual(numbers(checkDecision(fleet.state, { ...nothing(fleet), actions })), [9]);
});

test('10: RUNNING that is not proved is found, whatever is missing from the proof', () => {
  const breaks: readonly [string, (inst: Instance) => void][] = [
    ['seen', (inst) => (inst.resource = { ...inst.resource!, state: 'stopped' })],
    ['another spec', (inst) => (inst.hashes = { ...inst.hashes, infra: '1:other' })],
    ['config', (inst) => (inst.hashes = { ...inst.hashes, config: '1:other' })],
    ['plugins', (inst) => (inst.plugins = [])],
    ['silent', (inst) => (inst.agent = { ...inst.agent!, heard: 'silent' })],
  ];
  for (const [what, broken] of breaks) {
    const fleet = quiet();
    assert.deepEqual([fleet.phase('a'), after(fleet)], ['RUNNING', []]);
    broken(fleet.inst('a'));
    const found = after(fleet).find(({ invariant }) => invariant === 10);
    assert.match(found?.message ?? 'nothing found', new RegExp(what));
  }
});

test('11: a gap, an older epoch and an older generation in the log are found', () => {
  const fleet = quiet();
  fleet.declare('b', { run: { image: 'bot:2' } });
  const check = (log: readonly StoredEvent[]): readonly string[] =>
    log.flatMap(logChecker()).map(({ message }) => message);
  assert.deepEqual(check(fleet.log), []);
  assert.match(check([...fleet.log.slice(0, 3), ...fleet.log.slice(4)])[0] ?? '', /event 5 follows 3/);
  const last = fleet.log.at(-1)!;
  const next = { ...last, seq: last.seq + 1 };
  assert.match(
    check([...fleet.log, { ...next, type: 'owner.started', data: { epoch: 0, owner: 'o', logic: 1 } }])[0] ?? '',
    /begins epoch 0 after epoch 1/,
  );
  const older = { ...fleet.events('spec.applied')[0]!, uid: fleet.inst('b').uid, seq: next.seq, at: next.at };
  assert.match(check([...fleet.log, older])[0] ?? '', /declares generation 1 after 2/);
  assert.match(check([...fleet.log, { ...next, at: last.at - 5 }])[0] ?? '', /5 ms before/);
});

test('12: a decision that this build would not make is found; a what-if is none', () => {
  const fleet = quiet();
  const log = fleet.log.map((event): StoredEvent =>
    event.type === 'tick.decided'
      ? { ...event, data: { ...event.data, actions: event.data.actions.map((one) => ({ ...one, rule: 'other' })) } }
      : event,
  );
  assert.deepEqual(checkReplay(replay(emptyState('lab'), fleet.log)), []);
  const found = checkReplay(replay(emptyState('lab'), log));
  assert.ok(found.length > 0 && found.every(({ invariant }) => invariant === 12));
  assert.deepEqual(checkReplay(replay(emptyState('lab'), log, { policy: { giveUpAfter: 1 } })), []);
});

test("13: a secret's value is found in a text, raw or as JSON writes it, and never repeated", () => {
  const secrets = new Map([
    ['llm', 'sk-"quoted"-12345'],
    ['short', 'abc'],
  ]);
  const fleet = quiet();
  assert.deepEqual(checkText(freeze(fleet.state), secrets, 'the snapshot'), []);
  fleet.degraded('b', 'my key sk-"quoted"-12345 is refused');
  const [found] = checkText(freeze(fleet.state), secrets, 'the snapshot');
  assert.deepEqual(found, { invariant: 13, message: 'the value of secret "llm" is in the snapshot' });
  assert.equal(checkText('key=sk-"quoted"-12345', secrets, 'a log line').length, 1);
  assert.deepEqual(checkText('abc', secrets, 'a log line'), []);
});
