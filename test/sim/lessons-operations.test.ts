/** Field failures about operations: slow, late, lost, doubled, and without effect. Each is a story with one thing going wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAlive } from './resource.ts';
import { bot, HOUR, MINUTE, script, SECOND, sleeper } from './script.ts';

test('L26 an operation that is slow, but inside its own deadline, is left in peace', async () => {
  const s = await script({ a: bot() });
  const { head } = s;
  s.next('update', { kind: 'slow', ms: 85 * SECOND });
  s.declare('a', bot({ run: { image: 'bot:2' } }));
  await s.pass(5 * MINUTE);
  assert.deepEqual(
    s.kinds(head, 'a').filter((kind) => !kind.startsWith('rollout')),
    ['update'],
  );
  assert.equal(s.inst('a').phase, 'RUNNING');
  assert.equal(s.thing('a').infra, s.inst('a').hashes.infra);
});

test('L27 what is stuck is called off, and its late success overwrites nothing', async () => {
  const s = await script({ a: sleeper() });
  const { head } = s;
  s.next('start', { kind: 'late', ms: 10 * MINUTE });
  s.command('a', 'wake');
  await s.pass(45 * SECOND);
  assert.deepEqual(
    s.kinds(head, 'a').slice(0, 3),
    ['start', 'abort', 'abandon'],
    'it was told to stop, and did not answer',
  );
  await s.pass(MINUTE);
  assert.equal(s.inst('a').phase, 'RUNNING', 'the next try has worked');
  const life = s.thing('a').incarnation;
  s.command('a', 'stop');
  await s.pass(MINUTE);
  const stopped = s.head;
  await s.pass(12 * MINUTE);
  assert.equal(s.inst('a').phase, 'STOPPED', 'what the late one began was found, and stopped');
  assert.equal(isAlive(s.thing('a')), false);
  assert.notEqual(s.thing('a').incarnation, life);
  assert.deepEqual(s.kinds(stopped, 'a'), ['stop']);
});

test('L28 a start that timed out is not taken for one that failed: what it began is found, and not begun again', async () => {
  const s = await script({ a: sleeper() });
  const before = s.lives('a');
  const { head } = s;
  s.next('start', { kind: 'unanswered' });
  s.command('a', 'wake');
  await s.pass(3 * MINUTE);
  assert.deepEqual(s.kinds(head, 'a').slice(0, 2), ['start', 'abort']);
  assert.equal(s.inst('a').phase, 'RUNNING');
  assert.equal(s.lives('a'), before + 1, 'one life, whatever was said of its start');
  assert.deepEqual(s.events('flap.observed', head), []);
});

test('L29 a late completion does not clobber what was asked after it', async () => {
  const s = await script({ a: bot() });
  const { head } = s;
  // The stop is done and answered two minutes after it was given up, when the agent runs again by the operator's wish.
  s.next('stop', { kind: 'late', ms: 3 * MINUTE });
  s.command('a', 'stop');
  await s.pass(10 * SECOND);
  s.command('a', 'resume');
  await s.pass(HOUR);
  assert.equal(s.inst('a').desired, 'running');
  assert.equal(s.inst('a').phase, 'RUNNING');
  assert.ok(isAlive(s.thing('a')));
  const late = s.events('operation.ended', head).filter(({ data }) => data.operation === 'u-a#2');
  assert.equal(late.length, 1, 'it was heard, in the end');
  assert.deepEqual(s.events('flap.observed', head), [], 'an end that a given-up stop brought about is no flap');
});

test('L30 a restart asked while another operation is at work is not dropped', async () => {
  const s = await script({ a: bot() });
  const { head } = s;
  s.next('update', { kind: 'slow', ms: 30 * SECOND });
  s.declare('a', bot({ run: { image: 'bot:2' } }));
  await s.pass(10 * SECOND);
  s.command('a', 'restart');
  await s.pass(5 * MINUTE);
  assert.deepEqual(
    s.kinds(head, 'a').filter((kind) => !kind.startsWith('rollout')),
    ['update', 'restart'],
  );
  assert.equal(s.inst('a').restartAskedSeq, null);
  assert.equal(s.lives('a'), 3);
});

test('L42 a start that is reported done and has no effect is a failure: it backs off, gives up, and says why', async () => {
  const s = await script({ a: sleeper({ run: { image: 'ghost:1' } }) });
  const { head } = s;
  s.command('a', 'wake');
  await s.pass(12 * HOUR);
  const starts = s.kinds(head, 'a').filter((kind) => kind === 'start');
  assert.ok(starts.length <= 10 + 12 * 2, `${starts.length} starts: ten with growing waits, then one per half hour`);
  assert.equal(s.inst('a').phase, 'ERROR');
  assert.equal(s.inst('a').concerns.run?.error?.code, 'no-effect');
  assert.match(s.inst('a').concerns.run?.error?.message ?? '', /reported done, but it does not run/);
});

test('L42 nor is it tried five times a second because a lease wants it awake', async () => {
  const s = await script({ a: sleeper({ run: { image: 'ghost:1' } }) });
  const { head } = s;
  const leaseUntil = s.fleet.loop.time() + 20 * MINUTE;
  s.say({ type: 'work.began', instance: 'a', uid: 'u-a', data: { leaseUntil } });
  s.command('a', 'sleep');
  await s.pass(20 * MINUTE);
  const starts = s.kinds(head, 'a').filter((kind) => kind === 'start');
  assert.ok(starts.length > 1 && starts.length <= 12, `${starts.length} starts in 20 minutes`);
});
