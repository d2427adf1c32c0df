import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sameDecided } from '../../src/core/compare.ts';
import { decide } from '../../src/core/decide.ts';
import type { DecidedAction, StoredEvent } from '../../src/core/events.ts';
import { emptyState } from '../../src/core/evolve.ts';
import { LOGIC_VERSION } from '../../src/core/limits.ts';
import type { FleetState, JsonObject } from '../../src/core/model.ts';
import { Replay, replay, type Replayed, type ReplayOptions, type ReplayResult } from '../../src/core/replay.ts';
import { freeze, thaw } from '../../src/core/snapshot.ts';
import { plan, toEvents } from '../../src/core/tick.ts';
import { BEATS, hashesOf, lab, type Lab, spec, T0 } from '../support/fleet.ts';
import { play, stories, type Story } from '../support/stories.ts';

const YEAR_MS = 365 * 24 * 3_600_000;

/** As it comes out of a store: through JSON, nothing shared with what decided it. */
const stored = (log: readonly StoredEvent[]): StoredEvent[] => JSON.parse(JSON.stringify(log)) as StoredEvent[];

function done(result: ReplayResult): Replayed {
  assert.ok(result.kind !== 'refused', result.kind === 'refused' ? result.because : '');
  return result;
}

const replayed = (fleet: Lab, options: ReplayOptions = {}): Replayed =>
  done(replay(emptyState('lab'), stored(fleet.log), options));

const refusalOf = (fleet: Lab, options: ReplayOptions): string => {
  const result = replay(emptyState('lab'), stored(fleet.log), options);
  return result.kind === 'refused' ? result.because : `not refused: ${result.kind}`;
};

/** A life with a crash, a silence and a stop in it. */
function story(): Lab {
  const fleet = lab({ policy: { giveUpAfter: 3 } });
  fleet.declare('a', { heartbeat: BEATS });
  fleet.declare('b');
  fleet.up('a');
  fleet.exits('a');
  fleet.up('a');
  fleet.advance(60_000);
  fleet.report('a', 'silent');
  fleet.advance(60_000);
  fleet.settle();
  fleet.report('a', 'first');
  fleet.command('b', 'stop');
  fleet.settle();
  return fleet;
}

// ── the equivalence that it rests on ────────────────────────────────────────────────────────────────────────────────

test('deciding what is dirty, due or in line decides what deciding everything would', () => {
  fc.assert(
    fc.property(stories(), (told) => {
      play(told, ({ state, agenda, now }) => {
        const some = toEvents(plan(state, agenda, now).decision);
        const all = toEvents(decide(state, now, state.instances.keys()));
        assert.deepEqual(some, all);
      });
    }),
    { numRuns: 1_000 },
  );
});

/** What the next tick decides is what looking at everybody would decide. */
function agrees({ state, agenda, now }: Lab): void {
  assert.deepEqual(toEvents(plan(state, agenda, now).decision), toEvents(decide(state, now, state.instances.keys())));
}

/** `a`, `b` and `c` run on a target with room for one operation at a time; `far` on another. */
function narrow(): Lab {
  const fleet = lab({ targets: ['docker', 'box2'] });
  for (const name of ['a', 'b', 'c']) fleet.declare(name);
  fleet.declare('far', { target: 'box2' });
  fleet.settle();
  fleet.sync('docker', { maxInFlight: 1 });
  fleet.drain();
  return fleet;
}

const NEXT = { run: { image: 'bot:2' } };

test('who waits for the rollout with one wish and for the budget with another is looked at when either is free', () => {
  const fleet = narrow();
  fleet.declare('b', NEXT, 'r2');
  fleet.drain();
  fleet.declare('a', NEXT, 'r2');
  fleet.command('a', 'restart');
  fleet.drain();
  assert.deepEqual([fleet.operation('b'), fleet.hold('a')], ['update', 'rollout']);
  fleet.succeed('b');
  agrees(fleet);
  fleet.tick();
  assert.equal(fleet.operation('a'), 'restart');
});

test('which room is short is not said anew for all in line whenever it changes', () => {
  const fleet = narrow();
  fleet.exits('c');
  fleet.drain();
  fleet.declare('a', NEXT, 'r2');
  fleet.drain();
  assert.deepEqual([fleet.operation('c'), fleet.hold('a')], ['start', 'budget']);
  fleet.declare('far', NEXT, 'r2');
  agrees(fleet);
  fleet.tick();
  assert.equal(fleet.operation('far'), 'update');
  agrees(fleet);
});

test('who stands in line and wants no more does not take the turn of the next', () => {
  const fleet = narrow();
  fleet.exits('c');
  fleet.drain();
  for (const name of ['a', 'b']) {
    fleet.exits(name);
    fleet.drain();
    assert.equal(fleet.hold(name), 'budget');
  }
  fleet.succeed('c');
  fleet.command('a', 'stop');
  agrees(fleet);
  fleet.tick();
  assert.deepEqual([fleet.operation('a'), fleet.operation('b')], [null, 'start']);
});

