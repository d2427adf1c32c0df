/** Field failures about seeing wrongly: what the world shows is not what is so. Each is a story with one thing going wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BEATS, HEALTH } from '../support/specs.ts';
import { exitOf, isAlive } from './resource.ts';
import { bot, HOUR, many, MINUTE, script, SECOND, sleeper, type Script } from './script.ts';

const beating = bot({
  heartbeat: { ...BEATS, everyMs: 20 * SECOND, silentAfterMs: MINUTE, startGraceMs: 90 * SECOND },
});
const livesOf = (s: Script): readonly (string | null)[] =>
  [...s.world.all()].map(({ resource }) => resource.incarnation);

test('L02 an authority that answers nothing but errors for an hour costs no agent its life', async () => {
  const s = await script(many(10, bot()));
  const before = livesOf(s);
  const { head } = s;
  s.world.authority('sim').mood.down = true;
  await s.pass(5 * MINUTE);
  assert.deepEqual(s.phases, ['DEGRADED'], 'heard, and not seen: never painted green');
  await s.pass(HOUR);
  s.world.authority('sim').mood.down = false;
  await s.pass(MINUTE);
  assert.deepEqual(s.phases, ['RUNNING']);
  assert.deepEqual(s.kinds(head), []);
  assert.deepEqual(livesOf(s), before);
});

test('L45 a blip in which everything seems gone re-provisions nothing, and passes by itself', async () => {
  const s = await script(many(20, bot()));
  const before = livesOf(s);
  const { head } = s;
  s.world.authority('sim').mood.emptyListings = 4;
  await s.pass(3 * MINUTE);
  assert.ok(
    s.events('resource.observed', head).some(({ data }) => data.state === 'missing'),
    'the lie was believed',
  );
  assert.deepEqual(s.kinds(head), [], 'and nothing was done about it');
  assert.deepEqual(s.phases, ['RUNNING']);
  assert.deepEqual(livesOf(s), before);
});

test('L51 one empty listing says nothing; many delete nothing, and re-create no more than a few', async () => {
  const s = await script(many(20, bot()));
  const before = livesOf(s);
  const { head } = s;
  s.world.authority('sim').mood.emptyListings = 1;
  await s.pass(3 * MINUTE);
  assert.equal(s.head, head, 'not one event');
  s.world.authority('sim').mood.emptyListings = 1_000;
  await s.pass(HOUR);
  assert.deepEqual(s.phases, ['PENDING']);
  assert.equal(s.inst('a00').hold?.reason, 'blast-radius');
  assert.deepEqual(s.kinds(head), []);
  assert.deepEqual(livesOf(s), before, 'all are there as before');
});

test('L53 a restored old database makes orphans of the living, and destroys none of them', async () => {
  const s = await script(many(3, bot()));
  const backup = s.disk.fleets.get('sim');
  assert.ok(backup);
  const { head, lastAt, rows } = backup;
  const kept = [...rows];
  for (const name of ['b1', 'b2', 'b3', 'b4']) s.declare(name, bot());
  await s.pass(5 * MINUTE);
  assert.equal(livesOf(s).length, 7);
  s.planes.crash();
  Object.assign(backup, { head, lastAt, rows: kept, snapshots: [] });
  s.planes.launch();
  await s.pass(HOUR);
  assert.deepEqual(s.phases, ['RUNNING']);
  assert.equal(s.fleet.loop.state.instances.size, 3);
  assert.equal(livesOf(s).length, 7, 'those that nobody knows run on');
  const orphans = s.planes.owner?.targets.observer('sim')?.orphansOf('sim').orphans ?? [];
  assert.deepEqual(
    orphans.map(({ instance }) => instance).sort(),
    ['b1', 'b2', 'b3', 'b4'],
    'and are shown as orphans',
  );
});

test('L72 an engine that comes back with another data root is refused: nothing is re-created with empty volumes', async () => {
  const s = await script(many(6, bot()));
  const before = livesOf(s);
  const { head } = s;
  s.world.authority('sim').mood.foreign = true;
  await s.pass(2 * HOUR);
  assert.deepEqual(s.phases, ['ERROR']);
  assert.deepEqual(s.kinds(head), []);
  assert.equal(s.events('resource.observed', head).length, 0, 'its listings say nothing of ours');
  s.world.authority('sim').mood.foreign = false;
  await s.pass(MINUTE);
  assert.deepEqual(s.phases, ['RUNNING']);
  assert.deepEqual(livesOf(s), before);
});

test('L76 a wall clock that jumps by a year, forth or back, moves no deadline and ages nothing', async () => {
  const s = await script({ ...many(3, beating), lazy: sleeper() });
  const { head } = s;
  for (const years of [1, -2]) {
    s.world.clock.wallSkewMs += years * 365 * 24 * HOUR;
    await s.pass(5 * MINUTE);
    assert.equal(s.head, head, 'while it runs, it does not look at the wall clock');
  }
  const at = s.log().at(-1)?.at ?? 0;
  s.planes.crash();
  s.planes.launch();
  await s.pass(5 * MINUTE);
  assert.ok(s.fleet.loop.time() >= at, 'a new owner goes on where the log ends');
  assert.deepEqual(s.kinds(head), []);
  assert.deepEqual(s.phases, ['RUNNING', 'SLEEPING']);
});

test('L77 a listing begun before a start that arrives after it is no flap and no second start', async () => {
  const s = await script({ a: bot() });
  s.world.authority('sim').mood.quiet = true;
  s.command('a', 'stop');
  await s.pass(2 * MINUTE);
  assert.equal(s.inst('a').phase, 'STOPPED');
  const { head } = s;
  // The next listing looks now, when it is stopped, and is heard when it runs again.
  s.next('list', { kind: 'late', ms: 10 * SECOND });
  while (s.world.twists.length > 0) await s.pass(SECOND);
  s.command('a', 'resume');
  await s.pass(5 * MINUTE);
  assert.deepEqual(s.kinds(head, 'a'), ['start']);
  assert.equal(s.lives('a'), 2);
  assert.deepEqual(s.events('flap.observed', head), []);
});

test('L88 our own ingress fails and every agent looks silent: none is restarted, and all are heard again', async () => {
  const s = await script(many(20, beating));
  const before = livesOf(s);
  const { head } = s;
  for (const { authority, resource } of s.world.all()) authority.behave(resource, { mute: true });
  await s.pass(10 * MINUTE);
  assert.deepEqual(s.phases, ['DEGRADED']);
  assert.equal(s.inst('a00').hold?.reason, 'blast-radius');
  for (const { authority, resource } of s.world.all()) authority.behave(resource, { mute: false });
  await s.pass(2 * MINUTE);
  assert.deepEqual(s.phases, ['RUNNING']);
  assert.deepEqual(s.kinds(head), []);
  assert.deepEqual(livesOf(s), before);
});

test('L54 what is deleted while listings lie is destroyed all the same: nothing is left to run and to bill', async () => {
  const s = await script({ a: bot(), b: bot() });
  s.world.authority('sim').mood.emptyListings = 4;
  await s.pass(2 * MINUTE);
  s.say({ type: 'spec.deleted', instance: 'a', uid: 'u-a', data: { data: 'keep', forget: false, prune: false } });
  await s.pass(5 * MINUTE);
  assert.equal(s.fleet.loop.state.instances.has('u-a'), false);
  assert.equal(s.world.find('u-a'), null);
  assert.ok(isAlive(s.thing('b')));
});

test('L18 a heartbeat that comes late vouches for nothing that is gone', async () => {
  const s = await script(many(20, bot({ heartbeat: beating.heartbeat, health: HEALTH })));
  const { head } = s;
  const authority = s.world.authority('sim');
  for (const { resource } of [...s.world.all()].slice(0, 15)) authority.vanish(resource);
  for (let i = 0; i < 10; i += 1) {
    await s.pass(20 * SECOND);
    for (const { uid } of s.fleet.loop.state.instances.values()) s.fleet.liveness?.beat(uid, { status: 'ready' });
  }
  assert.equal(
    s.kinds(head).filter((kind) => kind === 'provision').length,
    0,
    'so many are re-created on an operator’s word alone',
  );
  s.say({ type: 'command.issued', data: { verb: 'override', target: 'sim', identity: null, rollout: false } });
  await s.pass(5 * MINUTE);
  assert.deepEqual(s.phases, ['RUNNING']);
});

test('the end of a life that is told again, late, is no second flap', async () => {
  const s = await script({ a: bot() });
  const { head } = s;
  const first = s.thing('a');
  const ended = { ...s.world.authority('sim').look(first), state: 'stopped', exit: exitOf(1) } as const;
  for (let i = 0; i < 3; i += 1) {
    s.world.authority('sim').crash(s.thing('a'), exitOf(1));
    await s.pass(2 * MINUTE);
  }
  s.fleet.loop.report(() => [
    {
      type: 'resource.observed',
      instance: 'a',
      uid: 'u-a',
      data: { ...ended, began: s.fleet.loop.state.seq, eventful: true },
    },
  ]);
  await s.pass(MINUTE);
  assert.equal(s.events('flap.observed', head).length, 3);
  assert.equal(s.inst('a').restarts.crashes, 3);
});
