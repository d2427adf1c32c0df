/**
 * PostgreSQL as the store: the same life as on SQLite, and another replica beside the owner, which is what makes a fact
 * pending: durable, and not yet decided on.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { DryRun } from '../../src/runtime/api.ts';
import type { Store } from '../../src/ports/store.ts';
import { openPostgresStore } from '../../src/stores/postgres/index.ts';
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
  type World,
} from '../support/e2e.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { storeComplaints } from '../support/verified.ts';
import { realComponent } from '../support/require.ts';

/** A natural tick may come between the fact and the dry run: then there is nothing pending, and it is tried again. */
const TRIES = 5;

describe('on PostgreSQL', () => {
  let world: World;
  let postgres: TestPostgres | null = null;
  let url: string;
  let plane: Plane;
  let fleet: Fleet;
  let replica: Store;

  before(async () => {
    world = await openWorld();
  });
  after(async () => {
    const complaints = replica === undefined ? [] : await storeComplaints(replica);
    await replica?.close();
    await world.close();
    await postgres?.stop();
    assert.deepEqual(complaints, []);
  });

  const up = (): Promise<Plane> => world.up({ args: ['--store', url, '--log-level', 'trace'] });

  test('a fleet is declared, and a killed agent is healed', async (t) => {
    postgres = await realComponent(t, 'PostgreSQL', startPostgres);
    if (postgres === null) return;
    url = await postgres.newDatabase();
    plane = await up();
    replica = await openPostgresStore(url);
    world.owns(replica.deployment);
    fleet = plane.fleet('demo');
    const bot = { target: 'process', run: { command: world.agent() } };
    await fleet.declare({ instances: { one: bot, two: bot, three: bot, lazy: { ...bot, lifecycle: 'lazy' } } });
    const pid = await fleet.running('one');
    for (const name of ['two', 'three']) await fleet.running(name);
    send(pid, 'SIGKILL');
    await fleet.until('one', 'healed', (view) => view.phase === 'RUNNING' && pidOf(view) !== pid);
    assert.equal(ofType(await fleet.events(), 'flap.observed', 'one').length, 1);
    assert.equal((await fleet.get('lazy')).phase, 'SLEEPING');
  });

  test('L63 a dry run says exactly what the next tick then decides', async (t) => {
    if (postgres === null) return t.skip('no PostgreSQL');
    for (let tries = 1; ; tries += 1) {
      const compared = await dryRunAndTick();
      if (compared) break;
      assert.ok(tries < TRIES, 'the tick came before the dry run each time');
    }
    for (const name of ['one', 'two', 'three']) await fleet.running(name);
    assert.equal((await fleet.view()).holds.length, 0);
  });

  /** Drift under a hold, released by the other replica: durable, and the owner has not been told. */
  async function dryRunAndTick(): Promise<boolean> {
    await fleet.running('three');
    const pids = { one: await fleet.running('one'), two: await fleet.running('two') };
    await fleet.post('hold', { reason: 'drift' });
    for (const [name, pid] of Object.entries(pids)) {
      send(pid, 'SIGKILL');
      await fleet.until(name, 'held', ({ hold }) => hold?.reason === 'operator-hold');
    }
    const held = (await fleet.post<DryRun>('debug/reconcile-dry-run')).body;
    assert.deepEqual([held.actions, held.transitions, held.holds], [[], [], []], 'nothing is done under the hold');
    const three = (await fleet.get('three')).uid;
    const { head } = await fleet.view();
    const by = { token: 'admin', via: 'another replica' };
    const at = Date.now();
    await replica.append(
      'demo',
      [
        { type: 'command.issued', data: { verb: 'release', target: null, instances: null }, by },
        { type: 'command.issued', instance: 'three', uid: three, data: { verb: 'restart' }, by },
      ],
      () => at,
    );
    const dry = (await fleet.post<DryRun>('debug/reconcile-dry-run')).body;
    // The loop has been told by nobody; whoever plans asks it to be up to date.
    await fleet.apply({ instances: {} }, '?dryRun=true');
    const next = await until('the next tick', async () => (await fleet.events(head + 2))[0]);
    if (dry.head !== head + 2) return false;
    assert.equal(next.type, 'tick.decided');
    const decided = dataOf(next) as unknown as {
      readonly actions: readonly {
        readonly instance: string;
        readonly type: string;
        readonly rule: string;
        readonly facts: readonly number[];
      }[];
      readonly transitions: readonly {
        readonly instance: string;
        readonly from: string;
        readonly to: string;
        readonly rule: string;
      }[];
      readonly holds: readonly { readonly instance: string; readonly hold: { readonly reason: string } | null }[];
    };
    assert.deepEqual(
      dry.actions.map(({ instance, type, reason, facts }) => [instance, type, reason.rule, facts]),
      decided.actions.map(({ instance, type, rule, facts }) => [instance, type, rule, facts]),
    );
    // The one that was killed before waits; the others are seen to at once.
    assert.ok(
      dry.actions.some(({ instance, type }) => instance === 'three' && type === 'restart'),
      JSON.stringify(dry),
    );
    assert.ok(
      dry.holds.some(({ instance, reason }) => instance === 'one' && reason === 'backoff'),
      JSON.stringify(dry),
    );
    assert.deepEqual(
      dry.transitions,
      decided.transitions.map(({ instance, from, to, rule }) => ({ instance, from, to, rule })),
    );
    assert.deepEqual(
      dry.holds.map(({ instance, reason }) => [instance, reason]),
      decided.holds.map(({ instance, hold }) => [instance, hold?.reason ?? null]),
    );
    return true;
  }

  test('the whole log verifies', async (t) => {
    if (postgres === null) return t.skip('no PostgreSQL');
    const { code, out, err } = await plane.cli('verify');
    assert.equal(code, 0, out + err);
  });

  test('a killed owner is succeeded once its lease is over, and the same processes are adopted', async (t) => {
    if (postgres === null) return t.skip('no PostgreSQL');
    const pids = new Map<string, number>();
    for (const name of ['one', 'two', 'three']) pids.set(name, await fleet.running(name));
    const { head, owner } = await fleet.view();
    const old = plane;
    await plane.kill();
    plane = await up();
    fleet = plane.fleet('demo');
    await until('the target is seen', async () => (await fleet.view()).targets.every(({ state }) => state === 'seen'));
    for (const [name, pid] of pids) {
      assert.deepEqual([(await fleet.get(name)).phase, pidOf(await fleet.get(name))], ['RUNNING', pid]);
      assert.ok(alive(pid));
    }
    assert.deepEqual(ofType(await fleet.events(head), 'flap.observed'), []);
    assert.ok(((await fleet.view()).owner?.epoch ?? 0) > (owner?.epoch ?? 0));
    await passwordIsNowhere(old, postgres);
  });

  /** Neither on the screens, nor in the server's log at its finest, nor in any event. */
  async function passwordIsNowhere(old: Plane, { password }: TestPostgres): Promise<void> {
    const { code } = await plane.end();
    assert.equal(code, 0);
    const events: unknown[] = [];
    for (let after = 0; ;) {
      const page = await replica.read('demo', { after, limit: 1_000 });
      events.push(...page);
      if (page.length === 0) break;
      after = page.at(-1)!.seq;
    }
    const log = readFileSync(join(plane.data, 'holdfast.log'), 'utf8');
    assert.ok(log.length > 0 && events.length > 0);
    for (const text of [old.said(), plane.said(), log, JSON.stringify(events)]) {
      for (const secret of [password, encodeURIComponent(password)])
        assert.ok(!text.includes(secret), `the password is in: ${text.slice(0, 200)}`);
    }
  }
});
