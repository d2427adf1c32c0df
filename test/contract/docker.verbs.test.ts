/**
 * What the docker target does with containers, volumes, images and ports, on a real engine: beyond the contract of all targets.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { after, test, type TestContext } from 'node:test';
import type Docker from 'dockerode';
import type { Subject } from '../../src/ports/target.ts';
import { endSharedEngine, IMAGE, IMAGE_WITH_VOLUME, sharedEngine } from '../support/docker.ts';
import { containerId, makeWorld, RUNS, soon, type DockerWorld } from '../support/docker-world.ts';
import { emptyRegistry } from '../support/docker-registry.ts';
import { realComponent } from '../support/require.ts';
import { eventually, failure } from './target.suite.ts';

after(endSharedEngine);

const STARTED = { unstarted: false } as const;
const UNSTARTED = { unstarted: true } as const;

function check(title: string, body: (world: DockerWorld, t: TestContext) => Promise<void>): void {
  test(title, async (t) => {
    const engine = await realComponent(t, 'Docker', sharedEngine);
    if (engine === null) return;
    const world = makeWorld(engine);
    try {
      await body(world, t);
    } finally {
      await world.cleanup();
    }
  });
}

const shell = (text: string): readonly string[] => ['sh', '-c', text];
const RUN = { command: shell(RUNS) };
const policyOf = async (world: DockerWorld, subject: Subject): Promise<string | undefined> =>
  (await world.container(subject)).HostConfig.RestartPolicy?.Name;
const volumeOf = async (world: DockerWorld, subject: Subject): Promise<string> =>
  (await world.container(subject)).Mounts[0]!.Name!;
const hasVolume = (world: DockerWorld, name: string): Promise<boolean> =>
  world.docker
    .getVolume(name)
    .inspect()
    .then(
      () => true,
      () => false,
    );
const strangers = (
  world: DockerWorld,
  name: string,
  more: Docker.ContainerCreateOptions = {},
): Promise<Docker.Container> => world.docker.createContainer({ name, Image: IMAGE, Cmd: ['sh', '-c', RUNS], ...more });

// ── hot and lazy ────────────────────────────────────────────────────────────────────────────────────────────────────

check('L22 the engine may restart a hot one only while it shall run, and a lazy one never', async (world) => {
  const hot = world.custom(RUN, { name: 'hot' });
  const lazy = world.custom(RUN, { name: 'lazy', spec: { lifecycle: 'lazy' } });
  const done = world.custom(RUN, { name: 'done', spec: { onComplete: 'stop' } });
  await world.target.provision(hot, UNSTARTED, soon());
  assert.equal(await policyOf(world, hot), 'no');
  await world.target.start(hot, soon());
  await world.target.provision(lazy, STARTED, soon());
  await world.target.provision(done, STARTED, soon());
  assert.equal(await policyOf(world, hot), 'unless-stopped');
  assert.equal(await policyOf(world, lazy), 'no');
  assert.equal(await policyOf(world, done), 'on-failure');
  await world.target.stop(hot, soon());
  assert.equal(await policyOf(world, hot), 'no');
  await world.target.start(hot, soon());
  assert.equal(await policyOf(world, hot), 'unless-stopped');
});

check('L22 a stop is not undone by the engine that keeps restarting a crash-looper', async (world) => {
  const looper = world.custom({ command: shell('exit 3') });
  await world.target.provision(looper, STARTED, soon()).catch(() => undefined);
  await eventually(
    'the engine waits to restart it',
    async () => (await world.target.inspect(looper, soon())).state === 'changing',
  );
  const look = await world.target.stop(looper, soon());
  assert.equal(look.state, 'stopped');
  assert.equal(look.exit?.code, 3);
  const { RestartCount } = await world.container(looper);
  // Longer than the engine's longest wait so far (100 ms doubled with each restart).
  await new Promise((later) => setTimeout(later, 100 * 2 ** Math.min(RestartCount, 4)));
  assert.equal((await world.target.inspect(looper, soon())).state, 'stopped');
  assert.equal((await world.container(looper)).RestartCount, RestartCount);
});

check(
  'L22 stopping and removing crash-loopers at whatever moment never races the engine that restarts them',
  async (world) => {
    // Lives of 0 to 100 ms and ever longer waits between: the verbs come while one starts, runs, dies, and waits.
    const loopers = Array.from({ length: 3 }, (_, i) =>
      world.custom({ command: shell(`sleep 0.0${4 * i}; exit 3`) }, { name: `looper-${i}` }),
    );
    const restarts = async (agent: Subject): Promise<number> => (await world.container(agent)).RestartCount;
    await Promise.all(loopers.map((agent) => world.target.provision(agent, STARTED, soon()).catch(() => undefined)));
    for (const round of [1, 2]) {
      const counts = await Promise.all(
        loopers.map(async (agent, i) => {
          if (round > 1) await world.target.start(agent, soon()).catch(() => undefined);
          // A start begins the count anew; so each round comes at another moment of a life.
          await eventually(`${agent.instance} goes round`, async () => (await restarts(agent)) >= (i + round) % 3);
          assert.equal((await world.target.stop(agent, soon())).state, 'stopped');
          return restarts(agent);
        }),
      );
      // Longer than any wait that the engine can have been in: 100 ms, doubled with each restart.
      await new Promise((later) => setTimeout(later, 100 * 2 ** Math.min(4, Math.max(...counts))));
      for (const [i, agent] of loopers.entries()) {
        const { State, RestartCount, HostConfig } = await world.container(agent);
        assert.deepEqual(
          [State.Running, State.Restarting, RestartCount, HostConfig.RestartPolicy?.Name],
          [false, false, counts[i], 'no'],
          `${agent.instance}, round ${round}`,
        );
      }
    }
    await Promise.all(loopers.map((agent) => world.target.start(agent, soon()).catch(() => undefined)));
    const gone = await Promise.all(loopers.map((agent) => world.target.destroy(agent, { data: 'delete' }, soon())));
    assert.ok(gone.every(({ state }) => state === 'missing'));
    const filters = { label: [`holdfast.deployment=${world.deployment}`] };
    assert.deepEqual(await world.docker.listContainers({ all: true, filters }), []);
  },
);

check(
  'L22 a change of lifecycle is drift, and an update recreates it with its volume and the new policy',
  async (world) => {
    const run = { ...RUN, volumes: { data: '/data' } };
    const hot = world.custom(run);
    const lazy = world.custom(run, { spec: { lifecycle: 'lazy' } });
    await world.target.provision(hot, STARTED, soon());
    const [before, volume] = [await world.container(hot), await volumeOf(world, hot)];
    await world.data!.write(hot, 'precious');
    assert.notEqual((await world.target.inspect(lazy, soon())).infra, lazy.infraHash);
    const look = await world.target.update(lazy, STARTED, soon());
    assert.equal(look.infra, lazy.infraHash);
    assert.notEqual(look.attrs['containerId'], before.Id);
    assert.equal(await policyOf(world, lazy), 'no');
    assert.equal(await volumeOf(world, lazy), volume);
    assert.equal(await world.data!.read(lazy), 'precious');
  },
);

// ── data ────────────────────────────────────────────────────────────────────────────────────────────────────────────

check(
  'L39 an instance whose container and volume are gone is not started empty, until its volume is back',
  async (world, t) => {
    const agent = world.custom({ ...RUN, volumes: { data: '/data' } });
    await world.target.provision(agent, STARTED, soon());
    const volume = await volumeOf(world, agent);
    await world.remove(agent);
    await world.docker.getVolume(volume).remove();
    for (const target of [world.target, world.open()]) {
      const error = await failure(target.provision(agent, STARTED, soon()));
      assert.equal(error.detail.code, 'data_missing');
      assert.equal(error.detail.class, 'terminal');
      assert.match(error.detail.message, new RegExp(volume));
      assert.equal((await target.inspect(agent, soon())).state, 'missing');
      assert.equal(await hasVolume(world, volume), false);
    }
    await world.docker.createVolume({ Name: volume });
    t.after(() => world.docker.getVolume(volume).remove());
    assert.equal((await world.target.provision(agent, STARTED, soon())).state, 'running');
    assert.equal(await volumeOf(world, agent), volume);
  },
);

check('L39 a container that was removed is provisioned again on the same volume', async (world) => {
  const agent = world.subject();
  await world.target.provision(agent, STARTED, soon());
  await world.data!.write(agent, 'precious');
  await world.remove(agent);
  await world.target.provision(agent, STARTED, soon());
  assert.equal(await world.data!.read(agent), 'precious');
});

check('L39 what an image itself declares as a volume survives an update', async (world) => {
  const run = { ...RUN, image: IMAGE_WITH_VOLUME };
  await world.target.provision(world.custom(run), STARTED, soon());
  const agent = world.custom({ ...run, env: { CHANGED: 'yes' } });
  await world.target.exec(agent, shell('echo -n precious > /declared/note'), soon());
  await world.target.update(agent, STARTED, soon());
  assert.equal(
    Buffer.from((await world.target.exec(agent, ['cat', '/declared/note'], soon())).output).toString(),
    'precious',
  );
});

check('destroying keeps the data unless told, and lists what it kept', async (world) => {
  const [kept, gone] = [
    world.custom({ ...RUN, volumes: { data: '/data' } }, { name: 'kept' }),
    world.custom({ ...RUN, volumes: { data: '/data' } }, { name: 'gone' }),
  ];
  await world.target.provision(kept, STARTED, soon());
  await world.target.provision(gone, UNSTARTED, soon());
  await world.data!.write(kept, 'precious');
  const [keptVolume, goneVolume] = [await volumeOf(world, kept), await volumeOf(world, gone)];
  assert.deepEqual(await world.target.volumes.retained(soon()), []);
  await world.target.destroy(kept, { data: 'keep' }, soon());
  await world.target.destroy(gone, { data: 'delete' }, soon());
  assert.equal(await hasVolume(world, goneVolume), false);
  const [volume, ...others] = await world.target.volumes.retained(soon(), { sizes: true });
  assert.deepEqual(others, []);
  const { sizeBytes, ...rest } = volume!;
  assert.deepEqual(rest, { name: keptVolume, fleet: 'demo', instance: 'kept', uid: kept.uid, key: 'data' });
  assert.equal(sizeBytes, 'precious'.length);
  await world.target.volumes.remove(keptVolume, soon());
  assert.equal(await hasVolume(world, keptVolume), false);
});

check(
  'L80 a name that is declared again does not inherit, but may take over by name, and deletes what it took over',
  async (world) => {
    const first = world.subject();
    await world.target.provision(first, STARTED, soon());
    await world.data!.write(first, 'private');
    const old = await volumeOf(world, first);
    await world.target.destroy(first, { data: 'keep' }, soon());
    const second = { ...first, uid: `${first.uid}-2` };
    const error = await failure(world.target.provision(second, STARTED, soon()));
    assert.deepEqual([error.detail.class, error.detail.code], ['terminal', 'data_retained']);
    assert.ok(error.detail.message.includes(old) && error.detail.message.includes('reuseData'), error.detail.message);
    assert.equal((await world.target.inspect(second, soon())).state, 'missing');
    await world.target.destroy(second, { data: 'delete' }, soon());
    assert.equal(await hasVolume(world, old), true);
    const third = {
      ...world.custom({ ...RUN, volumes: { data: { path: '/data', name: old } } }),
      uid: `${first.uid}-3`,
    };
    await world.target.provision(third, STARTED, soon());
    assert.equal(await world.data!.read(third), 'private');
    await world.target.destroy(third, { data: 'delete' }, soon());
    assert.equal(await hasVolume(world, old), false);
  },
);

check('L80 with reuseData a name that is declared again has the data of the earlier one, for good', async (world) => {
  const first = world.subject();
  await world.target.provision(first, STARTED, soon());
  await world.data!.write(first, 'precious');
  const old = await volumeOf(world, first);
  await world.target.destroy(first, { data: 'keep' }, soon());
  const heir = { ...first, uid: `${first.uid}-2`, spec: { ...first.spec, reuseData: true as const } };
  await world.target.provision(heir, STARTED, soon());
  assert.equal(await volumeOf(world, heir), old);
  assert.equal(await world.data!.read(heir), 'precious');
  assert.deepEqual(await world.target.volumes.retained(soon()), []);
  // Removed with its container: the heir is not made anew on an empty one, whatever it may reuse by then.
  await world.remove(heir);
  await world.docker.getVolume(old).remove();
  for (const subject of [heir, { ...heir, spec: first.spec }]) {
    const error = await failure(world.target.provision(subject, STARTED, soon()));
    assert.equal(error.detail.code, 'data_missing', error.detail.message);
  }
  await world.docker.createVolume({ Name: old });
  // Its label is lost with it, so it is nobody's now: the one that had it takes it, and never deletes it.
  assert.equal((await world.target.provision(heir, STARTED, soon())).state, 'running');
  await world.target.destroy(heir, { data: 'delete' }, soon());
  assert.equal(await hasVolume(world, old), true);
  await world.docker.getVolume(old).remove();
});

check(
  'L80 what several earlier ones left is not chosen from, and what is taken over goes if told so',
  async (world) => {
    const first = world.subject();
    const second = { ...first, uid: `${first.uid}-2` };
    await world.target.provision(first, UNSTARTED, soon());
    const old = await volumeOf(world, first);
    await world.target.destroy(first, { data: 'keep' }, soon());
    const twin = `${old}-twin`;
    const { Labels } = await world.docker.getVolume(old).inspect();
    await world.docker.createVolume({ Name: twin, Labels });
    const heir = { ...second, spec: { ...first.spec, reuseData: true as const } };
    const error = await failure(world.target.provision(heir, UNSTARTED, soon()));
    assert.deepEqual([error.detail.class, error.detail.code], ['terminal', 'data_ambiguous']);
    assert.ok(
      [old, twin].every((name) => error.detail.message.includes(name)),
      error.detail.message,
    );
    await world.target.volumes.remove(twin, soon());
    await world.target.provision(heir, UNSTARTED, soon());
    await world.target.destroy(heir, { data: 'delete' }, soon());
    assert.equal(await hasVolume(world, old), false);
  },
);

check(
  'an existing volume can be taken over, but not one that is not there, in use, or of another fleet or deployment',
  async (world, t) => {
    const name = `ext-${world.deployment}`;
    const taker = world.custom({ ...RUN, volumes: { data: { path: '/data', name } } }, { name: 'taker' });
    assert.equal((await failure(world.target.provision(taker, STARTED, soon()))).detail.code, 'data_missing');
    await world.docker.createVolume({ Name: name });
    t.after(() => world.docker.getVolume(name).remove());
    const holder = await strangers(world, `holder-${world.deployment}`, { HostConfig: { Binds: [`${name}:/data`] } });
    const inUse = await failure(world.target.provision(taker, STARTED, soon()));
    assert.equal(inUse.detail.code, 'volume-in-use');
    assert.match(inUse.detail.message, new RegExp(`holder-${world.deployment}`));
    await holder.remove();
    assert.equal((await world.target.provision(taker, STARTED, soon())).state, 'running');
    await world.target.destroy(taker, { data: 'delete' }, soon());
    assert.equal(await hasVolume(world, name), true, 'never others’');

    const owner = world.subject({ name: 'owner' });
    await world.target.provision(owner, UNSTARTED, soon());
    const theirs = await volumeOf(world, owner);
    await world.target.destroy(owner, { data: 'keep' }, soon());
    const thief = world.custom({ ...RUN, volumes: { data: { path: '/data', name: theirs } } }, { name: 'thief' });
    const stranger = await world.stranger();
    for (const attempt of [
      () => world.target.provision({ ...thief, fleet: 'other' }, STARTED, soon()),
      () => stranger.provision(thief, STARTED, soon()),
    ]) {
      const error = await failure(attempt());
      assert.equal(error.detail.code, 'volume-taken');
      assert.equal(error.detail.class, 'terminal');
    }
  },
);

// ── names and owners ────────────────────────────────────────────────────────────────────────────────────────────────

check(
  "a stranger's container under our name is a terminal conflict that names it, and is not touched",
  async (world, t) => {
    const agent = world.subject();
    const { ref } = await world.target.provision(agent, UNSTARTED, soon());
    await world.target.destroy(agent, { data: 'delete' }, soon());
    const stranger = await strangers(world, ref!);
    t.after(() => stranger.remove({ force: true }));
    await stranger.start();
    const error = await failure(world.target.provision(agent, STARTED, soon()));
    assert.deepEqual(
      [error.detail.class, error.detail.fault, error.detail.code],
      ['terminal', 'instance', 'name-taken'],
    );
    assert.match(error.detail.message, new RegExp(stranger.id.slice(0, 12)));
    assert.equal((await world.target.inspect(agent, soon())).state, 'missing');
    await world.target.stop(agent, soon());
    await world.target.destroy(agent, { data: 'delete' }, soon());
    assert.equal((await stranger.inspect()).State.Running, true);
  },
);

check('L53 a container of ours that another uid left under the name is named, and not touched', async (world) => {
  const first = world.subject();
  const look = await world.target.provision(first, STARTED, soon());
  const second = { ...first, uid: 'second' };
  const error = await failure(world.target.provision(second, STARTED, soon()));
  assert.equal(error.detail.code, 'name-taken');
  assert.match(error.detail.message, new RegExp(first.uid));
  await world.target.destroy(second, { data: 'delete' }, soon());
  assert.deepEqual(await world.target.inspect(first, soon()), look);
});

check('L52 two deployments have the same fleet and instance on one engine and never meet', async (world) => {
  const agent = world.subject();
  const other = await world.stranger();
  const mine = await world.target.provision(agent, STARTED, soon());
  const theirs = await other.provision(agent, STARTED, soon());
  assert.notEqual(mine.ref, theirs.ref);
  assert.notEqual(mine.attrs['containerId'], theirs.attrs['containerId']);
  await world.data!.write(agent, 'mine');
  await other.destroy(agent, { data: 'delete' }, soon());
  assert.deepEqual(
    (await world.target.list(soon())).items.map(({ look }) => look),
    [mine],
  );
  assert.equal(await world.data!.read(agent), 'mine');
  assert.deepEqual((await other.list(soon())).items, []);
});

check('L52 two named targets on one engine see each their own', async (world) => {
  const [here, there] = [world.target, world.open(undefined, 'box1')];
  await here.provision(world.subject({ name: 'a' }), UNSTARTED, soon());
  await there.provision(world.subject({ name: 'b' }), UNSTARTED, soon());
  assert.deepEqual(
    (await here.list(soon())).items.map(({ instance }) => instance),
    ['a'],
  );
  assert.deepEqual(
    (await there.list(soon())).items.map(({ instance }) => instance),
    ['b'],
  );
});

check('a container whose labels were tampered with is not ours, or is drift', async (world, t) => {
  const label = { 'holdfast.deployment': world.deployment, 'holdfast.target': 'docker' };
  const whole = { ...label, 'holdfast.fleet': 'demo', 'holdfast.instance': 'agent', 'holdfast.uid': 'u1' };
  const nobodys = await strangers(world, `nobodys-${world.deployment}`, { Labels: label });
  const forged = await strangers(world, `forged-${world.deployment}`, { Labels: whole });
  t.after(() => nobodys.remove({ force: true }).catch(() => undefined));
  const { items } = await world.target.list(soon());
  assert.deepEqual(
    items.map(({ uid, look }) => [uid, look.infra, look.attrs['name']]),
    [['u1', null, `forged-${world.deployment}`]],
  );
  const agent = { ...world.subject(), uid: 'u1' };
  assert.equal((await world.target.update(agent, STARTED, soon())).infra, agent.infraHash);
  await assert.rejects(forged.inspect(), 'recreated');
  assert.equal((await nobodys.inspect()).State.Status, 'created');
});

check('a copy that carries our labels is shown, stopped with its original, and never taken for it', async (world) => {
  const agent = world.subject();
  const { attrs } = await world.target.provision(agent, STARTED, soon());
  const { Config } = await world.container(agent);
  const copy = await strangers(world, `copy-${world.deployment}`, { Labels: Config.Labels });
  await copy.start();
  const { items } = await world.target.list(soon());
  assert.equal(items.length, 1);
  assert.equal(items[0]!.look.attrs['containerId'], attrs['containerId']);
  assert.deepEqual(items[0]!.look.attrs['doubles'], [copy.id]);
  await world.target.stop(agent, soon());
  assert.equal((await copy.inspect()).State.Running, false);
  await world.target.destroy(agent, { data: 'delete' }, soon());
  await assert.rejects(copy.inspect());
});

// ── behind our back ─────────────────────────────────────────────────────────────────────────────────────────────────

check(
  'one that somebody paused is stopped, goes on in the same life when started, and can be stopped',
  async (world) => {
    const agent = world.subject();
    const before = await world.target.provision(agent, STARTED, soon());
    const container = world.docker.getContainer(containerId(before));
    await container.pause();
    const paused = await world.target.inspect(agent, soon());
    assert.deepEqual(
      [paused.state, paused.incarnation, paused.exit, paused.attrs['paused']],
      ['stopped', before.incarnation, null, true],
    );
    assert.deepEqual((await world.target.list(soon())).items[0]!.look, paused);
    assert.deepEqual(await world.target.start(agent, soon()), before);
    await container.pause();
    const stopped = await world.target.stop(agent, soon());
    assert.deepEqual([stopped.state, stopped.exit?.code, stopped.attrs['paused']], ['stopped', 0, undefined]);
  },
);

check('one that somebody renamed is found, keeps its reference, and can be used', async (world) => {
  const agent = world.subject();
  const before = await world.target.provision(agent, STARTED, soon());
  await world.docker.getContainer(containerId(before)).rename({ name: `other-${world.deployment}` });
  for (const target of [world.target, world.open()]) {
    const look = await target.inspect(agent, soon());
    assert.deepEqual(
      [look.state, look.ref, look.incarnation, look.attrs['name']],
      ['running', before.ref, before.incarnation, `other-${world.deployment}`],
    );
  }
  await world.target.stop(agent, soon());
  assert.equal((await world.target.start(agent, soon())).state, 'running');
  assert.equal((await world.target.provision(agent, STARTED, soon())).ref, before.ref);
  assert.equal((await world.target.list(soon())).items.length, 1);
  await world.target.destroy(agent, { data: 'keep' }, soon());
});

check('an update that ended half-way is gone on with', async (world) => {
  const agent = world.subject();
  const made = await world.target.provision(agent, UNSTARTED, soon());
  const { ref } = made;
  // As after a crash between the removal of the old container and the renaming of the new one.
  await world.docker.getContainer(containerId(made)).rename({ name: `${ref}.next` });
  assert.equal((await world.open().list(soon())).items[0]!.look.state, 'stopped');
  const look = await world.target.start(agent, soon());
  assert.deepEqual([look.state, look.ref, look.attrs['name']], ['running', ref, undefined]);
  // As after a crash before: the prepared one is still there, and is in nobody's way.
  await strangers(world, `${ref}.next`, { Labels: (await world.container(agent)).Config.Labels });
  const next = world.subject({ variant: 'two' });
  assert.equal((await world.target.update(next, STARTED, soon())).infra, next.infraHash);
  assert.deepEqual(
    (await world.target.list(soon())).items.map(({ look: { attrs: a } }) => a['doubles']),
    [undefined],
  );
});

check('an update that the engine refuses disturbs nothing', async (world) => {
  const before = await world.target.provision(world.subject(), STARTED, soon());
  for (const run of [
    { ...RUN, image: 'holdfast-test/none:1', pull: 'never' },
    { ...RUN, stopSignal: 'SIGNONE' },
  ]) {
    const error = await failure(world.target.update(world.custom(run), STARTED, soon()));
    assert.equal(error.detail.class, 'terminal', error.detail.message);
    assert.deepEqual(await world.target.inspect(world.subject(), soon()), before);
  }
});

// ── images ──────────────────────────────────────────────────────────────────────────────────────────────────────────

check(
  'an image that is not to be had fails for good, and a registry that cannot be asked does not',
  async (world, t) => {
    const registry = await emptyRegistry();
    t.after(() => registry.close().catch(() => undefined));
    const wants = (image: string, pull = 'missing'): Promise<unknown> =>
      world.target.provision(world.custom({ ...RUN, image, pull, volumes: { data: '/data' } }), STARTED, soon());
    for (const attempt of [wants('holdfast-test/none:1', 'never'), wants(`${registry.address}/none:1`)]) {
      const error = await failure(attempt);
      assert.deepEqual([error.detail.class, error.detail.code], ['terminal', 'image-missing'], error.detail.message);
      assert.match(error.detail.message, /none:1/);
    }
    registry.hang();
    const abort = new AbortController();
    const hanging = world.target.provision(
      world.custom({ ...RUN, image: `${registry.address}/none:2` }),
      STARTED,
      abort.signal,
    );
    setTimeout(() => abort.abort(new Error('superseded')), 100);
    await assert.rejects(hanging, /superseded/);
    await registry.close();
    const error = await failure(wants(`${registry.address}/none:3`));
    assert.deepEqual([error.detail.class, error.detail.code], ['transient', 'image-unreachable'], error.detail.message);
    const { Volumes } = await world.docker.listVolumes({
      filters: { label: [`holdfast.deployment=${world.deployment}`] },
    });
    assert.deepEqual(Volumes ?? [], [], 'what could not be provisioned left no volume');
  },
);

check(
  'L07 the engine’s own health check is the declared one, else the image’s, and its verdict is told',
  async (world, t) => {
    const healthy = async (subject: Subject, ok: boolean): Promise<string> => {
      const found = await eventually(
        `${subject.instance} is ${ok ? 'well' : 'not well'}`,
        async () => {
          const said = await world.target.health!(subject, soon());
          return said.ok === ok && (ok || said.message.includes('unhealthy')) ? said : null;
        },
        30_000,
      );
      return found.message;
    };
    const engine = { health: { http: null, everyMs: 1_000, silentAfterMs: 1_000, startGraceMs: 1_000 } };
    const maker = world.custom(RUN, { name: 'maker' });
    await world.target.provision(maker, UNSTARTED, soon());
    const [repo, tag] = [`holdfast-test/checked-${world.deployment}`, '1'];
    const changes = 'HEALTHCHECK --interval=1s --retries=1 CMD test -e /tmp/image';
    await world.docker.getContainer((await world.container(maker)).Id).commit({ repo, tag, changes });
    t.after(() => world.docker.getImage(`${repo}:${tag}`).remove({ force: true }));
    const image = `${repo}:${tag}`;

    const byImage = world.custom({ ...RUN, image }, { name: 'by-image', spec: engine });
    const healthcheck = { command: ['sh', '-c', 'echo gone; test -e /tmp/run'], every: '1s', retries: 1 };
    const byRun = world.custom({ ...RUN, image, healthcheck }, { name: 'by-run', spec: engine });
    for (const one of [byImage, byRun]) await world.target.provision(one, STARTED, soon());
    await healthy(byImage, false);
    assert.match(await healthy(byRun, false), /unhealthy: gone/, 'the declared one is asked, in its own words');
    assert.equal((await world.target.inspect(byRun, soon())).attrs['health'], 'unhealthy');
    await world.target.exec(byImage, ['touch', '/tmp/image'], soon());
    await world.target.exec(byRun, ['touch', '/tmp/run'], soon());
    await healthy(byImage, true);
    await healthy(byRun, true);

    const none = world.custom(RUN, { name: 'none', spec: engine });
    const error = await failure(world.target.provision(none, STARTED, soon()));
    assert.deepEqual([error.detail.class, error.detail.code], ['terminal', 'healthcheck-missing']);
    // Declared so only now: it runs on, and nothing is said of its health.
    const plain = world.custom(RUN, { name: 'plain' });
    await world.target.provision(plain, STARTED, soon());
    const unchecked = await failure(world.target.health!({ ...plain, spec: { ...plain.spec, ...engine } }, soon()));
    assert.equal(unchecked.detail.code, 'healthcheck-missing');
    await world.target.stop(byRun, soon());
    assert.equal((await failure(world.target.health!(byRun, soon()))).detail.class, 'conflict');
  },
);

check('a tag that moves changes nothing until another spec is applied', async (world, t) => {
  const tag = `holdfast-test/moving-${world.deployment}:1`;
  const to = { repo: tag.replace(/:1$/, ''), tag: '1' };
  await world.docker.getImage(IMAGE).tag(to);
  t.after(() => world.docker.getImage(tag).remove());
  const agent = world.custom({ ...RUN, image: tag });
  const before = await world.target.provision(agent, STARTED, soon());
  await world.docker.getImage(IMAGE_WITH_VOLUME).tag(to);
  await world.remove(agent);
  assert.equal((await world.target.provision(agent, STARTED, soon())).attrs['image'], before.attrs['image']);
  const next = world.custom({ ...RUN, image: tag, env: { V: '2' } });
  assert.notEqual((await world.target.update(next, STARTED, soon())).attrs['image'], before.attrs['image']);
});

check('a name means one image to all of an apply, though its tag moves in the midst of it', async (world, t) => {
  const tag = `holdfast-test/halves-${world.deployment}:1`;
  const to = { repo: tag.replace(/:1$/, ''), tag: '1' };
  await world.docker.getImage(IMAGE).tag(to);
  t.after(() => world.docker.getImage(tag).remove());
  const told: string[] = [];
  world.target.watch!(world.deployment, (notice) => {
    if (notice.kind === 'image-resolved') told.push(`${notice.image} ${JSON.stringify(notice.digest)}`);
  });
  const of = (name: string, revision: string): Subject => ({
    ...world.custom({ ...RUN, image: tag }, { name }),
    revision,
  });
  const [first, second] = await Promise.all(
    ['a', 'b'].map((name) => world.target.provision(of(name, 'r1'), UNSTARTED, soon())),
  );
  await world.docker.getImage(IMAGE_WITH_VOLUME).tag(to);
  const third = await world.open().provision(of('c', 'r1'), UNSTARTED, soon());
  const later = await world.target.provision(of('d', 'r2'), UNSTARTED, soon());
  const [one, ...others] = [first!, second!, third, later].map(({ attrs }) => attrs['image']);
  assert.deepEqual([others[0], others[1], others[2] === one], [one, one, false]);
  assert.deepEqual(told, [`${tag} ${JSON.stringify(one)}`, `${tag} ${JSON.stringify(others[2])}`]);
});

// ── what is inside, and how it is reached ───────────────────────────────────────────────────────────────────────────

check('a port is published on the loopback address at any free port, and told as an endpoint', async (world) => {
  const serve = shell(
    `mkdir /www; echo -n hello > /www/index.html; trap 'exit 0' TERM; httpd -f -p 8080 -h /www & wait $!`,
  );
  const agent = world.custom({ command: serve, ports: [8080, { container: 9090, address: '0.0.0.0' }] });
  const look = await world.target.provision(agent, STARTED, soon());
  const endpoints = look.attrs['endpoints'] as { [port: string]: string };
  assert.match(endpoints['8080']!, /^127\.0\.0\.1:\d+$/);
  const { NetworkSettings } = await world.container(agent);
  assert.deepEqual(
    NetworkSettings.Ports['8080/tcp']!.map(({ HostIp }) => HostIp),
    ['127.0.0.1'],
  );
  assert.ok(NetworkSettings.Ports['9090/tcp']!.some(({ HostIp }) => HostIp === '0.0.0.0'));
  const body = await eventually('it answers', async () => {
    const answer = await new Promise<string | null>((done) => {
      get(`http://${endpoints['8080']}/`, (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (part: string) => (text += part))
          .on('end', () => done(text));
      }).on('error', () => done(null));
    });
    return answer;
  });
  assert.equal(body, 'hello');
});

check('a port that is taken is a failure that passes when the port is free', async (world) => {
  const taker = createServer().listen(0, '127.0.0.1');
  await once(taker, 'listening');
  const { port } = taker.address() as AddressInfo;
  const agent = world.custom({ ...RUN, ports: [`${port}:8080`] });
  const error = await failure(world.target.provision(agent, STARTED, soon()));
  assert.deepEqual(
    [error.detail.class, error.detail.code, error.saw?.state],
    ['transient', 'port-taken', 'stopped'],
    error.detail.message,
  );
  assert.match(error.detail.message, new RegExp(String(port)));
  taker.close();
  await once(taker, 'close');
  const look = await world.target.start(agent, soon());
  assert.deepEqual(look.attrs['endpoints'], { '8080': `127.0.0.1:${port}` });
});

check('one that is killed for want of memory is seen as that', async (world) => {
  const eat = shell('x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done');
  const agent = world.custom({ command: eat, memory: '8m' }, { spec: { lifecycle: 'lazy' } });
  await world.target.provision(agent, STARTED, soon()).catch(() => undefined);
  const look = await eventually('it is dead', async () => {
    const seen = await world.target.inspect(agent, soon());
    return seen.state === 'stopped' && seen;
  });
  assert.equal(look.exit?.oom, true);
  assert.equal(look.exit.code, 137);
});

check(
  'limits, user, folder and environment are as declared, and there is nothing else of the host in it',
  async (world) => {
    const run = {
      ...RUN,
      memory: '64m',
      cpus: 0.5,
      pids: 50,
      user: 'agent',
      workdir: '/tmp',
      env: { GREETING: 'hello' },
    };
    const agent = world.custom(run, { env: { TOKEN: 'given-by-the-runtime' } });
    await world.target.provision(agent, STARTED, soon());
    const { HostConfig } = await world.container(agent);
    assert.deepEqual([HostConfig.Memory, HostConfig.NanoCpus, HostConfig.PidsLimit], [64 * 1024 * 1024, 5e8, 50]);
    assert.deepEqual([HostConfig.Privileged, HostConfig.NetworkMode, HostConfig.Binds], [false, 'default', null]);
    const inside = async (...command: string[]): Promise<string> =>
      Buffer.from((await world.target.exec(agent, command, soon())).output)
        .toString()
        .trim();
    assert.equal(await inside('id', '-un'), 'agent');
    assert.equal(await inside('pwd'), '/tmp');
    const names = (await inside('env')).split('\n').map((line) => line.split('=')[0]!);
    const ours = ['HOLDFAST_DEPLOYMENT', 'HOLDFAST_FLEET', 'HOLDFAST_INSTANCE', 'HOLDFAST_TARGET', 'HOLDFAST_UID'];
    assert.deepEqual(new Set(names), new Set([...ours, 'GREETING', 'HOME', 'HOSTNAME', 'PATH', 'TOKEN']));
    const failed = await world.target.exec(agent, shell('echo bad >&2; exit 4'), soon());
    assert.deepEqual([failed.code, Buffer.from(failed.output).toString()], [4, 'bad\n']);
    const usage = await world.target.stats(agent, soon());
    assert.equal(usage.memoryLimitBytes, 64 * 1024 * 1024);
    assert.ok(usage.memoryBytes > 0 && usage.processes > 0, JSON.stringify(usage));
  },
);