test('a new rollout is news to all who wait for the old one', () => {
  const fleet = narrow();
  fleet.declare('a', NEXT, 'r2');
  fleet.drain();
  fleet.declare('b', NEXT, 'r2');
  fleet.fail('a');
  fleet.drain();
  assert.equal(fleet.hold('b'), 'rollout-failed');
  const { uid, hashes } = fleet.inst('a');
  fleet.put({ type: 'secret.rotated', data: { secret: 'llm', version: 2, hashes: { [uid]: hashes } } });
  agrees(fleet);
  fleet.drain();
  assert.notEqual(fleet.hold('b'), 'rollout-failed');
});

test('one that comes back from a mass loss changes nothing of the hold of the others', () => {
  const fleet = lab();
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  for (const name of names) fleet.declare(name);
  fleet.settle();
  for (const name of names) fleet.exits(name);
  fleet.drain();
  assert.equal(fleet.hold('h'), 'blast-radius');
  fleet.seen('a', 'running');
  agrees(fleet);
  fleet.tick();
  agrees(fleet);
});

test('L65: every decision of any history is reproduced from the log alone, though ticks that decided nothing are not in it', () => {
  fc.assert(
    fc.property(stories(), (told) => {
      const fleet = play(told);
      const result = replayed(fleet);
      assert.deepEqual(result.differences, []);
      assert.equal(result.ticks, fleet.events('tick.decided').length);
    }),
    { numRuns: 500 },
  );
});

test('a replay from a snapshot at any point has no differences either', () => {
  fc.assert(
    fc.property(stories(), fc.nat(), (told, where) => {
      const { log, state } = play(told);
      // Snapshots are taken between transactions: never between a tick and its flaps.
      let at = where % (log.length + 1);
      while (log[at]?.type === 'flap.observed') at += 1;
      const half = done(replay(emptyState('lab'), log.slice(0, at)));
      const run = new Replay(emptyState('lab'));
      for (const event of log.slice(0, at)) run.feed(event);
      const tail = new Replay(thaw(freeze(run.state), LOGIC_VERSION));
      for (const event of stored(log.slice(at))) tail.feed(event);
      const result = done(tail.result());
      assert.deepEqual([half.differences, result.differences], [[], []]);
      assert.equal(freeze(tail.state), freeze(state));
    }),
    { numRuns: 300 },
  );
});

test('L62: a replay works on a state of its own and by the recorded time; the live fleet does not notice', () => {
  const fleet = story();
  const before = freeze(fleet.state);
  const alarmBefore = fleet.agenda.nextAt;
  fleet.now += YEAR_MS;
  const result = replayed(fleet);
  assert.deepEqual(result.differences, []);
  assert.ok(result.actions.every(({ at }) => at < T0 + YEAR_MS));
  assert.equal(freeze(fleet.state), before);
  assert.equal(fleet.agenda.nextAt, alarmBefore);
});

test('L63: what a dry run shows is all that the next tick does, and showing it changes nothing', () => {
  fc.assert(
    fc.property(stories(), (told) => {
      const fleet = play(told);
      const before = freeze(fleet.state);
      const shown = toEvents(plan(fleet.state, fleet.agenda, fleet.now).decision);
      const shownAgain = toEvents(plan(fleet.state, fleet.agenda, fleet.now).decision);
      assert.equal(freeze(fleet.state), before);
      const from = fleet.log.length;
      fleet.tick();
      const written = fleet.log.slice(from).map(({ seq: _seq, at: _at, v: _v, ...event }) => event);
      assert.deepEqual([shown, shownAgain], [written, written]);
    }),
    { numRuns: 300 },
  );
});

test('L76: a history that happens a year later, or earlier, is decided in the same way', () => {
  const shape = (told: Story, at: number): unknown =>
    play(told, undefined, at).log.map((event) => {
      if (event.type !== 'tick.decided') return [event.type, event.uid, event.at - at];
      const { actions, transitions, holds } = event.data;
      const relative = (time: number | undefined | null): number | null => (time == null ? null : time - at);
      return [
        event.at - at,
        actions.map(({ deadlineAt, rolloutUntil, ...rest }) => [rest, relative(deadlineAt), relative(rolloutUntil)]),
        transitions,
        holds.map(({ uid, hold }) => [uid, hold?.reason, hold?.rule, relative(hold?.until)]),
      ];
    });
  fc.assert(
    fc.property(stories(), fc.constantFrom(-YEAR_MS, YEAR_MS), (told, by) => {
      assert.deepEqual(shape(told, T0 + by), shape(told, T0));
    }),
    { numRuns: 200 },
  );
});

