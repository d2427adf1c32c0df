/** What operators ask of instances, and what then is so: every verb, holds, bulk, deletion, and answers that were verified. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { BulkResult, CommandResult, InstanceView, Orphan, Page, WaitResult } from '../../src/runtime/api.ts';
import {
  alive,
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

type Waited = CommandResult & WaitResult;

describe('an operator', () => {
  let world: World;
  let plane: Plane;
  let fleet: Fleet;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
    fleet = plane.fleet('demo');
    const bot = { target: 'process', run: { command: world.agent() } };
    const lazy = { ...bot, lifecycle: 'lazy' };
    await fleet.declare({
      instances: {
        one: { ...bot, labels: { team: 'a' } },
        two: { ...bot, labels: { team: 'a' } },
        three: { ...bot, labels: { team: 'b' } },
        dozer: lazy,
        napper: { ...lazy, idleAfter: '1s' },
        kept: bot,
        dropped: { ...bot, onDelete: 'delete' },
        lost: bot,
      },
    });
    for (const name of ['one', 'two', 'three', 'kept', 'dropped', 'lost']) await fleet.running(name);
  });
  after(() => world.close());

  const phaseIs =
    (phase: InstanceView['phase']) =>
    (view: InstanceView): boolean =>
      view.phase === phase;
  const ask = (name: string, verb: string, query = '') => fleet.post<Waited>(`instances/${name}/${verb}${query}`);

  async function flapsOf(name: string): Promise<number> {
    return ofType(await fleet.events(), 'flap.observed', name).length;
  }

  describe('stops, resumes and restarts', () => {
    test('a stop ends the process and keeps it ended, by whatever it is asked to reconcile, until it is resumed', async () => {
      const pid = await fleet.running('one');
      const stopped = await plane.cli('stop', 'one', '--wait', '--reason', 'lunch');
      assert.equal(stopped.code, 0, stopped.err);
      assert.ok(!alive(pid));
      assert.equal((await ask('one', 'reconcile', '?wait=20s')).body.phase, 'STOPPED');
      const view = await fleet.get('one');
      assert.deepEqual([view.phase, view.desired, view.resource?.state], ['STOPPED', 'stopped', 'stopped']);
      const command = ofType(await fleet.events(), 'command.issued', 'one').find(({ by }) => by?.reason === 'lunch');
      assert.deepEqual([command?.by?.token, dataOf(command)['verb']], ['admin', 'stop']);

      const resumed = await ask('one', 'resume', '?wait=20s');
      assert.deepEqual([resumed.status, resumed.body.outcome, resumed.body.phase], [200, 'succeeded', 'RUNNING']);
      assert.ok(alive(await fleet.running('one')));
      assert.equal(await flapsOf('one'), 0);
      assert.equal((await fleet.get('one')).restarts.crashes, 0);
    });

    test('L13 L44 a restart is answered when another process runs, and counts as planned', async () => {
      const before = await fleet.get('two');
      const pid = await fleet.running('two');
      const answer = await ask('two', 'restart', '?wait=20s');
      const after = await fleet.get('two');
      assert.deepEqual([answer.status, answer.body.outcome, answer.body.phase], [200, 'succeeded', 'RUNNING']);
      assert.notEqual(pidOf(after), pid);
      assert.ok(!alive(pid));
      assert.ok(alive(pidOf(after)));
      assert.deepEqual(after.restarts, { crashes: before.restarts.crashes, planned: before.restarts.planned + 1 });
      assert.equal(await flapsOf('two'), 0);
      assert.match(await fleet.logs('two', '?previous=true'), new RegExp(`two was asked to stop, pid ${pid}`));
    });

    test('L13 a restart that cannot be is not answered with success', async () => {
      await fleet.post('hold', { reason: 'frozen', instances: ['two'] });
      const pid = await fleet.running('two');
      const answer = await ask('two', 'restart', '?wait=20s');
      assert.deepEqual([answer.status, answer.body.outcome, answer.body.hold?.reason], [200, 'held', 'operator-hold']);
      assert.equal(pidOf(await fleet.get('two')), pid);
      await fleet.post('release', { instances: ['two'] });
      await fleet.until('two', 'restarted', (view) => view.phase === 'RUNNING' && pidOf(view) !== pid);
    });

    test('a wait that is too short says so, and what was asked goes on', async () => {
      await fleet.running('two');
      const answer = await ask('two', 'restart', '?wait=1ms');
      assert.equal(answer.status, 202);
      assert.equal(answer.body.outcome, 'timeout');
      await fleet.until('two', 'restarted', (view) => view.phase === 'RUNNING' && view.operation === null);
    });

    test('what cannot be is refused with the rule, and does not reach the log', async () => {
      await fleet.until('dozer', 'asleep', phaseIs('SLEEPING'));
      const { head } = await fleet.view();
      for (const [name, verb, rule] of [
        ['one', 'wake', 'not-lazy'],
        ['one', 'sleep', 'not-lazy'],
        ['dozer', 'restart', 'asleep'],
        ['nobody', 'stop', 'no-instance'],
      ] as const) {
        const answer = await plane.ask<ProblemBody>('POST', `/v1/fleets/demo/instances/${name}/${verb}`);
        assert.deepEqual([answer.status, answer.body.rule], [name === 'nobody' ? 404 : 409, rule], `${verb} ${name}`);
      }
      assert.equal((await fleet.view()).head, head);
    });
  });

  describe('wakes and puts to sleep', () => {
    test('a lazy one sleeps until it is woken, and again when it is told to', async () => {
      const asleep = await fleet.until('dozer', 'asleep', phaseIs('SLEEPING'));
      assert.equal(asleep.resource?.state, 'stopped');
      const woken = await ask('dozer', 'wake', '?wait=20s');
      assert.deepEqual([woken.body.outcome, woken.body.phase], ['succeeded', 'RUNNING']);
      const pid = await fleet.running('dozer');
      const slept = await ask('dozer', 'sleep', '?wait=20s');
      assert.deepEqual([slept.body.outcome, slept.body.phase], ['succeeded', 'SLEEPING']);
      assert.ok(!alive(pid));
      assert.equal(await flapsOf('dozer'), 0);
    });

    test('L21 the exit 0 of a lazy one is sleep, and says nothing of a flap', async () => {
      await ask('dozer', 'wake', '?wait=20s');
      send(await fleet.running('dozer'), 'SIGUSR2');
      const view = await fleet.until('dozer', 'asleep', phaseIs('SLEEPING'));
      assert.deepEqual([view.restarts.crashes, view.lastError, await flapsOf('dozer')], [0, null, 0]);
    });

    test('the crash of a lazy one that is awake is a flap, and healed', async () => {
      await ask('dozer', 'wake', '?wait=20s');
      const pid = await fleet.running('dozer');
      send(pid, 'SIGHUP');
      await fleet.until('dozer', 'running again', (view) => view.phase === 'RUNNING' && pidOf(view) !== pid);
      const flaps = ofType(await fleet.events(), 'flap.observed', 'dozer');
      assert.equal(flaps.length, 1);
      assert.equal((dataOf(flaps[0])['exit'] as { code: number }).code, 3);
    });

    test('L59 one that is idle falls asleep by itself, and being looked at keeps it no longer awake', async () => {
      await ask('napper', 'wake', '?wait=20s');
      const pid = await fleet.running('napper');
      const { head } = await fleet.view();
      // `until` looks at it some forty times meanwhile.
      const view = await fleet.until('napper', 'asleep by idleAfter', phaseIs('SLEEPING'));
      assert.ok(!alive(pid));
      assert.equal(view.restarts.crashes, 0);
      const slept = (await fleet.events(head)).flatMap((event) =>
        event.type === 'tick.decided'
          ? (dataOf(event)['actions'] as { type: string; instance: string; rule: string }[])
          : [],
      );
      assert.deepEqual(
        slept.filter(({ instance }) => instance === 'napper').map(({ type, rule }) => [type, rule]),
        [['sleep', 'idle']],
      );
    });
  });

  describe('asks many at once', () => {
    test('by label: a dry run says who would be reached, the command reaches them, and nobody else', async () => {
      const select = { labels: { team: 'a' } };
      const three = await fleet.running('three');
      const { head } = await fleet.view();
      const dry = await fleet.post<BulkResult>('commands', { verb: 'stop', select, dryRun: true });
      assert.deepEqual(
        [dry.status, dry.body.results.map(({ instance, accepted, seq }) => [instance, accepted, seq])],
        [
          200,
          [
            ['one', true, null],
            ['two', true, null],
          ],
        ],
      );
      assert.equal((await fleet.view()).head, head);

      const stopped = await fleet.post<BulkResult>('commands', { verb: 'stop', select, reason: 'maintenance' });
      assert.deepEqual([stopped.status, stopped.body.results.map(({ accepted }) => accepted)], [202, [true, true]]);
      for (const name of ['one', 'two']) await fleet.until(name, 'stopped', phaseIs('STOPPED'));
      assert.equal(pidOf(await fleet.get('three')), three);
      const again = await fleet.post<BulkResult>('commands', { verb: 'stop', select: {} });
      assert.equal(again.status, 422, 'an empty selection could be a slip');
    });

    test('the command line waits for each of them', async () => {
      const { code, out, err } = await plane.cli('resume', '-l', 'team=a', '--wait', '-o', 'json');
      assert.equal(code, 0, err);
      assert.match(out, /"one"[^]*"two"/);
      for (const name of ['one', 'two']) assert.equal((await fleet.get(name)).phase, 'RUNNING');
    });
  });

  describe('holds and releases', () => {
    test('L84 under a hold nothing is healed, a stop by name passes, and the release heals at once', async () => {
      const pids = { one: await fleet.running('one'), two: await fleet.running('two') };
      const held = await plane.cli('hold', '--reason', 'investigation');
      assert.equal(held.code, 0, held.err);
      send(pids.one, 'SIGKILL');
      const view = await fleet.until('one', 'held', ({ hold }) => hold?.reason === 'operator-hold');
      assert.deepEqual([view.phase, view.resource?.state], ['PENDING', 'stopped']);
      assert.match(view.hold?.text ?? '', /investigation/);
      assert.match((await plane.cli('why', 'one')).out, /investigation/);
      assert.deepEqual(
        (await fleet.view()).holds.map(({ reason, by }) => [reason, by]),
        [['investigation', 'admin']],
      );
      const stopped = await ask('two', 'stop', '?wait=20s');
      assert.deepEqual([stopped.body.outcome, stopped.body.phase], ['succeeded', 'STOPPED']);
      assert.equal((await ask('two', 'resume', '?wait=20s')).body.outcome, 'held');
      const released = await plane.cli('release');
      assert.match(released.out, /1 hold/);
      for (const name of ['one', 'two']) await fleet.running(name);
    });

    test('a hold with a time lifts itself', async () => {
      const pid = await fleet.running('three');
      await fleet.post('hold', { reason: 'short', for: '1s', instances: ['three'] });
      send(pid, 'SIGKILL');
      const held = await fleet.until('three', 'held', ({ hold }) => hold?.reason === 'operator-hold');
      assert.ok(held.hold?.until);
      await fleet.running('three');
      assert.ok(Date.now() >= Date.parse(held.hold.until));
    });
  });

  describe('deletes', () => {
    const files = (name: string): readonly string[] =>
      readdirSync(join(plane.data, 'processes', 'process', 'demo'))
        .filter((file) => file.startsWith(`${name}.`))
        .map((file) => file.split('.').slice(2).join('.'))
        .sort();

    async function gone(name: string): Promise<void> {
      await until(
        `${name} is gone`,
        async () => (await plane.ask('GET', `/v1/fleets/demo/instances/${name}`)).status === 404,
      );
    }

    test('what is deleted is ended first, then proved gone; its data stays unless it was declared or said otherwise', async () => {
      const pids = { kept: await fleet.running('kept'), dropped: await fleet.running('dropped') };
      const kept = await plane.ask<Waited>('DELETE', '/v1/fleets/demo/instances/kept?wait=20s');
      assert.deepEqual([kept.status, kept.body.outcome, kept.body.phase], [200, 'succeeded', null]);
      assert.ok(!alive(pids.kept));
      await gone('kept');
      assert.deepEqual(files('kept'), ['log']);
      const dropped = await plane.cli('delete', 'dropped', '--wait', '--yes');
      assert.equal(dropped.code, 0, dropped.err);
      assert.ok(!alive(pids.dropped));
      await gone('dropped');
      assert.deepEqual(files('dropped'), []);
      assert.equal(await flapsOf('kept'), 0);
    });

    test('L54 L55 what is forgotten leaves the fleet at once, and its process is on record as an orphan until it is pruned', async () => {
      const pid = await fleet.running('lost');
      const answer = await plane.ask<Waited>('DELETE', '/v1/fleets/demo/instances/lost?forget=true&wait=20s');
      assert.equal(answer.body.outcome, 'succeeded', answer.text);
      await gone('lost');
      assert.ok(alive(pid));
      const orphans = await until('it is listed', async () => {
        const { items } = (await plane.ask<Page<Orphan>>('GET', '/v1/fleets/demo/orphans')).body;
        return items.length > 0 ? items : null;
      });
      assert.deepEqual(
        orphans.map(({ instance, state }) => [instance, state]),
        [['lost', 'running']],
      );
      const wrong = await plane.cli('orphans', 'prune', '--expect', '2');
      assert.equal(wrong.code, 2, wrong.out);
      assert.ok(alive(pid));
      const pruned = await plane.cli('orphans', 'prune', '--expect', '1');
      assert.equal(pruned.code, 0, pruned.err);
      assert.ok(!alive(pid));
    });
  });
});
