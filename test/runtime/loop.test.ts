/** The promises of the loop: nothing is lost, nothing acts too early, and it never falls asleep for good. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '../../src/core/events.ts';
import type { Store } from '../../src/ports/store.ts';
import { MAX_REST_MS } from '../../src/runtime/limits.ts';
import { FLEET, Stage } from './stage.ts';

/** A store whose verbs fail while `failing` holds their name. */
function moody(failing: Set<keyof Store>): (inner: Store) => Store {
  const check = (verb: keyof Store): void => {
    if (failing.has(verb)) throw new Error(`${verb} fails`);
  };
  return (inner) => ({
    ...inner,
    append: async (...ask) => {
      check('append');
      return inner.append(...ask);
    },
    tick: async (...ask) => {
      check('tick');
      return inner.tick(...ask);
    },
    read: async (...ask) => {
      check('read');
      return inner.read(...ask);
    },
    saveSnapshot: async (...ask) => {
      check('saveSnapshot');
      return inner.saveSnapshot(...ask);
    },
  });
}

const forever = new AbortController().signal;

const beat = (stage: Stage, name: string): NewEvent => ({
  type: 'agent.reported',
  instance: name,
  uid: stage.inst(name).uid,
  data: { report: 'version', version: '1' },
});

test('L09 a look into the log that fails takes no wake-up with it', async () => {
  const failing = new Set<keyof Store>();
  const stage = new Stage({
    store: (inner) => ({
      ...moody(failing)(inner),
      // Slow, so that the loop's own alarm rings while it is read.
      read: async (...ask) => {
        if (failing.has('read')) {
          await new Promise<void>((resolve) => stage.clock.after(2 * MAX_REST_MS, resolve));
          throw new Error('read fails');
        }
        return inner.read(...ask);
      },
    }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  failing.add('read');
  await assert.rejects(stage.during(stage.control.dryRun(FLEET, { observe: false }, forever), 60_000));
  failing.clear();
  const before = stage.fleet.loop.lastTickMono;
  await stage.pass(2 * MAX_REST_MS);
  assert.ok(stage.fleet.loop.lastTickMono > before, 'it never ticked again');
});

test('a look into the log that fails keeps neither the end of the loop nor other askers', async () => {
  const failing = new Set<keyof Store>();
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      read: async (...ask) => {
        if (failing.has('read')) {
          await new Promise<void>((resolve) => stage.clock.after(100, resolve));
          throw new Error('read fails');
        }
        return inner.read(...ask);
      },
    }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  failing.add('read');
  const looking = stage.control.dryRun(FLEET, { observe: false }, forever);
  looking.catch(() => undefined);
  await stage.pass(50);
  await stage.during(stage.fleet.loop.stop());
  await assert.rejects(looking);
});

test('a fact that the store refuses for what it is does not keep the others out (L46)', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  const { loop } = stage.fleet;
  const broken = { type: 'agent.reported', instance: 'a', uid: stage.inst('a').uid, data: { report: 'version' } };
  loop.report(() => [broken as unknown as NewEvent]);
  loop.report(() => [beat(stage, 'b')]);
  await stage.pass(10_000);
  assert.equal(loop.failure, null);
  assert.equal(stage.inst('b').agent?.version, '1');
  assert.ok(stage.errors().length > 0, 'it is said');
});

test('L46 a source that throws loses its own facts only', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  const { loop } = stage.fleet;
  loop.report(() => {
    throw new Error('a fault of ours');
  });
  loop.report(() => [beat(stage, 'a')]);
  await stage.pass(1_000);
  assert.equal(stage.inst('a').agent?.version, '1');
});

test('L46 what the rules cannot decide about one instance leaves its fleet to be healed, and is counted and said', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b', 'c']);
  const broken = stage.inst('b');
  broken.spec = { ...broken.spec, plugins: null as unknown as typeof broken.spec.plugins };
  for (const name of ['a', 'b', 'c']) stage.target.exits(name);
  await stage.pass(5_000);
  const { loop } = stage.fleet;
  assert.equal(loop.failure, null);
  assert.deepEqual(
    ['a', 'b', 'c'].map((name) => [stage.inst(name).phase, stage.inst(name).hold?.reason ?? null]),
    [
      ['RUNNING', null],
      ['DEGRADED', 'fault'],
      ['RUNNING', null],
    ],
  );
  assert.match(await stage.control.metrics(), /holdfast_invariant_violations_total\{[^}]*invariant="7"[^}]*\} [1-9]/);
  assert.ok(stage.errors().some((message) => message.includes('fault of Holdfast')));
});

test('a fact reported while the store is down is in the log when it is up again, once', async () => {
  const failing = new Set<keyof Store>();
  const stage = new Stage({ store: moody(failing) });
  await stage.runtime.start();
  await stage.up(['a']);
  failing.add('append');
  stage.fleet.loop.report(() => [beat(stage, 'a')]);
  await stage.pass(60_000);
  assert.notEqual(stage.fleet.loop.failure, null);
  failing.clear();
  await stage.pass(10_000);
  const log = await stage.store.read(FLEET, { after: 0, limit: 10_000 });
  assert.equal(log.filter((event) => event.type === 'agent.reported').length, 1);
  assert.equal(stage.fleet.loop.failure, null);
});

