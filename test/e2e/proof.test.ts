/** The log proves what was decided: replayed as a whole, over kills and restarts, nothing differs; and looking changes nothing. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { EventView, FleetView } from '../../src/runtime/api.ts';
import type { Json } from '../../src/core/model.ts';
import {
  dataOf,
  ofType,
  openWorld,
  pidOf,
  send,
  until,
  type Fleet,
  type Plane,
  type ProblemBody,
  type World,
} from '../support/e2e.ts';

interface Replayed {
  readonly from: string;
  readonly to: string;
  readonly snapshotSeq: number;
  readonly events: number;
  readonly ticks: number;
  readonly actions: readonly { readonly seq: number; readonly instance: string; readonly type: string }[];
  readonly recorded: readonly unknown[];
  readonly differences: readonly unknown[];
  readonly phases: FleetView['phases'];
}

describe('the log of an eventful life', () => {
  let world: World;
  let plane: Plane;
  let fleet: Fleet;
  /** Before the restarts: an orderly end writes a snapshot. */
  let middle: number;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
    fleet = plane.fleet('demo');
    await live();
    middle = (await fleet.view()).head;
    await plane.kill();
    plane = await world.up();
    fleet = plane.fleet('demo');
    await fleet.running('a');
    await plane.end();
    plane = await world.up();
    fleet = plane.fleet('demo');
    await until('the target is seen', async () => (await fleet.view()).targets.every(({ state }) => state === 'seen'));
    await fleet.post('instances/a/restart?wait=20s');
  });
  after(() => world.close());

  /** A bit of everything that is decided. */
  async function live(): Promise<void> {
    const bot = (env: { readonly [name: string]: Json } = {}): Json => ({
      target: 'process',
      run: { command: world.agent(), env },
    });
    const lazy = { target: 'process', lifecycle: 'lazy', idleAfter: '1s', run: { command: world.agent() } };
    const policy = { giveUpAfter: 3, rollout: { healthyFor: '50ms' } };
    const broken = { target: 'process', run: { command: ['/nowhere/agent'] } };
    const looper = { target: 'process', run: { command: world.agent(join(world.folder, 'missing')) } };
    await fleet.declare({ policy, instances: { a: bot(), b: bot(), c: bot(), lazy, broken, looper } });
    const pid = await fleet.running('a');
    send(pid, 'SIGKILL');
    await fleet.until('a', 'healed', (view) => view.phase === 'RUNNING' && pidOf(view) !== pid);
    await fleet.post('instances/b/stop?wait=20s');
    await fleet.post('hold', { reason: 'a look', instances: ['c'] });
    send(await fleet.running('c'), 'SIGHUP');
    await fleet.until('c', 'held', ({ hold }) => hold?.reason === 'operator-hold');
    await fleet.post('release');
    await fleet.post('instances/b/resume?wait=20s');
    await fleet.post('instances/lazy/wake?wait=20s');
    await fleet.declare({
      policy,
      instances: { a: bot({ X: '1' }), b: bot({ X: '1' }), c: bot({ X: '1' }), lazy, broken, looper },
    });
    await until('it is rolled out', async () => ((await fleet.view()).rollout?.proved ?? 0) >= 3);
    await fleet.until('lazy', 'asleep again', ({ phase }) => phase === 'SLEEPING');
    await fleet.until('looper', 'given up', ({ phase }) => phase === 'ERROR');
    await plane.ask('DELETE', '/v1/fleets/demo/instances/broken?wait=20s');
  }

  /** A fleet of crash-loopers writes; this one is at rest, so whatever moves its head is our doing. */
  async function leavesAlone<T>(look: () => Promise<T>): Promise<T> {
    const before = await fleet.view();
    const result = await look();
    assert.equal((await fleet.view()).head, before.head);
    return result;
  }

  const sum = (phases: FleetView['phases']): number => Object.values<number>(phases).reduce((all, one) => all + one, 0);

  test('L62 L65 replayed as a whole has the recorded decisions and no other', async () => {
    const { head } = await fleet.view();
    const events = (await fleet.events()).filter(({ seq }) => seq <= head);
    const replayed = await leavesAlone(() => plane.json<Replayed>('replay', '--to', String(head)));
    assert.deepEqual(replayed.differences, []);
    assert.equal(replayed.snapshotSeq, 0);
    assert.equal(replayed.events, head);
    const ticks = ofType(events, 'tick.decided');
    assert.equal(replayed.ticks, ticks.length);
    const recorded = ticks.flatMap((event) => dataOf(event)['actions'] as { instance: string; type: string }[]);
    assert.ok(recorded.length > 20, 'there was something to be replayed');
    assert.deepEqual(
      replayed.actions.map(({ instance, type }) => [instance, type]),
      recorded.map(({ instance, type }) => [instance, type]),
    );
    assert.equal(replayed.recorded.length, recorded.length);
    assert.deepEqual(replayed.phases, (await fleet.view()).phases);
  });

  test('verify finds every decision as it was recorded, and says so with its exit code', async () => {
    const { code, out, err } = await leavesAlone(() => plane.cli('verify'));
    assert.equal(code, 0, out + err);
    assert.match(out, /Every decision is as it was recorded/);
  });

  test('a stretch of it, from its snapshot, is the same again', async () => {
    const { head } = await fleet.view();
    const answer = await fleet.post<Replayed>('debug/replay-events', { from: head - 3, to: head });
    assert.equal(answer.status, 200, answer.text);
    assert.ok(answer.body.snapshotSeq > middle, `from the snapshot of the orderly end: ${answer.body.snapshotSeq}`);
    assert.deepEqual([answer.body.differences, answer.body.events], [[], 4]);
    const early = await fleet.post<Replayed>('debug/replay-events', { to: middle, instance: 'a' });
    assert.deepEqual(early.body.differences, []);
    assert.ok(early.body.actions.every(({ instance }) => instance === 'a'));
    assert.ok(sum(early.body.phases) > 0);
  });

  test('with another policy it is a what-if that finds what would have been otherwise, and touches nothing', async () => {
    const file = join(world.folder, 'patient.yaml');
    writeFileSync(file, 'policy: { giveUpAfter: 1 }\n');
    const { code, out } = await leavesAlone(() => plane.cli('replay', '--policy', file));
    assert.equal(code, 0, out);
    assert.match(out, /what-if/);
    assert.match(out, /fewer starts?\./);
    assert.match(out, /looper: recorded .*start \(start\).*; computed .*ERROR \(gave-up\)/);
    assert.equal((await fleet.get('looper')).restarts.crashes, 3);
  });

  test('leaving out an event shows what rested on it', async () => {
    const [stop] = ofType(await fleet.events(), 'command.issued', 'b').filter(
      (event: EventView) => dataOf(event)['verb'] === 'stop',
    );
    const answer = await leavesAlone(() =>
      fleet.post<Replayed>('debug/replay-events', { to: middle, edits: [{ drop: stop!.seq }] }),
    );
    assert.equal(answer.status, 200, answer.text);
    assert.ok(JSON.stringify(answer.body.differences).includes('"stop"'), answer.text.slice(0, 500));
  });

  test('why tells the past: an instance at rest now was held then', async () => {
    const events = await fleet.events();
    const held = ofType(events, 'tick.decided').find((event) =>
      JSON.stringify(dataOf(event)['holds']).includes('operator-hold'),
    );
    const then = await plane.ask<{ phase: string; hold: { reason: string } | null }>(
      'GET',
      `/v1/fleets/demo/instances/c/why?at=${held!.seq}`,
    );
    assert.equal(then.body.hold?.reason, 'operator-hold', then.text);
    assert.equal((await fleet.why('c')).phase, 'RUNNING');
  });

  test('a range that is none is refused', async () => {
    const answer = await fleet.post<ProblemBody>('debug/replay-events', { from: 1_000_000 });
    assert.deepEqual([answer.status, answer.body.rule], [422, 'range'], answer.text);
  });

  test('a dry run of a fleet at rest would do nothing, and changes nothing', async () => {
    const { out, code } = await leavesAlone(() => plane.cli('dry-run'));
    assert.equal(code, 0);
    assert.match(out, /would do nothing/);
  });
});
