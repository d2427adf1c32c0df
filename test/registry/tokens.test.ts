/** Which agent tokens are good, as it follows from the log: the fold, and the registry that reads it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Instance } from '../../src/core/model.ts';
import type { HeartbeatResult } from '../../src/runtime/api.ts';
import type { Beat } from '../../src/runtime/beats.ts';
import { BY, FLEET, hangs, Stage } from '../runtime/stage.ts';

const BEATS = ', heartbeat: { every: 10s, silentAfter: 30s, startGrace: 1m }';

const tokenOf = (stage: Stage, name: string): string =>
  stage.registry.env(FLEET, stage.inst(name))['HOLDFAST_INSTANCE_TOKEN'] ?? '';
const beat = (stage: Stage, token: string, what: Beat = {}): Promise<HeartbeatResult> =>
  stage.control.heartbeat(token, async () => what);
const answerTo = async (stage: Stage, token: string): Promise<HeartbeatResult['kind']> =>
  (await beat(stage, token)).kind;

/** The tokens that what was started found in its environment, by instance, in order. */
function handedOut(stage: Stage): Map<string, string[]> {
  const given = new Map<string, string[]>();
  stage.target.before = async (verb, subject) => {
    if (verb === 'stop' || verb === 'destroy') return;
    given.set(subject.instance, [...(given.get(subject.instance) ?? []), subject.env['HOLDFAST_INSTANCE_TOKEN'] ?? '']);
  };
  return given;
}

async function start(stage: Stage): Promise<void> {
  await stage.runtime.start();
}

describe('the token of an agent that Holdfast starts', () => {
  test('is in its environment with the URL, names its incarnation, and is good from the moment it is given', async () => {
    const stage = new Stage();
    await start(stage);
    const given = handedOut(stage);
    await stage.up(['a'], BEATS);
    const [token = ''] = given.get('a') ?? [];
    assert.match(token, new RegExp(`^hfi_${FLEET}\\.${stage.inst('a').uid}\\.1\\.[\\w-]{43}$`));
    assert.equal(stage.fleet.subject(stage.inst('a')).env['HOLDFAST_URL'], 'http://127.0.0.1:1');
    assert.equal(await answerTo(stage, token), 'heard');
  });

  test('is the same after a restart, and another one after an update: then the old one is void', async () => {
    const stage = new Stage();
    await start(stage);
    const given = handedOut(stage);
    await stage.up(['a'], BEATS);
    await beat(stage, tokenOf(stage, 'a'));
    await stage.during(stage.control.command(FLEET, 'a', 'restart', BY));
    await stage.pass(2_000);
    const [first = '', again] = given.get('a') ?? [];
    assert.equal(again, first);
    await beat(stage, first);
    await stage.pass(2_000);
    await stage.apply(['a'], `, labels: { x: y }${BEATS}`);
    assert.equal(await answerTo(stage, first), 'heard', 'a label makes no new one');
    await update(stage);
    const last = given.get('a')?.at(-1) ?? '';
    assert.notEqual(last, first);
    assert.deepEqual([await answerTo(stage, last), await answerTo(stage, first)], ['heard', 'unknown']);
  });

  test('stays good while an update fails, and so does the one that the update gave out', async () => {
    const stage = new Stage();
    await start(stage);
    await stage.up(['a'], BEATS);
    const old = tokenOf(stage, 'a');
    await beat(stage, old);
    stage.target.before = async (verb) => {
      if (verb === 'update') throw new Error('no room');
    };
    await update(stage);
    const tried = tokenOf(stage, 'a');
    assert.notEqual(tried, old);
    assert.deepEqual([await answerTo(stage, old), await answerTo(stage, tried)], ['heard', 'heard']);
    stage.target.before = async () => undefined;
    await stage.during(stage.control.override(FLEET, { target: null, identity: null, rollout: true, by: BY }));
    await stage.pass(10_000);
    assert.equal(tokenOf(stage, 'a'), tried, 'the second try gives out the same one: it may find what the first made');
    assert.deepEqual([await answerTo(stage, old), await answerTo(stage, tried)], ['unknown', 'heard']);
  });

  test('of a provision that was given up is still good when its work is found later', async () => {
    const stage = new Stage();
    await start(stage);
    let given = '';
    stage.target.before = async (verb, subject, signal) => {
      if (verb !== 'provision') return;
      given = subject.env['HOLDFAST_INSTANCE_TOKEN'] ?? '';
      stage.target.put({ fleet: FLEET, instance: 'a', uid: subject.uid });
      await hangs(signal, true);
    };
    await stage.apply(['a'], BEATS);
    await stage.pass(1_000);
    stage.kill();
    const next = new Stage({ clock: stage.clock, disk: stage.disk });
    next.target.put({ fleet: FLEET, instance: 'a', uid: given.split('.')[1] ?? '' });
    await next.during(next.runtime.start(), 60_000);
    await next.pass(5_000);
    assert.equal(next.inst('a').resource?.state, 'running');
    assert.equal(await answerTo(next, given), 'heard');
  });

  test('is refused to operators: there is nothing that they could do with it', async () => {
    const stage = new Stage();
    await start(stage);
    await stage.up(['a'], BEATS);
    await assert.rejects(stage.during(stage.control.renewAgentToken(FLEET, 'a', BY)), {
      kind: 'conflict',
      rule: 'managed-token',
    });
  });
});

