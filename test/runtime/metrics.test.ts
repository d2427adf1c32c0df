/** What is counted, and that it is what happened: against the whole runtime, and by the real `promtool`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TargetError } from '../../src/ports/target.ts';
import { INSTANCES_WITH_METRICS } from '../../src/observe/limits.ts';
import { promtool } from '../support/promtool.ts';
import { type Exposition, readExposition } from '../support/exposition.ts';
import { BY, FLEET, Stage } from './stage.ts';

const HOUR_MS = 60 * 60_000;
const fleet = FLEET;

const scrape = async (stage: Stage): Promise<Exposition> => readExposition(await stage.control.metrics());

async function started(names: readonly string[], more: { readonly perInstance?: boolean } = {}): Promise<Stage> {
  const stage = new Stage(more);
  await stage.runtime.start();
  await stage.up(names);
  return stage;
}

// ── what is there ───────────────────────────────────────────────────────────────────────────────────────────────────

/** DESIGN §16, and what goes beyond it: family → samples of one fleet that never ticked. */
const EXPECTED: { readonly [family: string]: number } = {
  holdfast_tick_events_drained: 1,
  holdfast_events_drained_total: 1,
  holdfast_actions_total: 19,
  holdfast_effects_total: 36,
  holdfast_invariant_violations_total: 13,
  holdfast_tick_duration_seconds_count: 1,
  holdfast_pending_events: 1,
  holdfast_last_tick_timestamp_seconds: 1,
  holdfast_last_tick_age_seconds: 1,
  holdfast_fleet_owned: 1,
  holdfast_instances: 11,
  holdfast_instances_with_error: 1,
  holdfast_heartbeats_total: 1,
  holdfast_observations_total: 2,
  holdfast_heal_seconds_count: 1,
  holdfast_flaps_total: 5,
  holdfast_holds: 16,
  holdfast_log_head: 1,
  holdfast_orphans: 1,
  holdfast_quarantined: 1,
  holdfast_invariants_broken: 13,
};

test('a fleet that never ticked has every metric, at zero, and its last tick grows old', async () => {
  const stage = new Stage({
    // It is being taken over, and never will be.
    store: (inner) => ({ ...inner, snapshot: () => new Promise(() => undefined) }),
  });
  await stage.store.ensureFleet(FLEET);
  void stage.runtime.start();
  await stage.pass(1_000);
  const before = await scrape(stage);
  await stage.pass(70_000);
  const told = await scrape(stage);
  for (const [name, count] of Object.entries(EXPECTED)) {
    const samples = told.all(name, { fleet });
    assert.equal(samples.length, count, name);
    if (name === 'holdfast_last_tick_age_seconds') continue;
    assert.deepEqual(
      samples.filter(({ value }) => value !== 0),
      [],
      name,
    );
  }
  assert.equal(before.value('holdfast_last_tick_age_seconds', { fleet }), 0);
  assert.ok(told.value('holdfast_last_tick_age_seconds', { fleet }) > 60);
});

test('promtool finds nothing to say about the metrics of a busy fleet, nor of an idle server', async (t) => {
  const stage = await started(['a', 'b'], { perInstance: true });
  stage.target.exits('a');
  stage.target.put({ fleet: FLEET, instance: 'ghost', uid: 'ghost' });
  await stage.pass(5_000);
  for (const text of [await stage.control.metrics(), await new Stage().control.metrics()]) {
    const said = await promtool(t, ['check', 'metrics'], text);
    if (said !== null) assert.deepEqual(said, { code: 0, text: '' });
  }
  const wrong = await promtool(t, ['check', 'metrics'], '# TYPE planted counter\nplanted 1\n');
  if (wrong !== null) assert.notEqual(wrong.code, 0, 'a planted mistake is not found');
});

test('there are as many series for a hundred agents as for one', async () => {
  const few = await scrape(await started(['a']));
  const stage = await started(Array.from({ length: 100 }, (_, at) => `agent-${at}`));
  for (const [uid, item] of stage.target.held) if (item.instance.endsWith('7')) stage.target.held.delete(uid);
  stage.target.exits('agent-3');
  await stage.pass(10_000);
  const many = await scrape(stage);
  assert.equal(many.samples.length, few.samples.length);
  assert.doesNotMatch(many.text, /agent-/);
});