// ── differences ─────────────────────────────────────────────────────────────────────────────────────────────────────

const tickWith = (fleet: Lab, type: DecidedAction['type']): StoredEvent & { type: 'tick.decided' } => {
  const found = fleet.events('tick.decided').find(({ data }) => data.actions.some((action) => action.type === type));
  assert.ok(found !== undefined);
  return found;
};

test('a decision that was recorded otherwise is a difference at its seq, and one difference does not cascade', () => {
  const fleet = story();
  const tick = tickWith(fleet, 'restart');
  const log = stored(fleet.log).map((event) =>
    event.seq === tick.seq && event.type === 'tick.decided'
      ? { ...event, data: { ...event.data, actions: event.data.actions.map((action) => ({ ...action, attempt: 99 })) } }
      : event,
  );
  const result = done(replay(emptyState('lab'), log));
  assert.equal(result.differences.length, 1);
  const [difference] = result.differences;
  assert.deepEqual([difference?.seq, difference?.instance, difference?.intended], [tick.seq, 'a', false]);
  assert.equal(difference?.recorded.actions[0]?.attempt, 99);
  assert.equal(difference?.computed.actions[0]?.attempt, 2);
});

test('a flap that was never said, and one that was made up, are differences', () => {
  const fleet = story();
  const [flap] = fleet.events('flap.observed');
  assert.ok(flap !== undefined);
  // Without it the log would have a gap: in its place stands an event that nothing rests on.
  const inPlace: StoredEvent = { ...flap, type: 'image.resolved', data: { image: 'x', digest: 'y' } };
  const unsaid = done(replay(emptyState('lab'), stored(fleet.log.map((event) => (event === flap ? inPlace : event)))));
  assert.deepEqual(unsaid.differences[0]?.computed.flaps, ['container_stopped']);
  assert.deepEqual(unsaid.differences[0]?.recorded.flaps, []);
  const madeUp: StoredEvent = { ...flap, data: { ...flap.data, incarnation: 'life-0' } };
  const made = done(replay(emptyState('lab'), stored(fleet.log.map((event) => (event === flap ? madeUp : event)))));
  assert.deepEqual([made.differences[0]?.seq, made.differences[0]?.uid], [flap.seq - 1, flap.uid]);
});

test('every field of an action is compared', () => {
  const action: Required<DecidedAction> = {
    instance: 'a',
    uid: 'u',
    type: 'start',
    rule: 'start',
    facts: [1],
    operation: 'u#1',
    concern: 'run',
    attempt: 1,
    deadlineAt: 1,
    graceMs: 1,
    unstarted: true,
    subject: 's',
    counted: true,
    named: true,
    rolloutUntil: 1,
    reason: 'r',
  };
  const decided = (one: DecidedAction): Parameters<typeof sameDecided>[0] => ({
    actions: [one],
    transitions: [],
    holds: [],
  });
  assert.ok(sameDecided(decided(action), decided({ ...action, facts: [1] })));
  for (const key of Object.keys(action)) {
    const other = { ...action, [key]: key === 'facts' ? [2] : 'other' } as DecidedAction;
    assert.equal(sameDecided(decided(action), decided(other)), false, `${key} is not compared`);
  }
});

test('transitions and holds are compared field by field', () => {
  const empty = { actions: [], transitions: [], holds: [] };
  const transition = { instance: 'a', uid: 'u', from: 'RUNNING', to: 'PENDING', rule: 'start' } as const;
  for (const change of [
    { instance: 'b' },
    { uid: 'v' },
    { from: 'ERROR' as const },
    { to: 'ERROR' as const },
    { rule: 'x' },
  ]) {
    assert.equal(
      sameDecided({ ...empty, transitions: [transition] }, { ...empty, transitions: [{ ...transition, ...change }] }),
      false,
    );
  }
  const hold = { reason: 'backoff', rule: 'start', until: 5, detail: 'run' } as const;
  const held = { instance: 'a', uid: 'u', hold } as const;
  for (const change of [{ reason: 'budget' as const }, { rule: 'x' }, { until: 6 }, { detail: null }]) {
    assert.equal(
      sameDecided({ ...empty, holds: [held] }, { ...empty, holds: [{ ...held, hold: { ...hold, ...change } }] }),
      false,
    );
  }
  assert.equal(sameDecided({ ...empty, holds: [held] }, { ...empty, holds: [{ ...held, hold: null }] }), false);
});

test('a log with a gap is refused, not guessed at', () => {
  const log = stored(story().log);
  assert.throws(() => replay(emptyState('lab'), [...log.slice(0, 3), ...log.slice(4)]), /gapless/);
});