describe('a token that is none', () => {
  test('forged, of another instance, of another key or cut short is unknown, and not a word of it is read', async () => {
    const stage = new Stage();
    await start(stage);
    await stage.up(['a', 'b'], BEATS);
    const [a, b] = [tokenOf(stage, 'a'), tokenOf(stage, 'b')];
    const [head = '', uid = '', serial = '', mac = ''] = a.split('.');
    const foreign = new Stage({ owner: 'other' }).registry.token(FLEET, uid, 1);
    const forged = [
      '',
      'hfi_',
      'hf_admin',
      a.slice(0, -1),
      `${a}A`,
      `${a.slice(0, -1)}${a.endsWith('A') ? 'B' : 'A'}`,
      [head, b.split('.')[1], serial, mac].join('.'),
      [head, uid, '2', mac].join('.'),
      [head, uid, `0${serial}`, mac].join('.'),
      [head, uid, `${serial}.0`, mac].join('.'),
      ['hfi_other', uid, serial, mac].join('.'),
      foreign,
    ];
    for (const token of forged) {
      const read = (): Promise<Beat> => Promise.reject(new Error('it was read'));
      assert.deepEqual(await stage.control.heartbeat(token, read), { kind: 'unknown' }, token);
    }
    await stage.pass(1_000);
    assert.equal(stage.inst('a').agent?.heard, 'never');
  });

  test('of a higher serial than any that was given out is unknown, though it is made with our key', async () => {
    const stage = new Stage();
    await start(stage);
    await stage.up(['a'], BEATS);
    assert.equal(await answerTo(stage, stage.registry.token(FLEET, stage.inst('a').uid, 9)), 'unknown');
  });

  test('of a deleted one is gone, while it is being deleted and after', async () => {
    const stage = new Stage();
    await start(stage);
    await stage.up(['a', 'b'], BEATS);
    const token = tokenOf(stage, 'a');
    stage.target.before = (verb, _subject, signal) => (verb === 'destroy' ? hangs(signal) : Promise.resolve());
    await stage.during(stage.control.delete(FLEET, 'a', { data: null, forget: false }, BY));
    assert.equal(await answerTo(stage, token), 'gone');
    stage.target.before = async () => undefined;
    await stage.pass(20 * 60_000);
    assert.throws(() => stage.inst('a'));
    assert.equal(await answerTo(stage, token), 'gone');
    const { length } = await stage.store.read(FLEET, { after: 0, limit: 10_000 });
    await beat(stage, token);
    await stage.pass(1_000);
    assert.equal((await stage.store.read(FLEET, { after: 0, limit: 10_000 })).length, length, 'L18 it left a trace');
  });

  test('of a fleet that was dropped is gone; of one that is only not ours just now, it is refused for now (L71)', async () => {
    const stage = new Stage();
    await start(stage);
    const token = stage.registry.token('dropped', 'u1', 1);
    assert.equal(await answerTo(stage, token), 'gone');
    await stage.store.ensureFleet('dropped');
    await assert.rejects(beat(stage, token), { kind: 'unavailable' });
  });
});

async function update(stage: Stage): Promise<void> {
  const text = `version: 1\nfleet: ${FLEET}\ninstances:\n  a: { target: fake, run: { n: 2 }${BEATS} }\n`;
  await stage.during(
    stage.control.apply(FLEET, { text, dryRun: false, prune: null, ifMatch: null, replace: false, by: BY }),
  );
  await stage.pass(1_000);
}

test('the secret half of a token is in no event and no snapshot', async () => {
  const stage = new Stage();
  await start(stage);
  await stage.up(['a'], BEATS);
  const token = tokenOf(stage, 'a');
  await beat(stage, token, { message: 'hello' });
  await stage.pass(1_000);
  await stage.fleet.loop.saveSnapshot();
  const inst: Instance = stage.inst('a');
  const kept = JSON.stringify([
    await stage.store.read(FLEET, { after: 0, limit: 10_000 }),
    await stage.store.snapshot(FLEET),
    inst,
    stage.lines,
  ]);
  assert.ok(!kept.includes(token.split('.').at(-1) ?? ''));
});
