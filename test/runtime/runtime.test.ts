/** Owning fleets: leases, losing and taking back, dropping, ending. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../../src/ports/store.ts';
import { LEASE_MS } from '../../src/runtime/limits.ts';
import { createMemoryDisk } from '../../src/stores/memory.ts';
import { dry, SimClock } from '../sim/clock.ts';
import { spec as specOf } from '../support/specs.ts';
import { BY, FLEET, hangs, Stage } from './stage.ts';

interface Mood {
  renewals: 'well' | 'refused' | 'fail' | 'hang';
  /** Set: the next tick that decides something waits for it before it is acknowledged. */
  tickUntil: Promise<void> | null;
}

function moody(mood: Mood): (inner: Store) => Store {
  return (inner) => ({
    ...inner,
    renew: async (...ask) => {
      switch (mood.renewals) {
        case 'well':
          return inner.renew(...ask);
        case 'refused':
          return false;
        case 'fail':
          throw new Error('the store does not answer');
        case 'hang':
          return new Promise<never>(() => undefined);
      }
    },
    tick: async (...ask) => {
      const written = await inner.tick(...ask);
      const until = mood.tickUntil;
      if (until !== null && written.length > 0) {
        mood.tickUntil = null;
        await until;
      }
      return written;
    },
  });
}

const well = (): Mood => ({ renewals: 'well', tickUntil: null });

for (const renewals of ['fail', 'hang', 'refused'] as const) {
  test(`an owner whose renewals ${renewals} stops acting before its lease ends, and takes the fleet back`, async () => {
    const mood = well();
    const stage = new Stage({ store: moody(mood) });
    await stage.runtime.start();
    await stage.up(['a']);
    const aborted: number[] = [];
    stage.target.before = (_verb, _subject, signal) => {
      stage.target.before = async () => undefined;
      signal.addEventListener('abort', () => aborted.push(stage.clock.now));
      return hangs(signal);
    };
    const began = stage.clock.now;
    mood.renewals = renewals;
    stage.target.exits('a');
    await stage.pass(LEASE_MS + 1_000);
    const [at] = aborted;
    assert.ok(at !== undefined && at < began + LEASE_MS, `called off at ${at}, its lease began by ${began}`);
    mood.renewals = 'well';
    await stage.pass(30_000);
    assert.equal(stage.inst('a').phase, 'RUNNING');
  });
}

test('what a last tick decides after the fleet was lost is not begun, and the next owner sees the world again', async () => {
  const mood = well();
  const stage = new Stage({ store: moody(mood) });
  await stage.runtime.start();
  await stage.up(['a']);
  let acknowledge = (): void => undefined;
  mood.tickUntil = new Promise((resolve) => (acknowledge = resolve));
  stage.target.exits('a');
  await stage.pass(50);
  assert.equal(mood.tickUntil, null, 'the tick that starts it again is being committed');
  mood.renewals = 'refused';
  const before = stage.target.calls.length;
  await stage.pass(6_000);
  assert.equal(stage.runtime.fleet(FLEET), null);
  acknowledge();
  await dry();
  assert.equal(stage.target.calls.length, before, 'a lost fleet acts');
  mood.renewals = 'well';
  await stage.pass(30_000);
  assert.equal(stage.fleet.loop.state.targets.get('fake')?.synced, true);
  assert.equal(stage.inst('a').phase, 'RUNNING');
});

test('L73 of two runtimes on one store only one decides; the other takes over when it is gone', async () => {
  const clock = new SimClock();
  const disk = createMemoryDisk({ deployment: 'two', mono: () => clock.now });
  const first = new Stage({ clock, disk, owner: 'first' });
  await first.runtime.start();
  await first.up(['a']);
  const second = new Stage({ clock, disk, owner: 'second' });
  await assert.rejects(first.during(second.runtime.start(), 60_000), /owned by another/);
  first.kill();
  await second.during(second.runtime.ensure(FLEET), 60_000);
  assert.equal(second.fleet.loop.state.epoch, 2);
});

