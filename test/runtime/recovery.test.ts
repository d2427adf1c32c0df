/** What is found broken recovers as it is stated (DESIGN §14), by a fact in the log; and is told once, not with every tick (L50). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide } from '../../src/core/decide.ts';
import type { StoredEvent } from '../../src/core/events.ts';
import { emptyState, evolve } from '../../src/core/evolve.ts';
import { replay } from '../../src/core/replay.ts';
import { TargetError } from '../../src/ports/target.ts';
import { EPISODE_QUIET_MS, PATROL_EVERY_MS } from '../../src/runtime/limits.ts';
import { readExposition } from '../support/exposition.ts';
import { FLEET, hangs, Stage } from './stage.ts';

const MINUTE_MS = 60_000;

async function broken(stage: Stage): Promise<(StoredEvent & { type: 'invariant.broken' })[]> {
  const events = await stage.store.read(FLEET, { after: 0, limit: 10_000 });
  return events.filter((event) => event.type === 'invariant.broken');
}

async function replaysExactly(stage: Stage): Promise<void> {
  const events = await stage.store.read(FLEET, { after: 0, limit: 10_000 });
  const replayed = replay(emptyState(FLEET), events);
  assert.ok(replayed.kind === 'replay' && replayed.ticks > 3);
  assert.deepEqual(replayed.differences, []);
}

const said = (stage: Stage): number =>
  stage.errors().filter((message) => message.includes('an invariant does not hold')).length;

async function counted(stage: Stage, name: string, invariant: number): Promise<number> {
  const told = readExposition(await stage.control.metrics());
  return told.value(name, { fleet: FLEET, invariant: String(invariant) });
}

/** In backoff, until the target lets it start. */
async function waiting(): Promise<Stage> {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  const failure = { class: 'transient', fault: 'instance', code: 'odd', message: 'not yet' } as const;
  stage.target.before = () => Promise.reject(new TargetError(failure));
  stage.target.exits('a');
  while (stage.inst('a').hold?.reason !== 'backoff') await stage.pass(1_000);
  stage.target.before = async () => undefined;
  return stage;
}

test('invariant 7: one whose alarm was lost is found, marked dirty by a fact, and healed; the log replays', async () => {
  const stage = await waiting();
  const { uid } = stage.inst('a');
  stage.fleet.loop.agenda.forget(uid);
  await stage.pass(PATROL_EVERY_MS + 20_000);
  assert.equal(stage.inst('a').phase, 'RUNNING');
  const [found, ...more] = await broken(stage);
  assert.deepEqual(more, []);
  assert.deepEqual([found?.uid, found?.data.invariant, found?.data.recovery], [uid, 7, 'mark-dirty']);
  assert.equal(said(stage), 1);
  assert.ok((await counted(stage, 'holdfast_invariant_violations_total', 7)) >= 1);
  await stage.pass(2 * EPISODE_QUIET_MS);
  assert.equal(await counted(stage, 'holdfast_invariants_broken', 7), 0);
  await replaysExactly(stage);
});

test('invariant 2: an operation past its end that nobody looks at is aborted, and tried anew; the log replays', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  let hung = 0;
  stage.target.before = (_verb, _subject, signal) => {
    hung += 1;
    return hung === 1 ? hangs(signal) : Promise.resolve();
  };
  await stage.apply(['a']);
  await stage.pass(1_000);
  const { uid, operation } = stage.inst('a');
  assert.ok(operation !== null);
  stage.fleet.loop.agenda.forget(uid);
  await stage.pass(3 * MINUTE_MS);
  const [found] = await broken(stage);
  assert.equal(found?.data.invariant, 2);
  assert.equal(found.data.recovery, 'abort');
  assert.equal(stage.inst('a').phase, 'RUNNING');
  assert.notEqual(stage.inst('a').operations, 1);
  await replaysExactly(stage);
});

test('invariant 2: an operation without an end gets one by the fact, and the next decision aborts it', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  stage.target.before = (_verb, _subject, signal) => hangs(signal);
  await stage.apply(['a']);
  await stage.pass(1_000);
  const events = await stage.store.read(FLEET, { after: 0, limit: 10_000 });
  const state = emptyState(FLEET);
  for (const event of events) evolve(state, event);
  const inst = state.instances.get(stage.inst('a').uid);
  assert.ok(inst?.operation != null);
  inst.operation = { ...inst.operation, deadlineAt: Number.POSITIVE_INFINITY };
  const at = state.at + 60 * MINUTE_MS;
  assert.deepEqual(decide(state, at, [inst.uid]).actions, []);
  const data = { invariant: 2, message: 'it has no deadline', recovery: 'abort' } as const;
  evolve(state, { type: 'invariant.broken', instance: 'a', uid: inst.uid, data, seq: state.seq + 1, at, v: 1 });
  assert.deepEqual(
    decide(state, at + 1, state.dirty).actions.map(({ type, reason }) => [type, reason]),
    [['abort', 'deadline']],
  );
});

test('L50 invariant 3: two under one ref are held, told once an hour long, and let go when one is', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  const [one, two] = ['a', 'b'].map((name) => stage.target.held.get(stage.inst(name).uid));
  assert.ok(one !== undefined && two !== undefined);
  stage.target.held.set(two.uid, { ...two, look: { ...two.look, ref: one.look.ref } });
  await stage.pass(3_000);
  // Something happens to them all the while, so that each tick finds it again.
  for (let minute = 0; minute < 60; minute += 1) {
    await stage.during(stage.control.command(FLEET, 'a', 'reconcile', { token: 'test', via: 'test' }));
    await stage.during(stage.control.command(FLEET, 'b', 'restart', { token: 'test', via: 'test' }));
    await stage.pass(MINUTE_MS);
  }
  assert.equal(stage.inst('b').hold?.reason, 'conflict');
  assert.ok((await counted(stage, 'holdfast_invariant_violations_total', 3)) > 60);
  assert.equal(await counted(stage, 'holdfast_invariants_broken', 3), 2);
  assert.equal((await broken(stage)).length, 2, 'one for each of the two');
  assert.equal(said(stage), 2);
  assert.deepEqual(new Set((await broken(stage)).map(({ data }) => data.recovery)), new Set(['hold']));

  stage.target.held.set(two.uid, two);
  await stage.pass(2 * EPISODE_QUIET_MS);
  assert.equal(await counted(stage, 'holdfast_invariants_broken', 3), 0);
  assert.equal(stage.inst('b').phase, 'RUNNING');
  await replaysExactly(stage);
});

test('a fleet that is well is patrolled for an hour, and nothing is found', async () => {
  const stage = await waiting();
  await stage.pass(60 * MINUTE_MS);
  assert.deepEqual(await broken(stage), []);
  assert.deepEqual(stage.errors(), []);
});