test('asked about one instance, it lists and counts that one alone', () => {
  const fleet = story();
  const all = replayed(fleet);
  const one = replayed(fleet, { instance: 'b' });
  assert.ok(all.actions.some(({ instance }) => instance === 'a'));
  assert.ok(one.actions.length > 0 && one.actions.every(({ instance }) => instance === 'b'));
  assert.equal(one.counts.computed.stop, 1);
  assert.equal(one.counts.computed.restart, undefined);
  assert.deepEqual(one.phases, { RUNNING: 1, STOPPED: 1 });
});

test('lists are bounded, counts are whole', () => {
  const fleet = story();
  const all = replayed(fleet);
  const few = replayed(fleet, { keep: 2 });
  assert.equal(few.actions.length, 2);
  assert.deepEqual(few.counts, all.counts);
});

// ── what if ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('with another policy it is a what-if, labelled open loop, and differs where the policy decides otherwise', () => {
  const fleet = story();
  const result = replayed(fleet, { policy: { onSilent: 'alert' } });
  assert.deepEqual([result.kind, result.openLoop], ['what-if', true]);
  assert.equal(result.counts.recorded.restart, 1);
  assert.equal(result.counts.computed.restart, undefined);
  assert.ok(result.differences.every(({ instance }) => instance === 'a'));
});

test('the tried policy outlives a recorded change of policy', () => {
  const fleet = story();
  fleet.policy({ giveUpAfter: 5 });
  fleet.declare('c', { heartbeat: BEATS });
  fleet.up('c');
  fleet.report('c', 'silent');
  fleet.advance(60_000);
  const result = replayed(fleet, { policy: { onSilent: 'alert' }, instance: 'c' });
  assert.equal(result.counts.recorded.restart, 1);
  assert.equal(result.counts.computed.restart, undefined);
});

test('a fact can be dropped or told otherwise', () => {
  const fleet = story();
  const exit = fleet.events('resource.observed').find(({ data }) => data.state === 'stopped');
  assert.ok(exit !== undefined);
  const without = replayed(fleet, { edits: [{ drop: exit.seq }] });
  assert.equal(without.kind, 'what-if');
  assert.equal((without.counts.recorded.start ?? 0) - (without.counts.computed.start ?? 0), 1);
  assert.equal(without.seq, fleet.state.seq);
  const data = { ...exit.data, exit: { code: 78, signal: null, oom: false, output: null } } as unknown as JsonObject;
  const other = replayed(fleet, { edits: [{ seq: exit.seq, data }] });
  assert.ok(other.differences.some(({ computed }) => computed.transitions.some(({ to }) => to === 'ERROR')));
});

test('what is baked into the facts cannot be tried, and is refused in a sentence', () => {
  const fleet = story();
  const declared = fleet.events('spec.applied')[0];
  assert.ok(declared !== undefined);
  const quicker = spec({ heartbeat: { ...BEATS, silentAfterMs: 1 } });
  const data = { ...declared.data, spec: quicker, hashes: hashesOf(quicker) } as unknown as JsonObject;
  assert.match(
    refusalOf(fleet, { policy: { silentAfter: 5 } as object }),
    /"silentAfter" cannot be tried: .* baked into the recorded facts/,
  );
  assert.match(
    refusalOf(fleet, { edits: [{ seq: declared.seq, data }] }),
    /"heartbeat.silentAfter" was used by those who watched/,
  );
  assert.match(
    refusalOf(fleet, { policy: { giveUpAfer: 5 } as object }),
    /"giveUpAfer" is no part of the policy; it holds giveUpAfter/,
  );
  assert.match(
    refusalOf(fleet, { policy: { rollout: { maxFailure: 5 } } as object }),
    /"rollout.maxFailure" is no part/,
  );
});

test('decisions, broken data, doubled edits and what lies before the snapshot cannot be edited', () => {
  const fleet = story();
  const tick = tickWith(fleet, 'restart');
  assert.match(refusalOf(fleet, { edits: [{ drop: tick.seq }] }), /is a decision \(tick.decided\); edit the facts/);
  assert.match(refusalOf(fleet, { edits: [{ seq: 3, data: {} }] }), /cannot be edited so: target.synced does not hold/);
  assert.match(refusalOf(fleet, { edits: [{ drop: 3 }, { drop: 3 }] }), /edited twice/);
  const half: FleetState = thaw(freeze(fleet.state), LOGIC_VERSION);
  const late = replay(half, [], { edits: [{ drop: 3 }] });
  assert.match(late.kind === 'refused' ? late.because : '', /the replay begins after event/);
});

test('a spec may be told otherwise where nobody judged by it', () => {
  const fleet = story();
  const declared = fleet.events('spec.applied')[0];
  assert.ok(declared !== undefined);
  const alerting = spec({ ...declared.data.spec, onSilent: 'alert' });
  const result = replayed(fleet, {
    edits: [{ seq: declared.seq, data: { ...declared.data, spec: alerting } as unknown as JsonObject }],
  });
  assert.equal(result.counts.computed.restart, undefined);
});