test('an owner that was paused and overtaken is fenced out, and says nothing in the log of its successor', async () => {
  const clock = new SimClock();
  const disk = createMemoryDisk({ deployment: 'two', mono: () => clock.now });
  let release = (): void => undefined;
  let pause = false;
  const slow = new Stage({
    clock,
    disk,
    owner: 'slow',
    // Paused between taking the lease and reading the log.
    store: (inner) => ({
      ...inner,
      snapshot: async (...ask) => {
        if (pause) await new Promise<void>((resolve) => (release = resolve));
        return inner.snapshot(...ask);
      },
    }),
  });
  await slow.store.ensureFleet(FLEET);
  pause = true;
  const starting = slow.runtime.start();
  starting.catch(() => undefined);
  await slow.pass(100);
  slow.scope.kill();
  clock.now += 2 * LEASE_MS;
  const quick = new Stage({ clock, disk, owner: 'quick' });
  await quick.during(quick.runtime.ensure(FLEET), 60_000);
  await quick.up(['a']);
  release();
  await quick.pass(1_000);
  await assert.rejects(starting);
  assert.equal(quick.fleet.loop.state.epoch, 2);
  const log = await quick.store.read(FLEET, { after: 0, limit: 1_000 });
  const owners = log.flatMap((event) => (event.type === 'owner.started' ? [event.data.epoch] : []));
  assert.deepEqual(owners, [2]);
});

test('leases are renewed while the other fleets are still being taken over', async () => {
  const clock = new SimClock();
  const disk = createMemoryDisk({ deployment: 'many', mono: () => clock.now });
  const stage = new Stage({
    clock,
    disk,
    owner: 'one',
    store: (inner) => ({
      ...inner,
      snapshot: async (...ask) => {
        await new Promise<void>((resolve) => clock.after(4_000, resolve));
        return inner.snapshot(...ask);
      },
    }),
  });
  for (let i = 0; i < 8; i += 1) await stage.store.ensureFleet(`f${i}`);
  const starting = stage.runtime.start();
  await stage.pass(LEASE_MS + 2_000);
  assert.equal(await stage.store.acquire('f0', 'another', LEASE_MS), null);
  await stage.during(starting, 60_000);
  assert.equal(stage.runtime.fleets().length, 8);
});

test('L54 what is declared while a fleet is being dropped is not dropped with it', async () => {
  let open = (): void => undefined;
  let gate: Promise<void> | null = null;
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      tick: async (...ask) => {
        if (gate !== null) await gate;
        return inner.tick(...ask);
      },
    }),
  });
  await stage.runtime.start();
  await stage.during(stage.runtime.ensure(FLEET));
  await stage.pass(1_000);
  // A tick that takes its time, and with it the end of the loop.
  gate = new Promise((resolve) => (open = resolve));
  stage.fleet.loop.poke();
  const dropping = stage.control.dropFleet(FLEET, BY);
  dropping.catch(() => undefined);
  await dry();
  const applying = stage.apply(['a']);
  await stage.pass(100);
  gate = null;
  open();
  const [applied] = await Promise.allSettled([applying, dropping]);
  await stage.pass(5_000);
  assert.equal(applied.status, 'fulfilled');
  assert.equal(stage.inst('a').phase, 'RUNNING');
});

test('L54 a fleet to which something was written after it was seen to be empty is kept', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.during(stage.runtime.ensure(FLEET));
  await stage.pass(1_000);
  const { loop } = stage.fleet;
  const dropping = stage.runtime.drop(FLEET);
  dropping.catch(() => undefined);
  // Somebody who had found the fleet before.
  const spec = { ...specOf({}), target: 'fake', targetType: 'fake' };
  const hashes = { infra: 'i', config: null };
  const declared = { spec, hashes, generation: 1, revision: 'r' };
  const applied = { type: 'spec.applied', instance: 'a', uid: 'u', data: declared } as const;
  await stage.store.append(FLEET, [applied], () => loop.time());
  await assert.rejects(stage.during(dropping), /no longer at|not empty/);
  await stage.pass(5_000);
  assert.equal(stage.inst('a').phase, 'RUNNING');
});

test('L54 a fleet with orphans is not dropped: nobody would see them any more', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  stage.target.put({ fleet: FLEET, instance: 'ghost', uid: 'ghost' });
  for (const name of ['a', 'b'])
    await stage.during(stage.control.delete(FLEET, name, { data: null, forget: false }, BY));
  await stage.pass(5_000);
  await assert.rejects(stage.during(stage.control.dropFleet(FLEET, BY)), /orphan/);
  stage.target.held.clear();
  await stage.pass(5_000);
  await stage.during(stage.control.dropFleet(FLEET, BY));
});