test('L42 an effect starts only once the tick that decided it is committed', async () => {
  const failing = new Set<keyof Store>();
  const stage = new Stage({ store: moody(failing) });
  await stage.runtime.start();
  await stage.up(['a']);
  failing.add('tick');
  stage.target.exits('a');
  await stage.pass(30_000);
  assert.deepEqual(stage.target.calls, ['provision a']);
  failing.clear();
  await stage.pass(10_000);
  assert.deepEqual(stage.target.calls, ['provision a', 'start a']);
});

test('a tick whose acknowledgement is lost is carried out, once', async () => {
  let lose = false;
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      tick: async (...ask) => {
        const written = await inner.tick(...ask);
        if (lose && written.length > 0) {
          lose = false;
          throw new Error('the acknowledgement was lost');
        }
        return written;
      },
    }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  lose = true;
  stage.target.exits('a');
  await stage.pass(10_000);
  assert.deepEqual(stage.target.calls, ['provision a', 'start a']);
  assert.equal(stage.inst('a').phase, 'RUNNING');
});

test('facts whose acknowledgement is lost are written twice at worst, and change nothing then', async () => {
  let lose = false;
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      append: async (...ask) => {
        const written = await inner.append(...ask);
        if (lose) {
          lose = false;
          throw new Error('the acknowledgement was lost');
        }
        return written;
      },
    }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  lose = true;
  stage.target.exits('a');
  await stage.pass(20_000);
  assert.deepEqual(stage.target.calls, ['provision a', 'start a']);
  const log = await stage.store.read(FLEET, { after: 0, limit: 10_000 });
  assert.equal(log.filter((event) => event.type === 'flap.observed').length, 1);
});

test('a snapshot that cannot be saved is no failed tick: commands are taken all the same', async () => {
  const failing = new Set<keyof Store>(['saveSnapshot']);
  const stage = new Stage({ store: moody(failing) });
  await stage.runtime.start();
  await stage.up(['a']);
  const { loop } = stage.fleet;
  // More than a snapshot's worth of history.
  for (let i = 0; i < 30; i += 1) {
    const facts = Array.from(
      { length: 1_000 },
      (_, n): NewEvent => ({ ...beat(stage, 'a'), data: { report: 'version', version: `${i}-${n}` } }) as NewEvent,
    );
    loop.report(() => facts);
    await stage.pass(50);
  }
  await stage.pass(1_000);
  assert.equal(loop.failure, null);
  await stage.during(stage.control.command(FLEET, 'a', 'stop', { token: 't', via: 't' }));
});

test('L09 it ticks at least every so often, though nothing happens', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  for (let i = 0; i < 5; i += 1) {
    const before = stage.fleet.loop.lastTickMono;
    await stage.pass(MAX_REST_MS + 100);
    assert.ok(stage.fleet.loop.lastTickMono > before);
  }
});

test('L30 a command is answered while the fleet is busy, not when it is done', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['victim']);
  stage.target.before = async () => {
    await new Promise<void>((resolve) => stage.clock.after(200, resolve));
  };
  const many = Array.from({ length: 400 }, (_, i) => `n${i}`);
  await stage.apply(['victim', ...many]);
  await stage.pass(500);
  await stage.during(stage.control.command(FLEET, 'victim', 'stop', { token: 't', via: 't' }), 1_000);
});

test('one listener that throws breaks neither the tick nor the other listeners', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  let heard = 0;
  stage.fleet.listen(() => {
    throw new Error('a fault of ours');
  });
  stage.fleet.listen(() => (heard += 1));
  stage.target.exits('a');
  await stage.pass(5_000);
  assert.ok(heard > 0);
  assert.equal(stage.fleet.loop.failure, null);
  assert.equal(stage.inst('a').phase, 'RUNNING');
});

test('an instance forgotten in a tick whose acknowledgement is lost leaves no alarm that rings for ever', async () => {
  let lose = false;
  let ticks = 0;
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      tick: async (...ask) => {
        ticks += 1;
        const written = await inner.tick(...ask);
        const forgets = written.some(
          (event) => event.type === 'tick.decided' && event.data.actions.some(({ type }) => type === 'forget'),
        );
        if (!lose || !forgets) return written;
        lose = false;
        throw new Error('the acknowledgement was lost');
      },
    }),
  });
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  lose = true;
  await stage.during(stage.control.delete(FLEET, 'a', { data: null, forget: false }, { token: 't', via: 't' }));
  await stage.pass(5_000);
  assert.equal(lose, false);
  assert.equal(stage.fleet.loop.state.instances.size, 1);
  ticks = 0;
  await Promise.race([
    stage.pass(3 * 60_000),
    new Promise((_, reject) => setTimeout(() => reject(new Error(`it ticks without end: ${ticks}`)), 5_000).unref()),
  ]);
  assert.ok(ticks < 100, `${ticks} ticks in three quiet minutes`);
});
