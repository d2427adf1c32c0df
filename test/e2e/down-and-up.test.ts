/**
 * What happens to agents while the control plane is away, and when it comes back: they are its charges, not its children.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, describe, test } from 'node:test';
import { openProcessTable } from '../../src/targets/process/table.ts';
import type { WaitResult } from '../../src/runtime/api.ts';
import {
  alive,
  ofType,
  openWorld,
  pidOf,
  send,
  until,
  wordsOf,
  type Manifest,
  type Plane,
  type World,
} from '../support/e2e.ts';

describe('while the control plane is down', () => {
  let world: World;
  let plane: Plane;
  let manifest: Manifest;

  before(async () => {
    world = await openWorld();
    const run = { command: world.agent() };
    manifest = {
      instances: {
        steady: { target: 'process', run },
        victim: { target: 'process', run },
        sleeper: { target: 'process', lifecycle: 'lazy', run },
        woken: { target: 'process', lifecycle: 'lazy', run },
        halted: { target: 'process', run },
      },
    };
    plane = await world.up();
    const fleet = plane.fleet('demo');
    await fleet.declare(manifest);
    for (const name of ['steady', 'victim', 'halted']) await fleet.running(name);
    await fleet.post('instances/woken/wake?wait=20s');
    await fleet.post('instances/halted/stop?wait=20s');
    await fleet.until('sleeper', 'SLEEPING', ({ phase }) => phase === 'SLEEPING');
  });
  after(() => world.close());

  /** Phases and pids, of all. */
  async function standing(): Promise<{ readonly [name: string]: string }> {
    const all = await plane.fleet('demo').all();
    return Object.fromEntries(
      all.map((view) => [view.name, `${view.phase} ${view.phase === 'RUNNING' ? pidOf(view) : ''}`.trim()]),
    );
  }

  /** Once the target was seen: before, what is shown is what was so when the log was last written. */
  async function settled(): Promise<{ readonly [name: string]: string }> {
    await until('the target is seen', async () =>
      (await plane.fleet('demo').view()).targets.every(({ state }) => state === 'seen'),
    );
    await until('every one is at rest', async () =>
      Object.values(await standing()).every((one) => /^(RUNNING|SLEEPING|STOPPED)/.test(one)),
    );
    return standing();
  }

  test('an end by SIGTERM leaves every agent as it is, and the next start finds it so', async () => {
    const stood = await settled();
    assert.deepEqual(
      Object.values(stood).map((one) => one.split(' ')[0]),
      ['STOPPED', 'SLEEPING', 'RUNNING', 'RUNNING', 'RUNNING'],
    );
    const { head } = await plane.fleet('demo').view();
    const { code, out } = await plane.end();
    assert.equal(code, 0);
    assert.match(out, /Its agents run on/);
    for (const one of Object.values(stood))
      if (one.startsWith('RUNNING')) assert.ok(alive(Number(one.split(' ')[1])), one);
    const left = await plane.cli('get');
    assert.equal(left.code, 2);
    assert.match(left.err, /^[^\n]*is Holdfast running\?[^\n]*\n$/);
    plane = await world.up();
    assert.deepEqual(await settled(), stood);
    const events = await plane.fleet('demo').events(head);
    assert.deepEqual(ofType(events, 'flap.observed'), []);
    assert.deepEqual(ofType(events, 'operation.ended'), []);
    assert.match(await plane.fleet('demo').logs('steady'), /^steady is up, pid \d+\n$/, 'it was started once');
  });

  test('an agent that died while nobody looked is a flap of the next start, with its last words, and is healed', async () => {
    const before = await settled();
    const fleet = plane.fleet('demo');
    const { head } = await fleet.view();
    const pid = await fleet.running('victim');
    await plane.kill();
    send(pid, 'SIGHUP');
    await until('it is dead', () => !alive(pid));
    plane = await world.up();
    const { victim, ...others } = await settled();
    assert.notEqual(victim, before['victim']);
    const { victim: _old, ...stood } = before;
    assert.deepEqual(others, stood, 'nobody else was touched');
    const flaps = ofType(await plane.fleet('demo').events(head), 'flap.observed');
    assert.deepEqual(
      flaps.map(({ instance, data }) => [instance, (data as { kind: string }).kind]),
      [['victim', 'process_exited']],
    );
    assert.match(wordsOf(flaps[0], 'output'), /something broke in victim/);
    assert.equal((await plane.fleet('demo').get('victim')).restarts.crashes, 1);
  });

  test('L13 a command that is waited for while the target was not yet looked at is not answered from memory', async () => {
    const pid = await plane.fleet('demo').running('victim');
    await plane.kill();
    send(pid, 'SIGKILL');
    await until('it is dead', () => !alive(pid));
    plane = await world.up();
    const answer = await plane.fleet('demo').post<WaitResult>('instances/victim/reconcile?wait=20s');
    assert.equal(answer.body.outcome, 'succeeded', answer.text);
    const view = await plane.fleet('demo').get('victim');
    assert.notEqual(pidOf(view), pid);
    assert.ok(alive(pidOf(view)));
  });

  test('with --stop-agents nothing runs on, and the next start neither calls it a crash nor a flap', async () => {
    await plane.end();
    plane = await world.up({ args: ['--stop-agents'] });
    const before = await settled();
    const crashes = (await plane.fleet('demo').get('victim')).restarts.crashes;
    const { head } = await plane.fleet('demo').view();
    const { code, out } = await plane.end();
    assert.equal(code, 0);
    assert.match(out, /its agents with it/);
    for (const one of Object.values(before))
      if (one.startsWith('RUNNING')) assert.ok(!alive(Number(one.split(' ')[1])), one);

    plane = await world.up();
    const again = await settled();
    const phases = (stood: typeof again): string[] => Object.values(stood).map((one) => one.split(' ')[0] ?? '');
    assert.deepEqual(phases(again), ['STOPPED', 'SLEEPING', 'RUNNING', 'RUNNING', 'RUNNING']);
    for (const [name, one] of Object.entries(again)) if (one.startsWith('RUNNING')) assert.notEqual(one, before[name]);
    const events = await plane.fleet('demo').events(head);
    assert.deepEqual(ofType(events, 'flap.observed'), []);
    for (const view of await plane.fleet('demo').all()) {
      assert.equal(view.restarts.crashes, view.name === 'victim' ? crashes : 0, view.name);
      // It died while nobody was there to be told how.
      assert.equal(view.lastError?.code ?? null, view.name === 'victim' ? 'exit-unknown' : null, view.name);
    }
  });
});

