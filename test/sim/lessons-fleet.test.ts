/** Field failures about the control plane itself: poison, noise, two owners, endless rollouts. Each is a story. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BEATS } from '../support/specs.ts';
import { exitOf, isAlive } from './resource.ts';
import { bot, HOUR, many, MINUTE, script, SECOND, sleeper } from './script.ts';

test('L46 one row that cannot be read holds its own instance, and nobody else', async () => {
  const s = await script(many(5, bot()));
  const { head } = s;
  s.sayDamaged({ type: 'command.issued', instance: 'a00', uid: 'u-a00', data: { verb: 'stop' } });
  await s.pass(MINUTE);
  s.world.authority('sim').crash(s.thing('a00'), exitOf(1));
  s.world.authority('sim').crash(s.thing('a01'), exitOf(1));
  await s.pass(HOUR);
  assert.equal(s.inst('a00').hold?.reason, 'quarantined', 'it may have been a stop: nothing is started');
  assert.deepEqual(s.kinds(head, 'a00'), []);
  assert.equal(s.inst('a01').phase, 'RUNNING');
  assert.equal(s.events('event.quarantined', head).length, 1, 'said once, not retried for ever');
  s.command('a00', 'reconcile');
  await s.pass(MINUTE);
  assert.equal(s.inst('a00').phase, 'RUNNING');
});

test('L49 a steady fleet writes nothing: a day of heartbeats, probes and listings is not one event', async () => {
  const heartbeat = { ...BEATS, everyMs: 20 * SECOND, silentAfterMs: MINUTE, startGraceMs: 90 * SECOND };
  const s = await script({
    ...many(10, bot({ heartbeat })),
    lazy: sleeper(),
    config: bot({ config: { channel: 'file', settings: {}, value: 1 } }),
  });
  await s.pass(15 * MINUTE);
  const { head } = s;
  await s.pass(24 * HOUR);
  assert.equal(s.head, head);
  assert.deepEqual(s.phases, ['RUNNING', 'SLEEPING']);
});

test('L85 an owner that slept past its lease wakes to another one: it decides nothing, and touches nothing', async () => {
  const s = await script(many(8, bot()));
  const first = s.planes.owner;
  const epoch = first?.fleet?.loop.epoch;
  s.world.authority('sim').mood.quiet = true;
  // It falls asleep in the middle of restarts, between the stop and the start. When it wakes, some answers are heard before
  // the timer that ends its lease rings.
  for (const { instance } of [...s.world.all()].map(({ resource }) => resource)) {
    s.next('stop', { kind: 'slow', ms: 30 * SECOND }, instance);
    s.command(instance, 'restart');
  }
  await s.pass(SECOND);
  s.planes.pause(2 * MINUTE);
  s.planes.launch();
  await s.pass(MINUTE);
  const second = s.planes.owner;
  assert.notEqual(second, first, 'another has taken over');
  const { head } = s;
  await s.pass(5 * MINUTE);
  assert.equal(s.planes.owner, second);
  assert.deepEqual(s.events('owner.started', head), []);
  assert.ok((second?.fleet?.loop.epoch ?? 0) > (epoch ?? 0));
  assert.deepEqual(s.phases, ['RUNNING']);
  assert.ok([...s.world.all()].every(({ resource }) => isAlive(resource)));
  assert.deepEqual(s.world.truth.breaches, []);
});

test('L85 two owners that want the same start it once: the one that comes too late is refused', async () => {
  const s = await script(many(3, bot()));
  s.planes.launch();
  await s.pass(2 * MINUTE);
  assert.equal(s.events('owner.started').length, 1, 'while the lease is kept, nobody else owns it');
  s.world.authority('sim').crash(s.thing('a00'), exitOf(1));
  await s.pass(MINUTE);
  assert.equal(s.lives('a00'), 2);
});

test('L89 a rollout waits for no proof from those that sleep or were down before, and ends', async () => {
  const s = await script({
    ...many(6, bot()),
    down: bot({ run: { image: 'impossible:1' } }),
    z1: sleeper(),
    z2: sleeper(),
  });
  assert.equal(s.inst('down').phase, 'ERROR');
  const { head } = s;
  const next = { run: { image: 'bot:2' } };
  for (const name of Object.keys(many(6, bot()))) s.declare(name, bot(next), 'r-next');
  for (const name of ['z1', 'z2']) s.declare(name, sleeper(next), 'r-next');
  await s.pass(20 * MINUTE);
  assert.deepEqual(
    [...s.world.all()].filter(({ resource }) => resource.image !== 'bot:2'),
    [],
  );
  assert.equal(s.kinds(head).filter((kind) => kind === 'rollout-proved').length, 8);
  assert.equal(s.fleet.loop.state.rollout?.active.size, 0);
  assert.equal(s.lives('z1'), 0, 'and nobody was woken for it (L83)');
});

test('L89 one that was down before is repaired by the rollout, and keeps it from nothing', async () => {
  const s = await script({ ...many(3, bot()), down: bot({ run: { image: 'impossible:1' } }) });
  for (const name of ['a00', 'a01', 'a02', 'down']) s.declare(name, bot({ run: { image: 'bot:2' } }), 'r-next');
  await s.pass(10 * MINUTE);
  assert.deepEqual(s.phases, ['RUNNING']);
  assert.equal(s.fleet.loop.state.rollout?.active.size, 0);
});