test('metrics of each instance are there only where they are asked for, for as many as their bound allows', async () => {
  const few = await started(['a'], { perInstance: true });
  few.target.exits('a');
  await few.pass(2_000);
  const told = await scrape(few);
  assert.equal(told.value('holdfast_instance_crashes', { fleet, instance: 'a' }), 1);
  assert.equal(told.value('holdfast_instance_phase', { fleet, instance: 'a', phase: 'RUNNING' }), 1);
  assert.equal(told.value('holdfast_instance_metrics_left_out', { fleet }), 0);

  const more = 7;
  const many = new Stage({ perInstance: true });
  await many.runtime.start();
  await many.apply(Array.from({ length: INSTANCES_WITH_METRICS + more }, (_, at) => `a-${at}`));
  const bounded = await scrape(many);
  assert.equal(bounded.all('holdfast_instance_phase', { fleet }).length, INSTANCES_WITH_METRICS);
  assert.equal(bounded.value('holdfast_instance_metrics_left_out', { fleet }), more);
});

// ── that it is true ─────────────────────────────────────────────────────────────────────────────────────────────────

test('L42 an effect that is reported done but did nothing counts as failed, each time', async () => {
  const stage = await started(['a']);
  const running = (): Promise<never> => Promise.resolve(stage.target.held.values().next().value?.look as never);
  stage.target.stop = running;
  await stage.during(stage.control.command(FLEET, 'a', 'stop', BY));
  await stage.pass(30_000);
  const told = await scrape(stage);
  const attempted = told.value('holdfast_effects_total', { fleet, type: 'stop', outcome: 'attempted' });
  assert.ok(attempted >= 3, `${attempted} attempts`);
  assert.equal(told.value('holdfast_effects_total', { fleet, type: 'stop', outcome: 'succeeded' }), 0);
  assert.equal(told.value('holdfast_effects_total', { fleet, type: 'stop', outcome: 'failed' }), attempted);
  assert.equal(told.value('holdfast_actions_total', { fleet, type: 'stop' }), attempted);
});

test('L42 attempted is succeeded and failed together, once nothing is in flight', async () => {
  const stage = await started(['a', 'b', 'c']);
  let tries = 0;
  stage.target.before = async () => {
    tries += 1;
    if (tries % 3 === 0)
      throw new TargetError({ class: 'transient', fault: 'instance', code: 'odd', message: 'not this time' });
  };
  for (const name of ['a', 'b', 'c', 'a', 'b', 'c']) {
    stage.target.exits(name);
    await stage.pass(20_000);
  }
  const told = await scrape(stage);
  const of = (outcome: string): number =>
    told.all('holdfast_effects_total', { fleet, outcome }).reduce((sum, { value }) => sum + value, 0);
  assert.ok(of('failed') >= 2 && of('succeeded') >= 9, told.text);
  assert.equal(of('attempted'), of('succeeded') + of('failed'));
});

test('a heal lasts from the loss that was seen to the proof, and what is stopped meanwhile is none', async () => {
  const stage = await started(['a', 'b']);
  const slowMs = 2_000;
  stage.target.before = () => new Promise((resolve) => void stage.clock.after(slowMs, resolve));
  stage.target.exits('a');
  stage.target.exits('b');
  await stage.pass(500);
  await stage.during(stage.control.command(FLEET, 'b', 'stop', BY));
  await stage.pass(20_000);
  const told = await scrape(stage);
  assert.equal(told.value('holdfast_flaps_total', { fleet, kind: 'container_stopped' }), 2);
  assert.equal(told.value('holdfast_heal_seconds_count', { fleet }), 1);
  const seconds = told.value('holdfast_heal_seconds_sum', { fleet });
  assert.ok(seconds >= slowMs / 1_000 && seconds < slowMs / 1_000 + 1, `${seconds} s`);
});