describe('killed in the middle of its work', () => {
  const NAMES = Array.from({ length: 30 }, (_, at) => `agent-${at + 1}`);
  let world: World;
  let plane: Plane;

  before(async () => {
    world = await openWorld();
    plane = await world.up();
  });
  after(() => world.close());

  /** Pids of every process that carries our mark, by instance. */
  async function processes(): Promise<ReadonlyMap<string, readonly number[]>> {
    const db = new DatabaseSync(join(plane.data, 'holdfast.db'), { readOnly: true });
    const deployment = db.prepare('SELECT deployment FROM store').get()?.['deployment'];
    db.close();
    const found = new Map<string, number[]>();
    for (const { pid, mark } of await openProcessTable().marked(deployment as string, AbortSignal.timeout(10_000))) {
      found.set(mark.instance, [...(found.get(mark.instance) ?? []), pid]);
    }
    return found;
  }

  async function again(): Promise<void> {
    await plane.kill();
    plane = await world.up();
  }

  async function everyOneRunsOnce(): Promise<void> {
    await until('all run', async () => {
      const [fleet, all] = [await plane.fleet('storm').view(), await plane.fleet('storm').all()];
      const rest = all.every(({ phase, operation }) => phase === 'RUNNING' && operation === null);
      return fleet.targets.every(({ state }) => state === 'seen') && all.length === NAMES.length && rest;
    });
    const found = await processes();
    for (const view of await plane.fleet('storm').all())
      assert.deepEqual(found.get(view.name), [pidOf(view)], view.name);
  }

  test('L86 while it starts agents: each is found again or started, and none runs twice', async () => {
    const instances = Object.fromEntries(
      NAMES.map((name) => [name, { target: 'process', run: { command: ['sleep', '1000'] } }]),
    );
    await plane.fleet('storm').declare({ instances });
    await until('some run', async () => (await processes()).size >= 3);
    await again();
    await again();
    await everyOneRunsOnce();
    assert.deepEqual(ofType(await plane.fleet('storm').events(), 'flap.observed'), []);
  });

  test('L44 L86 while it restarts them: each has one process in the end, and no planned end is called a crash', async () => {
    const before = new Map((await plane.fleet('storm').all()).map((view) => [view.name, pidOf(view)]));
    await plane.fleet('storm').post('commands', { verb: 'restart', select: { names: NAMES } });
    await until('some are restarted', async () =>
      [...(await processes())].some(([name, [pid]]) => pid !== before.get(name)),
    );
    await again();
    await everyOneRunsOnce();
    for (const view of await plane.fleet('storm').all()) {
      assert.notEqual(pidOf(view), before.get(view.name), `${view.name} was asked to restart`);
      assert.equal(view.restarts.crashes, 0, view.name);
    }
    const { code, out, err } = await plane.cli('verify');
    assert.equal(code, 0, out + err);
  });
});
