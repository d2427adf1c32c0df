/**
 * What becomes of the docker target when the engine itself fails: engines of our own, killed and started again.
 */
import assert from 'node:assert/strict';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import type { TargetNotice } from '../../src/ports/target.ts';
import { startEngine, type PrivateEngine } from '../support/docker.ts';
import { makeWorld, RUNS, script, soon, type DockerWorld } from '../support/docker-world.ts';
import { realComponent } from '../support/require.ts';
import { eventually, failure } from './target.suite.ts';

const STARTED = { unstarted: false } as const;

// One engine for all: a second costs a second. Each test leaves it running.
let engine: Promise<PrivateEngine> | null = null;
after(async () => (await engine?.catch(() => null))?.stop());

function check(
  title: string,
  body: (world: DockerWorld, engine: PrivateEngine, t: TestContext) => Promise<void>,
): void {
  test(title, async (t) => {
    const mine = await realComponent(t, 'Docker', () => (engine ??= startEngine()));
    if (mine === null) return;
    const world = makeWorld(mine);
    try {
      await body(world, mine, t);
    } finally {
      await world.cleanup();
    }
  });
}

check(
  'L45 an engine killed in the midst of a stop is a fault of the target, and nothing is concluded from it',
  async (world, engine) => {
    // Not for long: the engine, once back, ends in good order what runs.
    const agent = world.custom({ command: script({ kind: 'stubborn' }, 'one'), stopTimeout: '4s' });
    const { target } = world;
    const before = await target.provision(agent, STARTED, soon());
    const notices: TargetNotice[] = [];
    target.watch!(world.deployment, (notice) => notices.push(notice));
    await eventually('the stream is open', () => Promise.resolve(notices.length > 0));
    const stopping = failure(target.stop(agent, soon()));
    // The first step of a stop is that the engine shall not start it again.
    await eventually(
      'the stop has begun',
      async () => (await world.container(agent)).HostConfig.RestartPolicy?.Name === 'no',
    );
    notices.length = 0;
    await engine.kill();
    const error = await stopping;
    assert.deepEqual([error.detail.class, error.detail.fault], ['transient', 'target'], error.detail.message);
    for (const ask of [
      target.list(soon()),
      target.inspect(agent, soon()),
      target.health!(agent, soon()),
      target.provision(agent, STARTED, soon()),
      target.destroy(agent, { data: 'delete' }, soon()),
    ]) {
      const down = await failure(ask);
      assert.deepEqual(
        [down.detail.class, down.detail.fault, down.detail.code],
        ['transient', 'target', 'engine-unreachable'],
      );
      assert.match(down.detail.message, /engine at unix:/);
    }
    assert.ok(
      notices.every(({ kind }) => kind === 'look-again'),
      'nothing is told of any container',
    );
    notices.length = 0;
    await engine.start();
    await eventually('looked again once it is back', () =>
      Promise.resolve(notices.some(({ kind }) => kind === 'look-again')),
    );
    const listing = await target.list(soon());
    assert.deepEqual(
      listing.items.map(({ uid }) => uid),
      [agent.uid],
    );
    assert.equal(listing.items[0]!.look.ref, before.ref);
    assert.equal((await target.start(agent, soon())).state, 'running');
  },
);

check('an engine killed in the midst of provisioning leaves what the next try finds', async (world, engine) => {
  const agents = Array.from({ length: 6 }, (_, i) => world.subject({ name: `agent-${i}` }));
  const tries = agents.map((agent) => failure(world.target.provision(agent, STARTED, soon())));
  await eventually(
    'it is in the midst of it',
    async () => (await world.docker.listContainers({ all: true })).length >= 2,
  );
  await engine.kill();
  for (const error of await Promise.all(tries.map((one) => one.catch(() => null))))
    assert.ok(error === null || error.detail.fault === 'target', error?.detail.message);
  await engine.start();
  for (const agent of agents) assert.equal((await world.target.provision(agent, STARTED, soon())).state, 'running');
  const listing = await world.target.list(soon());
  assert.equal(listing.items.length, agents.length);
  assert.ok(listing.items.every(({ look }) => look.state === 'running' && look.attrs['doubles'] === undefined));
  assert.equal((await world.docker.listContainers({ all: true })).length, agents.length);
});

check(
  'L22 a restart of the engine brings back the hot ones that ran, and nothing that was stopped or asleep',
  async (world, engine) => {
    const run = { command: ['sh', '-c', RUNS] };
    const [hot, stopped, never] = ['hot', 'stopped', 'never'].map((name) => world.custom(run, { name }));
    const lazy = world.custom(run, { name: 'lazy', spec: { lifecycle: 'lazy' } });
    for (const agent of [hot!, stopped!, lazy]) await world.target.provision(agent, STARTED, soon());
    await world.target.provision(never!, { unstarted: true }, soon());
    await world.target.stop(stopped!, soon());
    await world.target.stop(lazy, soon());
    const { identity } = await world.target.list(soon());
    await engine.restartWith(join(engine.folder, 'data'));
    const states = await eventually('the hot one runs again', async () => {
      const { items, identity: now } = await world.target.list(soon());
      assert.equal(now, identity);
      const found = Object.fromEntries(items.map(({ instance, look }) => [instance, look.state]));
      return found['hot'] === 'running' && found;
    });
    assert.deepEqual(states, { hot: 'running', stopped: 'stopped', never: 'stopped', lazy: 'stopped' });
  },
);

check('L72 an engine that comes back with another data root is another engine', async (world, engine) => {
  const agent = world.subject();
  await world.target.provision(agent, STARTED, soon());
  const before = await world.target.list(soon());
  const id = ((await world.docker.info()) as { ID: string }).ID;
  await engine.restartWith(join(engine.folder, 'other'));
  try {
    const after = await world.target.list(soon());
    assert.deepEqual(after.items, []);
    assert.notEqual(after.identity, before.identity);
    assert.equal(
      ((await world.docker.info()) as { ID: string }).ID,
      id,
      'the id alone does not tell (before version 23)',
    );
  } finally {
    await engine.restartWith(join(engine.folder, 'data'));
  }
  const again = await world.target.list(soon());
  assert.equal(again.identity, before.identity);
  assert.deepEqual(
    again.items.map(({ uid }) => uid),
    [agent.uid],
  );
});

check('L39 a container whose volume the engine has lost is not started empty', async (world, engine) => {
  const agent = world.subject();
  await world.target.provision(agent, STARTED, soon());
  const volume = (await world.container(agent)).Mounts[0]!;
  await world.target.stop(agent, soon());
  await engine.restartWith(join(engine.folder, 'data'));
  rmSync(volume.Source.replace(/\/_data$/, ''), { recursive: true });
  const error = await failure(world.target.start(agent, soon()));
  assert.deepEqual(
    [error.detail.class, error.detail.code, error.saw?.state],
    ['terminal', 'data_missing', 'stopped'],
    error.detail.message,
  );
  assert.match(error.detail.message, new RegExp(volume.Name!));
  assert.equal(existsSync(volume.Source), false);
});
