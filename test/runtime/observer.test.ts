/** What one target's answers become, in the whole runtime. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Listing } from '../../src/ports/target.ts';
import { TargetError } from '../../src/ports/target.ts';
import { FLEET, hangs, Stage } from './stage.ts';

const without =
  (stage: Stage, name: string): (() => Promise<Listing>) =>
  async () => {
    const all = stage.target.all();
    return { ...all, items: all.items.filter(({ instance }) => instance !== name) };
  };
const honest =
  (stage: Stage): (() => Promise<Listing>) =>
  async () =>
    stage.target.all();

test('L51 two listings that lack a resource prove nothing when one between them shows it', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  let listings = 0;
  // Each bad listing is followed by a good one; the second bad one comes much later.
  stage.target.listed = () => {
    listings += 1;
    return listings === 1 || listings === 20 ? without(stage, 'a')() : honest(stage)();
  };
  await stage.pass(60_000);
  assert.ok(listings > 20);
  assert.equal(stage.inst('a').resource?.state, 'running');
  assert.deepEqual(
    stage.target.calls.filter((call) => call === 'provision a'),
    ['provision a'],
  );
});

test('L51 absence is believed after two complete listings in a row, and then healed', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  stage.target.held.delete(stage.inst('a').uid);
  await stage.pass(5_000);
  assert.equal(stage.target.calls.filter((call) => call === 'provision a').length, 2);
  assert.equal(stage.inst('a').phase, 'RUNNING');
});

test('L51 the second look of a proof follows the first at once, and no storm of looks comes of it', async () => {
  const stage = new Stage();
  stage.target.traits = { ...stage.target.traits, sweepEveryMs: 30_000 };
  await stage.runtime.start();
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  await stage.up(names);
  await stage.pass(10_000);
  let before = stage.target.lists;
  stage.target.held.delete(stage.inst('a').uid);
  stage.target.tell({ kind: 'look-again', reason: 'it was removed' });
  await stage.pass(100);
  assert.equal(stage.target.calls.filter((call) => call === 'provision a').length, 2);
  assert.ok(stage.target.lists >= before + 2, 'proved by two listings');
  // One that loses sight of another one each time: every look is the first half of some proof.
  await stage.pass(10_000);
  before = stage.target.lists;
  let turn = 0;
  stage.target.listed = () => without(stage, names[turn++ % names.length]!)();
  stage.target.tell({ kind: 'look-again', reason: 'something' });
  await stage.pass(2_000);
  const asked = stage.target.lists - before;
  assert.ok(asked >= 10 && asked <= 24, `${asked} looks in two seconds`);
  assert.equal(stage.target.calls.filter((call) => /^provision [b-f]/.test(call)).length, 5, 'nothing was proved');
});

test('L51 an error between two listings that lack a resource is no proof of either', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  stage.target.listed = async () => {
    throw new TargetError({ class: 'transient', fault: 'target', code: 'down', message: 'down' });
  };
  await stage.pass(60_000);
  assert.equal(stage.inst('a').resource?.state, 'running');
  assert.equal(stage.inst('a').phase, 'UNKNOWN');
});

test('L01 a target that never answers from the start is said to be stale, and its instances are UNKNOWN', async () => {
  const stage = new Stage();
  stage.target.listed = (signal) => hangs(signal, true).then(() => stage.target.all());
  await stage.runtime.start();
  await stage.up(['a']);
  await stage.pass(60_000);
  assert.equal(stage.inst('a').phase, 'UNKNOWN');
  assert.deepEqual(stage.target.calls, []);
  stage.target.listed = honest(stage);
  await stage.pass(10_000);
  assert.equal(stage.inst('a').phase, 'RUNNING');
});

test('a target that is seen every half minute is known to be away within seconds, and then asked no more often than ever', async () => {
  const stage = new Stage();
  stage.target.traits = { ...stage.target.traits, sweepEveryMs: 30_000 };
  await stage.runtime.start();
  await stage.up(['a']);
  await stage.pass(60_000);
  const steady = stage.target.lists;
  await stage.pass(300_000);
  assert.ok(stage.target.lists - steady <= 11, `${stage.target.lists - steady} listings in five steady minutes`);
  const down = async (): Promise<Listing> => {
    throw new TargetError({ class: 'transient', fault: 'target', code: 'down', message: 'down' });
  };
  stage.target.listed = down;
  stage.target.tell({ kind: 'look-again', reason: 'the event stream broke' });
  await stage.pass(5_000);
  assert.equal(stage.inst('a').phase, 'RUNNING', 'not by one or two that failed');
  await stage.pass(10_000);
  assert.equal(stage.inst('a').phase, 'UNKNOWN');
  const before = stage.target.lists;
  await stage.pass(300_000);
  assert.ok(stage.target.lists - before <= 11, `${stage.target.lists - before} listings in five minutes`);
  stage.target.listed = honest(stage);
  await stage.pass(31_000);
  assert.equal(stage.inst('a').phase, 'RUNNING');
  stage.target.listed = () => {
    stage.target.listed = honest(stage);
    return down();
  };
  await stage.pass(120_000);
  assert.equal(stage.inst('a').phase, 'RUNNING', 'one that failed is no outage');
});

test('what was RUNNING before we were is not shown so once a first look has failed', async () => {
  const first = new Stage();
  await first.runtime.start();
  await first.up(['a']);
  await first.during(first.runtime.stop());
  const stage = new Stage({ clock: first.clock, disk: first.disk });
  stage.target.listed = async () => {
    throw new TargetError({ class: 'transient', fault: 'target', code: 'down', message: 'connection refused' });
  };
  await stage.during(stage.runtime.start());
  await stage.pass(1_500);
  assert.equal(stage.inst('a').phase, 'UNKNOWN');
  assert.match(stage.fleet.loop.state.targets.get('fake')?.stale?.message ?? '', /connection refused/);
});

test('L03 a listing that hangs is given up, and the next one is taken', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  let hung = 0;
  stage.target.listed = (signal) => {
    stage.target.listed = honest(stage);
    hung += 1;
    return hangs(signal, true).then(() => stage.target.all());
  };
  await stage.pass(5_000);
  assert.equal(hung, 1);
  const before = stage.target.lists;
  await stage.pass(5_000);
  assert.ok(stage.target.lists >= before + 4);
});

test('notices for a fleet or a uid that is not ours, or before anybody is served, say nothing', async () => {
  const stage = new Stage();
  const observer = stage.observed.observer('fake');
  assert.ok(observer !== null);
  const look = {
    state: 'stopped',
    ref: 'r',
    incarnation: 'x',
    infra: null,
    exit: null,
    restarts: 0,
    attrs: {},
  } as const;
  stage.target.tell({ kind: 'changed', fleet: FLEET, uid: 'nobody', look });
  await stage.runtime.start();
  await stage.up(['a']);
  const { seq } = stage.fleet.loop.state;
  stage.target.tell({ kind: 'changed', fleet: FLEET, uid: 'nobody', look });
  stage.target.tell({ kind: 'changed', fleet: 'another', uid: stage.inst('a').uid, look });
  await stage.pass(2_000);
  assert.equal(stage.fleet.loop.state.seq, seq);
});

test('L49 a steady fleet writes nothing, whatever is seen', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b', 'c']);
  const { seq } = stage.fleet.loop.state;
  await stage.pass(10 * 60_000);
  assert.equal(stage.fleet.loop.state.seq, seq);
});

test('a long outage of the store does not pile up what each sweep says again', async () => {
  let down = false;
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      append: async (...ask) => {
        if (down) throw new Error('the disk is full');
        return inner.append(...ask);
      },
      tick: async (...ask) => {
        if (down) throw new Error('the disk is full');
        return inner.tick(...ask);
      },
    }),
  });
  await stage.runtime.start();
  const names = Array.from({ length: 5 }, (_, i) => `a${i}`);
  await stage.up(names);
  const { seq } = stage.fleet.loop.state;
  down = true;
  for (const [uid, item] of stage.target.held)
    stage.target.held.set(uid, {
      ...item,
      look: { ...item.look, state: 'stopped', exit: { code: 1, signal: null, oom: false, output: null } },
    });
  await stage.pass(10 * 60_000);
  down = false;
  await stage.pass(20_000);
  for (const name of names) assert.equal(stage.inst(name).phase, 'RUNNING');
  const written = stage.fleet.loop.state.seq - seq;
  assert.ok(written < 100, `${written} events for five stops`);
});

test('the orphans of a fleet are never the living of another target or fleet', async () => {
  const stage = new Stage({ targets: ['fake', 'other'] });
  await stage.runtime.start();
  await stage.apply(['a']);
  const text = `version: 1\nfleet: ${FLEET}\ninstances:\n  a: { target: fake, run: { n: 1 } }\n  b: { target: other, run: { n: 1 } }\n`;
  await stage.during(
    stage.control.apply(FLEET, {
      text,
      dryRun: false,
      prune: null,
      ifMatch: null,
      replace: false,
      by: { token: 't', via: 't' },
    }),
  );
  await stage.pass(5_000);
  // Both names lead to one engine: each sees what the other made.
  const both = (): Listing => ({
    identity: 'fake-1',
    items: [...stage.fake('fake').held.values(), ...stage.fake('other').held.values()],
  });
  stage.fake('fake').listed = async () => both();
  stage.fake('other').listed = async () => both();
  stage.fake('fake').put({ fleet: FLEET, instance: 'ghost', uid: 'ghost' });
  stage.fake('fake').put({ fleet: 'elsewhere', instance: 'theirs', uid: 'theirs' });
  await stage.pass(5_000);
  const uids = (await stage.control.orphans(FLEET)).map(({ uid }) => uid);
  assert.deepEqual([...new Set(uids)], ['ghost']);
});
