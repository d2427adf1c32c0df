/** What counts as work and what does not, on a real runtime in this process: beats are heard, and measure nothing (L60). */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Instance } from '../../src/core/model.ts';
import { compose } from '../../src/runtime/compose.ts';
import { openDataFolder } from '../../src/runtime/data-folder.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { until } from '../support/e2e.ts';

type Beat = Parameters<NonNullable<Fleet['liveness']>['beat']>[1];

interface Running {
  readonly fleet: Fleet;
  bot(): Instance;
  wake(): Promise<void>;
  /** Beats like this, many times a second, until the test ends. */
  beats(beat: Beat): void;
}

async function runtimeWith(t: TestContext, more: object): Promise<Running> {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-idle-'));
  const composed = await compose(openDataFolder(path, path), {
    storeUrl: null,
    log: { ...silentLog, level: 'silent' },
  });
  let beating: NodeJS.Timeout | undefined;
  t.after(async () => {
    clearInterval(beating);
    await composed.stop({ agents: true });
    rmSync(path, { recursive: true, force: true });
  });
  await composed.start();
  const bot = {
    target: 'process',
    lifecycle: 'lazy',
    idleAfter: '1s',
    run: { command: [process.execPath, '-e', 'setInterval(() => undefined, 60000)'] },
    ...more,
  };
  const text = JSON.stringify({ version: 1, fleet: 'idle', instances: { bot } });
  const by = { token: 'test', via: 'test' };
  await composed.control.apply('idle', { text, ifMatch: null, dryRun: false, prune: null, replace: false, by });
  const fleet = composed.runtime.fleet('idle');
  assert.ok(fleet !== null);
  const inst = (): Instance => {
    const { state } = fleet.loop;
    const found = state.instances.get(state.names.get('bot') ?? '');
    assert.ok(found !== undefined);
    return found;
  };
  await until('it sleeps', () => inst().phase === 'SLEEPING');
  return {
    fleet,
    bot: inst,
    async wake() {
      await composed.control.command('idle', 'bot', 'wake', by);
      await until('it runs', () => inst().resource?.state === 'running');
    },
    beats: (beat) => (beating = setInterval(() => fleet.liveness?.beat(inst().uid, beat), 20)),
  };
}

const HEARTBEAT = { every: '1s', silentAfter: '3s', startGrace: '10s' };

test('L60 one whose beats are fresh falls asleep all the same, as soon as it has been idle for its idle time', async (t) => {
  const { bot, wake, beats } = await runtimeWith(t, { heartbeat: HEARTBEAT });
  await wake();
  beats({ status: 'ready', activeTasks: 0 });
  await until('it is heard', () => bot().agent?.heard === 'heard');
  await until('it sleeps', () => bot().phase === 'SLEEPING', 8_000);
});

test('L57 L60 one that says it has tasks stays awake beyond its idle time, and sleeps once they are done', async (t) => {
  const { bot, wake, beats, fleet } = await runtimeWith(t, { heartbeat: HEARTBEAT });
  await wake();
  beats({ status: 'ready', activeTasks: 1 });
  await until('it is busy', () => bot().agent?.busy === true);
  const since = fleet.loop.time();
  await until('three idle times have passed', () => fleet.loop.time() - since > 3_000);
  assert.equal(bot().resource?.state, 'running');
  assert.equal(bot().phase, 'RUNNING');
  fleet.liveness?.beat(bot().uid, { activeTasks: 0 });
  await until('its tasks are done', () => bot().agent?.busy === false || bot().phase === 'SLEEPING');
});

test('L60 one that falls silent is not called idle: silence is probed and healed, not slept on', async (t) => {
  const { bot, wake, fleet } = await runtimeWith(t, {
    idleAfter: '10m',
    heartbeat: { every: '200ms', silentAfter: '600ms', startGrace: '10s' },
  });
  await wake();
  fleet.liveness?.beat(bot().uid, { status: 'ready' });
  const life = bot().resource?.incarnation;
  await until('its silence is seen', () => bot().agent?.heard === 'silent' || bot().resource?.incarnation !== life);
  await until('it is restarted', () => bot().resource?.state === 'running' && bot().resource?.incarnation !== life);
  assert.notEqual(bot().phase, 'SLEEPING');
  assert.ok(bot().awake);
});

test('a lease is work without a request: it keeps one awake beyond its idle time, and no longer', async (t) => {
  const { bot, wake, fleet } = await runtimeWith(t, {});
  await wake();
  fleet.loop.report((state) => {
    const inst = state.instances.get(bot().uid);
    return inst === undefined
      ? []
      : [{ type: 'work.began', instance: inst.name, uid: inst.uid, data: { leaseUntil: fleet.loop.time() + 4_000 } }];
  });
  await until('the lease is known', () => bot().work.leaseUntil !== null);
  const { leaseUntil } = bot().work;
  await until('it sleeps', () => bot().phase === 'SLEEPING');
  assert.ok(bot().phaseSince >= (leaseUntil ?? 0) + 1_000, 'it was put to sleep although its time was leased');
});
