/** L09: a control plane that does not do its work says so, whatever hangs. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createApp, listen } from '../../src/http/server.ts';
import type { Store } from '../../src/ports/store.ts';
import { BLOCKED_MS, PULSE_EVERY_MS, PULSE_KEPT_MS, READY_ASK_MS, WEDGED_AFTER_MS } from '../../src/runtime/limits.ts';
import { Pulse } from '../../src/runtime/pulse.ts';
import { systemClock } from '../../src/runtime/system-clock.ts';
import { SimClock } from '../sim/clock.ts';
import { readExposition } from '../support/exposition.ts';
import { FLEET, Stage } from './stage.ts';

const never = (): Promise<never> => new Promise(() => undefined);

/** A stage whose store hangs in the verbs that are named in `hung`, as a database behind a dead network does. */
async function onStage(): Promise<{ stage: Stage; hung: Set<keyof Store> }> {
  const hung = new Set<keyof Store>();
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      tick: (...args) => (hung.has('tick') ? never() : inner.tick(...args)),
      fleets: () => (hung.has('fleets') ? never() : inner.fleets()),
    }),
  });
  await stage.runtime.start();
  await stage.up(['a']);
  return { stage, hung };
}

/** As a load balancer and a supervisor ask: over HTTP. */
async function faces(
  t: TestContext,
  stage: Stage,
): Promise<(path: string) => Promise<{ status: number; text: string }>> {
  const listening = await listen(createApp(stage.control), { host: '127.0.0.1', port: 0 });
  t.after(() => listening.close());
  return async (path) => {
    const answer = await fetch(new URL(path, listening.url));
    return { status: answer.status, text: await answer.text() };
  };
}

test('L09 a tick that never ends turns both faces red, with the reason, while its store answers', async (t) => {
  const { stage, hung } = await onStage();
  const ask = await faces(t, stage);
  assert.equal((await ask('/readyz')).status, 200);
  assert.equal((await ask('/healthz')).status, 200);
  hung.add('tick');
  await stage.pass(WEDGED_AFTER_MS + 20_000);
  const ready = await ask('/readyz');
  assert.equal(ready.status, 503);
  assert.match(ready.text, /fleet \\"demo\\": a tick has been running for \d+ s/);
  const health = await ask('/healthz');
  assert.equal(health.status, 503);
  assert.match(health.text, /a tick has been running.*Start Holdfast anew/);
  const told = readExposition(await stage.control.metrics());
  assert.ok(told.value('holdfast_last_tick_age_seconds', { fleet: FLEET }) > WEDGED_AFTER_MS / 1_000);
});

test('L09 a store that hangs is said in time by readiness, and is no reason to start anew', async () => {
  const { stage, hung } = await onStage();
  hung.add('tick').add('fleets');
  await stage.pass(WEDGED_AFTER_MS + 20_000);
  const { ready, because } = await stage.during(stage.control.ready(), READY_ASK_MS + 1_000);
  assert.equal(ready, false);
  assert.match(because.join(' '), /the store does not answer: .*did not end within/);
  assert.equal((await stage.during(stage.control.alive(), READY_ASK_MS + 1_000)).ready, true);
});

test('L09 a loop that does not tick though it is due is found', async () => {
  const { stage } = await onStage();
  const { loop } = stage.fleet;
  // Its alarm was lost: nothing will ever wake it again.
  await loop.stop();
  await stage.pass(WEDGED_AFTER_MS + 20_000);
  assert.match((await stage.control.ready()).because.join(' '), /the last good tick was \d+ s ago/);
  assert.equal((await stage.control.alive()).ready, false);
});

test('L09 an event loop that stood still is told of for a minute', async () => {
  const { stage } = await onStage();
  stage.lag = { worstMs: BLOCKED_MS, meanMs: 30 };
  const { ready, because } = await stage.control.ready();
  assert.equal(ready, false);
  assert.match(because.join(' '), /event loop stood still for 10 s/);
  const told = readExposition(await stage.control.metrics());
  assert.equal(told.value('holdfast_event_loop_lag_seconds', { stat: 'worst' }), BLOCKED_MS / 1_000);
});

test('L09 a blocked event loop is felt by whoever asks first afterwards, and forgotten in the end', async () => {
  const pulse = new Pulse(systemClock);
  try {
    const blockMs = 2 * PULSE_EVERY_MS;
    const until = performance.now() + blockMs;
    while (performance.now() < until);
    // Nothing else of this process has had its turn yet.
    assert.ok(pulse.lag().worstMs >= blockMs - PULSE_EVERY_MS, `${pulse.lag().worstMs} ms`);
  } finally {
    pulse.stop();
  }

  const clock = new SimClock();
  const scope = clock.scope();
  const stopped = new Pulse(scope);
  await clock.runUntil(5_000);
  assert.equal(stopped.lag().worstMs, 0);
  // SIGSTOP: time goes by, and no timer rings.
  scope.pause();
  await clock.runUntil(20_000);
  assert.ok(stopped.lag().worstMs >= 14_000);
  scope.wake({ int: () => 0 } as never);
  await clock.runUntil(20_000 + PULSE_KEPT_MS / 2);
  assert.ok(stopped.lag().worstMs >= 14_000);
  await clock.runUntil(21_000 + 2 * PULSE_KEPT_MS);
  assert.equal(stopped.lag().worstMs, 0);
});
