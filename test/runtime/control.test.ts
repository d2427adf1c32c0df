/** What the faces ask, against the whole runtime: applying, waiting, watching, removing what nobody declares. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApplyAsk, WaitResult } from '../../src/runtime/api.ts';
import { TargetError } from '../../src/ports/target.ts';
import { WEDGED_AFTER_MS } from '../../src/runtime/limits.ts';
import { dry } from '../sim/clock.ts';
import { BY, FLEET, hangs, Stage } from './stage.ts';

const manifest = (instances: { readonly [name: string]: string }): string =>
  `version: 1\nfleet: ${FLEET}\ninstances:\n${Object.entries(instances)
    .map(([name, yaml]) => `  ${name}: ${yaml}\n`)
    .join('')}`;
const ONE = '{ target: fake, run: { n: 1 } }';
const TWO = '{ target: fake, run: { n: 2 } }';
const LAZY = '{ target: fake, lifecycle: lazy, idleAfter: 10m, run: { n: 1 } }';
const LAZY_TWO = '{ target: fake, lifecycle: lazy, idleAfter: 10m, run: { n: 2 } }';

const ask = (text: string, more: Partial<ApplyAsk> = {}): ApplyAsk => ({
  text,
  dryRun: false,
  prune: null,
  ifMatch: null,
  replace: false,
  by: BY,
  ...more,
});

const forever = new AbortController().signal;

// ── waiting (L13) ───────────────────────────────────────────────────────────────────────────────────────────────────

test('L13 a wait is not answered by the state from before the command', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  const verb = 'restart';
  const life = stage.inst('a').resource?.incarnation;
  const { seq } = await stage.during(stage.control.command(FLEET, 'a', verb, BY));
  const result = await stage.during(stage.control.settled(FLEET, 'a', seq, 60_000, forever), 60_000);
  assert.equal(result.outcome, 'succeeded');
  assert.notEqual(stage.inst('a').resource?.incarnation, life);
});

test('L13 a restart that does not come about is never called a success', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  stage.target.before = async (verb) => {
    if (verb === 'start' || verb === 'stop')
      throw new TargetError({ class: 'terminal', fault: 'instance', code: 'broken', message: 'it cannot be' });
  };
  const { seq } = await stage.during(stage.control.command(FLEET, 'a', 'restart', BY));
  const result = await stage.during(stage.control.settled(FLEET, 'a', seq, 60_000, forever), 70_000);
  assert.equal(result.outcome, 'failed');
  assert.equal(result.lastError?.code, 'broken');
});

test('L13 a wait for an instance whose declaration is not folded yet does not call it gone', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  stage.target.before = (_verb, _subject, signal) => hangs(signal);
  // Durable, but the loop has not been told.
  const { loop } = stage.fleet;
  const spec = stage.inst('a').spec;
  const hashes = { infra: 'i', config: null };
  const data = { spec, hashes, generation: 1, revision: 'r' };
  const [written] = await stage.store.append(FLEET, [{ type: 'spec.applied', instance: 'b', uid: 'uid-b', data }], () =>
    loop.time(),
  );
  const waiting = stage.control.settled(FLEET, 'b', written?.seq ?? 0, 5_000, forever);
  loop.poke();
  const result = await stage.during(waiting);
  assert.notEqual(result.outcome, 'succeeded');
});

test('L13 a sleeper is settled only when it is up to date', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.during(stage.control.apply(FLEET, ask(manifest({ a: LAZY }))));
  await stage.pass(5_000);
  assert.equal(stage.inst('a').phase, 'SLEEPING');
  await stage.during(
    stage.control.hold(FLEET, { reason: 'maintenance', forMs: null, target: null, instances: null, by: BY }),
  );
  const { seq } = await stage.during(stage.control.apply(FLEET, ask(manifest({ a: LAZY_TWO }))));
  const held = await stage.during(stage.control.settled(FLEET, 'a', seq, 5_000, forever));
  assert.notEqual(held.outcome, 'succeeded');
  await stage.during(stage.control.release(FLEET, { target: null, instances: null, by: BY }));
  const done = await stage.during(stage.control.settled(FLEET, 'a', seq, 60_000, forever), 60_000);
  assert.equal(done.outcome, 'succeeded');
  assert.equal(stage.inst('a').resource?.infra, stage.inst('a').hashes.infra);
});

test('a wait ends with its client, and leaves no listener behind', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  stage.target.before = (_verb, _subject, signal) => hangs(signal, true);
  const { seq } = await stage.during(stage.control.command(FLEET, 'a', 'restart', BY));
  const gone = new AbortController();
  gone.abort();
  const early = await stage.during(stage.control.settled(FLEET, 'a', seq, 600_000, gone.signal), 1_000);
  assert.notEqual(early.outcome, 'succeeded');
  const client = new AbortController();
  const waiting = stage.control.settled(FLEET, 'a', seq, 600_000, client.signal);
  client.abort();
  const late: WaitResult = await stage.during(waiting, 1_000);
  assert.notEqual(late.outcome, 'succeeded');
});

test('L13 a wait on a fleet that is lost meanwhile does not hang, and claims nothing', async () => {
  let refused = false;
  const stage = new Stage({
    store: (inner) => ({ ...inner, renew: async (...args) => !refused && inner.renew(...args) }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  stage.target.before = (_verb, _subject, signal) => hangs(signal);
  const { seq } = await stage.during(stage.control.command(FLEET, 'a', 'restart', BY));
  const waiting = stage.control.settled(FLEET, 'a', seq, 600_000, forever);
  refused = true;
  await stage.pass(6_000);
  refused = false;
  const result = await stage.during(waiting, 30_000);
  assert.notEqual(result.outcome, 'succeeded');
});

test('L30 a command that is in the log is accepted, though the loop cannot decide on it just now', async () => {
  let down = false;
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      tick: async (...args) => {
        if (down) throw new Error('the store does not answer');
        return inner.tick(...args);
      },
    }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  down = true;
  const { seq } = await stage.during(stage.control.command(FLEET, 'a', 'stop', BY));
  const waiting = stage.control.settled(FLEET, 'a', seq, 60_000, forever);
  await stage.pass(5_000);
  down = false;
  assert.equal((await stage.during(waiting, 60_000)).phase, 'STOPPED');
});

test('L43 an orphan that cannot be removed is told with its reason', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  stage.target.put({ fleet: FLEET, instance: 'ghost', uid: 'ghost' });
  await stage.pass(3_000);
  stage.target.before = async () => {
    throw new TargetError({ class: 'transient', fault: 'instance', code: 'stuck', message: 'it hangs in the kernel' });
  };
  await assert.rejects(stage.during(stage.control.pruneOrphans(FLEET, 1, BY)), /ghost.*hangs in the kernel/);
});

// ── watching ────────────────────────────────────────────────────────────────────────────────────────────────────────

async function collect(stage: Stage, after: number, seen: number[], signal: AbortSignal): Promise<void> {
  for await (const event of stage.control.watch(FLEET, after, signal)) seen.push(event.seq);
}

test('L30 a watcher sees every event once and in order, also past a change of owner', async () => {
  let refused = false;
  const stage = new Stage({
    store: (inner) => ({ ...inner, renew: async (...args) => !refused && inner.renew(...args) }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  const seen: number[] = [];
  const reader = new AbortController();
  const watching = collect(stage, 0, seen, reader.signal);
  await stage.pass(1_000);
  refused = true;
  await stage.pass(6_000);
  refused = false;
  await stage.pass(10_000);
  stage.target.exits('a');
  await stage.pass(5_000);
  const { seq } = stage.fleet.loop.state;
  assert.deepEqual(
    seen,
    Array.from({ length: seq }, (_, i) => i + 1),
  );
  reader.abort();
  await stage.during(watching, 1_000);
});

test('a watcher ends with its fleet', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.during(stage.runtime.ensure(FLEET));
  await stage.pass(1_000);
  const watching = collect(stage, 0, [], forever);
  await stage.pass(100);
  await stage.during(stage.control.dropFleet(FLEET, BY));
  await stage.during(watching, 5_000);
});

test('watchers end when the server ends', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  const watching = collect(stage, 0, [], forever);
  await stage.pass(100);
  await stage.during(stage.runtime.stop());
  await stage.during(watching, 5_000);
});

test('a place in the log that retention has dropped is gone, not silently skipped', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  const log = stage.disk.fleets.get(FLEET);
  log?.rows.splice(0, 5);
  await assert.rejects(
    stage.control.events(FLEET, { after: 2, to: null, instance: null, limit: 10 }),
    /no longer kept/,
  );
  const page = await stage.control.events(FLEET, { after: 5, to: null, instance: null, limit: 10 });
  assert.equal(page.items[0]?.seq, 6);
  const whole = await stage.control.events(FLEET, { after: 0, to: null, instance: null, limit: 10 });
  assert.equal(whole.items[0]?.seq, 6, 'from the beginning means from what there is');
});

// ── applying ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('of two who apply on the same revision one is refused, and nothing of it is written', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  const { revision } = await stage.during(stage.control.apply(FLEET, ask(manifest({ a: ONE }))));
  await stage.pass(3_000);
  const first = stage.control.apply(FLEET, ask(manifest({ a: ONE, b: ONE }), { ifMatch: revision }));
  const second = stage.control.apply(FLEET, ask(manifest({ a: ONE, c: ONE }), { ifMatch: revision }));
  const results = await stage.during(Promise.allSettled([first, second]));
  assert.deepEqual(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  await stage.pass(3_000);
  assert.equal([...stage.fleet.loop.state.names.keys()].length, 2);
});

test('two who apply without a revision do not mix: the second is planned on what the first left', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.during(stage.control.apply(FLEET, ask(manifest({ a: ONE }))));
  const first = stage.control.apply(FLEET, ask(manifest({ a: ONE, b: ONE })));
  const second = stage.control.apply(FLEET, ask(manifest({ a: TWO, b: ONE })));
  await stage.during(Promise.all([first, second]));
  await stage.pass(10_000);
  const uids = [...stage.fleet.loop.state.instances.values()].filter(({ name }) => name === 'b');
  assert.equal(uids.length, 1, 'b is declared once');
});

test('L84 a prune of another number than expected deletes nobody', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.during(stage.control.apply(FLEET, ask(manifest({ a: ONE, b: ONE, c: ONE }))));
  await stage.pass(3_000);
  await assert.rejects(stage.during(stage.control.apply(FLEET, ask(manifest({ a: ONE }), { prune: 1 }))));
  await stage.pass(3_000);
  assert.equal(stage.fleet.loop.state.instances.size, 3);
  await stage.during(stage.control.apply(FLEET, ask(manifest({ a: ONE }), { prune: 2 })));
  await stage.pass(10_000);
  assert.deepEqual([...stage.fleet.loop.state.names.keys()], ['a']);
});

test('a name declared anew while its predecessor is being deleted waits for it, under another uid', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  const { uid } = stage.inst('a');
  let release = (): void => undefined;
  stage.target.before = (verb) =>
    verb === 'destroy' ? new Promise((resolve) => (release = resolve)) : Promise.resolve();
  await stage.during(stage.control.delete(FLEET, 'a', { data: null, forget: false }, BY));
  await stage.pass(500);
  await stage.apply(['a']);
  await stage.pass(2_000);
  assert.notEqual(stage.inst('a').uid, uid);
  assert.equal(stage.inst('a').hold?.reason, 'predecessor');
  release();
  await stage.pass(5_000);
  assert.equal(stage.inst('a').phase, 'RUNNING');
  assert.equal(stage.fleet.loop.state.instances.has(uid), false);
});

test('L35 a target that holdfast.yaml has no more is an error in words, and its instances can be forgotten', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  const { disk } = stage;
  await stage.during(stage.runtime.stop());
  const next = new Stage({ clock: stage.clock, disk, targets: [] });
  await next.runtime.start();
  await next.pass(5_000);
  assert.equal(next.inst('a').phase, 'ERROR');
  const view = await next.control.instance(FLEET, 'a');
  assert.match(view.lastError?.message ?? '', /holdfast\.yaml/);
  await next.during(next.control.delete(FLEET, 'a', { data: null, forget: true }, BY));
  await next.pass(5_000);
  assert.equal(next.fleet.loop.state.instances.size, 0);
});

test('L72 another identity is refused until an operator accepts it', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  const calls = stage.target.calls.length;
  stage.target.identity = 'fake-2';
  stage.target.held.clear();
  await stage.pass(60_000);
  assert.equal(stage.inst('a').phase, 'ERROR');
  assert.equal(stage.target.calls.length, calls);
  await stage.during(stage.control.override(FLEET, { target: 'fake', identity: 'fake-2', rollout: false, by: BY }));
  await stage.pass(30_000);
  assert.equal(stage.inst('a').phase, 'RUNNING');
});

// ── orphans ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('L53 orphans are pruned only by the right number, and never where most of what is seen is unknown', async () => {
  const stage = new Stage({ targets: ['fake', 'other'] });
  await stage.runtime.start();
  await stage.up(['a', 'b', 'c']);
  await stage.during(
    stage.control.apply(FLEET, ask(manifest({ a: ONE, b: ONE, c: ONE, d: '{ target: other, run: { n: 1 } }' }))),
  );
  await stage.pass(3_000);
  // More than are known on that target, though not in the whole fleet.
  for (const uid of ['g1', 'g2']) stage.fake('other').put({ fleet: FLEET, instance: uid, uid });
  await stage.pass(3_000);
  await assert.rejects(stage.during(stage.control.pruneOrphans(FLEET, 2, BY)), /recognised/);
  assert.equal(stage.fake('other').held.size, 3);
  stage.fake('other').held.delete('g2');
  await stage.pass(3_000);
  await assert.rejects(stage.during(stage.control.pruneOrphans(FLEET, 2, BY)), /not 2/);
  const pruned = await stage.during(stage.control.pruneOrphans(FLEET, 1, BY));
  assert.deepEqual(
    pruned.map(({ uid }) => uid),
    ['g1'],
  );
  assert.equal(stage.fake('other').held.size, 1);
});

test('L52 what carries the label of another fleet is no orphan of ours', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  await stage.apply(['z'], '', 'second');
  await stage.pass(5_000);
  assert.deepEqual(await stage.control.orphans(FLEET), []);
  assert.deepEqual(await stage.control.orphans('second'), []);
});

// ── the reconciler's own health ─────────────────────────────────────────────────────────────────────────────────────

test('L09 readiness fails, and says why, while a loop is wedged in its store', async () => {
  let hung = false;
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      tick: async (...args) => (hung ? new Promise<never>(() => undefined) : inner.tick(...args)),
    }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  assert.equal((await stage.control.ready()).ready, true);
  hung = true;
  await stage.pass(2 * WEDGED_AFTER_MS);
  const { ready, because } = await stage.control.ready();
  assert.equal(ready, false);
  assert.match(because.join(' '), /demo/);
});

test('L42 an operation that is given up counts as failed, and is counted once', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  let hung = 0;
  stage.target.before = (_verb, _subject, signal) => {
    hung += 1;
    return hung === 1 ? hangs(signal, true) : Promise.resolve();
  };
  await stage.apply(['a']);
  // Deadline of a minute, then the grace.
  await stage.pass(120_000);
  const text = await stage.control.metrics();
  const value = (type: string, outcome: string): string | undefined =>
    new RegExp(`holdfast_effects_total\\{fleet="demo",type="${type}",outcome="${outcome}"\\} (\\d+)`).exec(text)?.[1];
  assert.equal(value('provision', 'attempted'), '2');
  assert.equal(value('provision', 'failed'), '1');
  assert.equal(value('provision', 'succeeded'), '1');
});

test('an unknown fleet is said to be unknown; one that is being taken over is said to come', async () => {
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      snapshot: async (...args) => {
        await new Promise<void>((resolve) => stage.clock.after(2_000, resolve));
        return inner.snapshot(...args);
      },
    }),
  });
  await stage.store.ensureFleet(FLEET);
  const starting = stage.runtime.start();
  await stage.pass(500);
  await assert.rejects(stage.control.fleet(FLEET), { kind: 'unavailable' });
  await assert.rejects(stage.control.fleet('nowhere'), { kind: 'not-found' });
  await stage.during(starting);
  await dry();
  assert.equal((await stage.control.fleet(FLEET)).fleet, FLEET);
});

test('a token is nobody from the moment it expires', async () => {
  const stage = new Stage();
  const { token } = await stage.control.createToken({ name: 't', scope: 'read', fleets: null, expiresInMs: 1_000 });
  assert.equal((await stage.control.identify(token))?.name, 't');
  await stage.pass(1_000);
  assert.equal(await stage.control.identify(token), null);
});

// ── what concerns one instance ──────────────────────────────────────────────────────────────────────────────────────

test('events of an instance are its own, the ticks that decided something of it and the holds that name it, in pages', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  stage.target.exits('b');
  await stage.pass(3_000);
  await stage.during(
    stage.control.hold(FLEET, { reason: 'look', forMs: null, target: null, instances: ['a'], by: BY }),
  );
  const all = await stage.store.read(FLEET, { after: 0, limit: 1_000 });
  const mine = all.filter(({ type, instance, data }) => {
    if (type === 'tick.decided' || type === 'command.issued') return JSON.stringify(data).includes('"a"');
    return instance === 'a';
  });
  const seqs: number[] = [];
  for (let after: number | null = 0; after !== null;) {
    const page: Awaited<ReturnType<typeof stage.control.events>> = await stage.control.events(FLEET, {
      after,
      to: null,
      instance: 'a',
      limit: 3,
    });
    assert.ok(page.items.length <= 3);
    seqs.push(...page.items.map(({ seq }) => seq));
    after = page.next === null ? null : Number(page.next);
  }
  assert.deepEqual(
    seqs,
    mine.map(({ seq }) => seq),
  );
  assert.ok(seqs.length < all.length / 2 + 5 && mine.some(({ type }) => type === 'command.issued'));
});

test('what happened to an instance that is gone can still be read', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  await stage.during(stage.control.delete(FLEET, 'a', { data: null, forget: false }, BY));
  await stage.pass(5_000);
  await assert.rejects(stage.control.instance(FLEET, 'a'));
  const { items } = await stage.control.events(FLEET, { after: 0, to: null, instance: 'a', limit: 1_000 });
  assert.deepEqual([items[0]?.type, items.some(({ type }) => type === 'spec.deleted')], ['spec.applied', true]);
});