test('a target in trouble, errors and orphans are in sight, and so is their end', async () => {
  const stage = await started(['a']);
  const trouble = async (name: string): Promise<number> =>
    (await scrape(stage)).value('holdfast_target_trouble', { fleet, target: 'fake', trouble: name });
  assert.deepEqual([await trouble('breaker'), await trouble('stale')], [0, 0]);

  const broken = { class: 'transient', fault: 'target', code: 'down', message: 'the engine is down' } as const;
  stage.target.before = () => Promise.reject(new TargetError(broken));
  stage.target.exits('a');
  await stage.pass(200);
  assert.equal(await trouble('breaker'), 1);
  assert.equal((await scrape(stage)).value('holdfast_instances_with_error', { fleet }), 1);

  stage.target.listed = () => Promise.reject(new Error('no listing'));
  await stage.pass(30_000);
  assert.equal(await trouble('stale'), 1);

  stage.target.before = async () => undefined;
  stage.target.listed = async () => stage.target.all();
  stage.target.put({ fleet: FLEET, instance: 'ghost', uid: 'ghost' });
  await stage.pass(20 * 60_000);
  assert.deepEqual([await trouble('breaker'), await trouble('stale')], [0, 0]);
  const told = await scrape(stage);
  assert.equal(told.value('holdfast_orphans', { fleet }), 1);
  assert.equal(told.value('holdfast_instances_with_error', { fleet }), 0);
  assert.equal(told.value('holdfast_instances', { fleet, phase: 'RUNNING' }), 1);
});

// ── observation noise ───────────────────────────────────────────────────────────────────────────────────────────────

const observations = (told: Exposition): { yes: number; no: number } => ({
  yes: told.value('holdfast_observations_total', { fleet, written: 'yes' }),
  no: told.value('holdfast_observations_total', { fleet, written: 'no' }),
});

test('L49 a steady hour is looked at 36,000 times and more, and writes nothing', async () => {
  const names = Array.from({ length: 10 }, (_, at) => `agent-${at}`);
  const stage = await started(names);
  const before = observations(await scrape(stage));
  const head = stage.fleet.loop.state.seq;
  await stage.pass(HOUR_MS);
  const after = observations(await scrape(stage));
  const raw = after.yes + after.no - before.yes - before.no;
  assert.ok(raw >= 0.95 * names.length * 3_600, `${raw} observations`);
  const events = stage.fleet.loop.state.seq - head;
  assert.ok(events <= raw / 100, `${events} events of ${raw} observations`);
  assert.equal(after.yes, before.yes);
});

test('L49 no flip between two looks is lost, whether the authority tells of it or only counts it', async () => {
  const stage = await started(['told', 'counted']);
  const head = stage.fleet.loop.state.seq;
  // All within one interval of the listing: two lives end, and a third runs, as each listing finds it.
  for (let life = 1; life <= 2; life += 1) {
    stage.target.exits('told');
    stage.target.put({ fleet: FLEET, instance: 'told', uid: stage.inst('told').uid });
    const look = stage.target.held.get(stage.inst('told').uid)?.look;
    if (look !== undefined) stage.target.tell({ kind: 'changed', fleet: FLEET, uid: stage.inst('told').uid, look });
  }
  // The engine restarted it twice by itself; only its count tells.
  const { uid, resource } = stage.inst('counted');
  const item = stage.target.held.get(uid);
  if (item !== undefined && resource !== null)
    stage.target.held.set(uid, { ...item, look: { ...item.look, incarnation: 'another', restarts: 2 } });
  await stage.pass(5_000);
  const told = await scrape(stage);
  assert.equal(stage.inst('told').restarts.crashes, 2);
  assert.ok(stage.inst('counted').restarts.crashes >= 1);
  assert.ok(told.value('holdfast_flaps_total', { fleet, kind: 'container_stopped' }) >= 3);
  assert.ok(stage.fleet.loop.state.seq > head);
  assert.ok(observations(told).yes >= 5);
});
