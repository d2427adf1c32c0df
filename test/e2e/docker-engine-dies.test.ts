/**
 * An engine that is killed under a real server, at rest and in the midst of an operation, and comes back: what cannot be seen
 * is shown as that within seconds, nothing is concluded from it, and afterwards all is as declared, with its data.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startEngine, type PrivateEngine } from '../support/docker.ts';
import { decidedFor, inContainer, LIVES, openDockerPlane, type DockerPlane } from '../support/docker-plane.ts';
import { until, type Fleet } from '../support/e2e.ts';
import { realComponent } from '../support/require.ts';

const PATIENCE_MS = 90_000;
const DATA = { volumes: { data: '/data' } };

describe('an engine that dies', { timeout: 5 * 60_000 }, () => {
  let engine: PrivateEngine | null = null;
  let at: DockerPlane;

  before(async () => {
    engine = await startEngine().catch(() => null);
    if (engine === null) return;
    at = await openDockerPlane({ docker: { docker: engine.docker, host: engine.host } });
    await at.up();
  });
  after(async () => {
    if (engine === null) return;
    await at.close();
    await engine.stop();
  });

  const phase = (fleet: Fleet, name: string, wanted: string) =>
    fleet.until(name, wanted, (view) => view.phase === wanted, PATIENCE_MS);

  test('L02 L24 L45 what runs on it is UNKNOWN soon, is touched by nobody, and is as declared once the engine is back', async (t) => {
    if (engine === null) return void (await realComponent(t, 'Docker, as root', () => startEngine()));
    const fleet = at.plane().fleet('dies');
    await fleet.declare({
      policy: { rollout: { healthyFor: '100ms' } },
      instances: {
        hot: inContainer(LIVES, DATA),
        lazy: inContainer(LIVES, DATA, { lifecycle: 'lazy' }),
      },
    });
    await Promise.all([phase(fleet, 'hot', 'RUNNING'), phase(fleet, 'lazy', 'SLEEPING')]);
    await at.exec('dies', 'hot', 'echo precious > /data/note');
    const [hot, lazy] = [await at.container('dies', 'hot'), await at.container('dies', 'lazy')];
    await engine.kill();
    const gone = performance.now();
    await phase(fleet, 'hot', 'UNKNOWN');
    const tookMs = performance.now() - gone;
    t.diagnostic(`shown as UNKNOWN after ${Math.round(tookMs / 1_000)} s`);
    // Three listings half a minute apart would be 60 s at the least.
    assert.ok(tookMs < 55_000, `${tookMs} ms`);
    await phase(fleet, 'lazy', 'UNKNOWN');
    await engine.start();
    await Promise.all([phase(fleet, 'hot', 'RUNNING'), phase(fleet, 'lazy', 'SLEEPING')]);
    assert.equal((await at.container('dies', 'hot')).Id, hot.Id);
    assert.equal((await at.container('dies', 'lazy')).Id, lazy.Id);
    assert.match(await at.exec('dies', 'hot', 'cat /data/note'), /precious/);
    const events = await fleet.events();
    for (const name of ['hot', 'lazy'])
      assert.ok(
        !decidedFor(events, name).some((one) => /^missing|update|destroy/.test(one)),
        decidedFor(events, name).join(),
      );
  });

  test('L39 L45 killed in the midst of an update it leaves one container, the new one, with the data', async (t) => {
    if (engine === null) return void (await realComponent(t, 'Docker, as root', () => startEngine()));
    const fleet = at.plane().fleet('midst');
    // Its end takes a while, so that the engine is killed between the two containers.
    const slow = `trap 'sleep 3; exit 0' TERM; while :; do sleep 3600 & wait $!; done`;
    const declare = (version: string) =>
      fleet.declare({
        policy: { rollout: { healthyFor: '100ms' } },
        instances: { bot: inContainer(slow, { ...DATA, env: { VERSION: version }, stopTimeout: '20s' }) },
      });
    await declare('one');
    await phase(fleet, 'bot', 'RUNNING');
    await at.exec('midst', 'bot', 'echo precious > /data/note');
    await declare('two');
    await until('both are there', async () => (await at.containersOf('midst', 'bot')).length === 2, PATIENCE_MS);
    await engine.kill();
    await engine.start();
    await fleet.until(
      'bot',
      'as declared',
      ({ phase: now, hashes }) => now === 'RUNNING' && hashes.infra.applied === hashes.infra.declared,
      PATIENCE_MS,
    );
    const after = await at.container('midst', 'bot');
    assert.ok(after.Config.Env.includes('VERSION=two'));
    assert.match(await at.exec('midst', 'bot', 'cat /data/note'), /precious/);
    assert.ok(!decidedFor(await fleet.events(), 'bot').includes('missing: provision'));
  });
});