test('a dropped fleet leaves no figures behind, and its name can be used again', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  await stage.during(stage.control.delete(FLEET, 'a', { data: null, forget: false }, BY));
  await stage.pass(3_000);
  assert.match(await stage.control.metrics(), /fleet="demo"/);
  await stage.during(stage.control.dropFleet(FLEET, BY));
  assert.doesNotMatch(await stage.control.metrics(), /fleet="demo"/);
  assert.deepEqual(await stage.control.fleets(), []);
  await stage.up(['a']);
  assert.equal(stage.inst('a').phase, 'RUNNING');
});

test('with --stop-agents what was about to be started is stopped, too', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  // A provision that takes effect although it is called off, a little later.
  stage.target.before = (verb) =>
    verb === 'provision' ? new Promise((resolve) => stage.clock.after(2_000, resolve)) : Promise.resolve();
  await stage.apply(['a', 'b']);
  await stage.pass(500);
  assert.ok(stage.target.calls.includes('provision b'));
  await stage.during(stage.runtime.stopAgents(), 60_000);
  await stage.pass(10_000);
  const running = [...stage.target.held.values()].filter(({ look }) => look.state === 'running');
  assert.deepEqual(running, []);
  await stage.during(stage.runtime.stop());
});

test('with --stop-agents a log that cannot be written does not keep the agents running', async () => {
  let full = false;
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      append: async (...ask) => {
        if (full) throw new Error('the disk is full');
        return inner.append(...ask);
      },
    }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  full = true;
  await stage.during(stage.runtime.stopAgents(), 60_000);
  await stage.during(stage.runtime.stop());
  assert.equal([...stage.target.held.values()][0]?.look.state, 'stopped');
});

test('L44 agents stopped with the server are no flaps and no crashes to the next one', async () => {
  const clock = new SimClock();
  const disk = createMemoryDisk({ deployment: 'one', mono: () => clock.now });
  const first = new Stage({ clock, disk });
  await first.runtime.start();
  await first.up(['a']);
  await first.during(first.runtime.stopAgents(), 60_000);
  await first.during(first.runtime.stop());
  const second = new Stage({ clock, disk });
  for (const [uid, item] of first.target.held) second.target.held.set(uid, item);
  await second.runtime.start();
  await second.pass(5_000);
  assert.equal(second.inst('a').phase, 'RUNNING');
  assert.equal(second.inst('a').restarts.crashes, 0);
});

test('after the end nothing is left that ticks, even if a fleet was being taken over', async () => {
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      snapshot: async (...ask) => {
        await new Promise<void>((resolve) => stage.clock.after(1_000, resolve));
        return inner.snapshot(...ask);
      },
    }),
  });
  await stage.runtime.start();
  const taking = stage.runtime.ensure(FLEET);
  taking.catch(() => undefined);
  await stage.pass(100);
  await stage.during(stage.runtime.stop());
  await assert.rejects(taking);
  const { lists } = stage.target;
  await stage.pass(60_000);
  assert.equal(stage.target.lists, lists);
  assert.deepEqual(stage.runtime.fleets(), []);
  assert.deepEqual(await stage.store.acquire(FLEET, 'another', LEASE_MS).then((lease) => lease !== null), true);
});

test('L76 a clock that jumps between two owners moves the fleet forward, never back', async () => {
  const clock = new SimClock();
  const disk = createMemoryDisk({ deployment: 'one', mono: () => clock.now });
  const first = new Stage({ clock, disk });
  await first.runtime.start();
  await first.up(['a']);
  const before = first.fleet.loop.time();
  await first.during(first.runtime.stop());
  clock.wallSkewMs -= 365 * 86_400_000;
  const second = new Stage({ clock, disk });
  for (const [uid, item] of first.target.held) second.target.held.set(uid, item);
  await second.runtime.start();
  await second.pass(5_000);
  assert.ok(second.fleet.loop.time() >= before);
  const log = await second.store.read(FLEET, { after: 0, limit: 10_000 });
  for (const [i, event] of log.entries()) assert.ok(event.at >= (log[i - 1]?.at ?? 0));
  assert.equal(second.inst('a').phase, 'RUNNING');
});
