/**
 * Boxes of plugins on a real engine, where it hurts: looked at in the midst of a change, killed in the midst of one, on a full
 * disk, behind a name that is taken, and at the end of the instance.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { InstalledPlugin } from '../../src/core/model.ts';
import type { PluginTree } from '../../src/ports/plugin-source.ts';
import { TargetError, type Subject } from '../../src/ports/target.ts';
import { boxName, volumeLabels, volumeName } from '../../src/targets/docker/labels.ts';
import { infraOf } from '../../src/targets/docker/run.ts';
import { endSharedEngine, IMAGE, sharedEngine, type TestEngine } from '../support/docker.ts';
import { boxFolder, makeWorld, RUNS, soon, type DockerWorld } from '../support/docker-world.ts';
import { until } from '../support/e2e.ts';
import { pluginTree, type TreeAsk } from '../support/plugin-trees.ts';
import { realComponent } from '../support/require.ts';
import { plugin } from '../support/specs.ts';

const DECLARED = { plugins: [plugin('git+file:///srv/notes')] };
const TARGET_CODE = new URL('../../src/targets/docker', import.meta.url).href;

const trees: PluginTree[] = [];
function tree(name: string, ask: TreeAsk = {}): PluginTree {
  const made = pluginTree(name, ask);
  trees.push(made);
  return made;
}
after(async () => {
  for (const made of trees) made.release();
  await endSharedEngine();
});

const patient = (): AbortSignal => soon(240_000);
const refs = (installed: readonly InstalledPlugin[]): readonly (string | null)[] => installed.map(({ ref }) => ref);
const lazy = (world: DockerWorld, script = RUNS): Subject =>
  world.custom({ command: ['sh', '-c', script] }, { spec: { lifecycle: 'lazy', ...DECLARED } });

async function failure(work: Promise<unknown>): Promise<TargetError['detail']> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof TargetError, String(error));
  return error.detail;
}

describe('plugins of a container', async () => {
  let engine: TestEngine | null = null;
  await sharedEngine().then(
    (shared) => (engine = shared),
    () => undefined,
  );
  if (engine === null) {
    test('docker', async (t) => {
      await realComponent(t, 'Docker', sharedEngine);
    });
    return;
  }

  async function inWorld(body: (world: DockerWorld) => Promise<void>): Promise<void> {
    const world = makeWorld(engine!);
    try {
      await body(world);
    } finally {
      await world.cleanup();
    }
  }
  const scopeOf = (world: DockerWorld) => ({ deployment: world.deployment, target: 'docker' });
  const boxesOf = (world: DockerWorld) =>
    world.docker.listContainers({
      all: true,
      filters: { label: ['holdfast.box'], name: [boxName(scopeOf(world), lazy(world))] },
    });

  test('an agent that reads on and on sees the old or the new, never neither, and cannot write', () =>
    inWorld(async (world) => {
      const reads = `trap 'exit 0' TERM; touch $HOLDFAST_PLUGINS/notes/x 2>/dev/null && echo WROTE
        n=0; while :; do n=$((n+1)); read v < $HOLDFAST_PLUGINS/notes/version || { echo GAP; v=none; }
        [ "$v" = "$was" ] || echo "at $v"; was=$v; done`;
      const agent = lazy(world, reads);
      const [one, two] = ['v1', 'v2'].map((ref) => tree('notes', { ref, files: { version: `${ref}\n` } }));
      const { target } = world;
      await target.provision(agent, { unstarted: true }, patient());
      await target.plugins!.install(agent, one!, patient());
      await target.start(agent, patient());
      for (const next of [two, one, two]) await target.plugins!.install(agent, next!, patient());
      const { Id } = await world.container(agent);
      const said = (): Promise<string> =>
        world.docker
          .getContainer(Id)
          .logs({ stdout: true, stderr: true, follow: false })
          .then((bytes) => bytes.toString());
      await until('it has seen the last of them', async () => ((await said()).match(/at v2/g) ?? []).length >= 2);
      const words = await said();
      assert.ok(!words.includes('GAP') && !words.includes('none'), words);
      assert.ok(!words.includes('WROTE'), 'its plugins are read-only');
    }));

  test('kill -9 in the midst of installs leaves one version or the other, whole, and the next finds its way', () =>
    inWorld(async (world) => {
      const agent = lazy(world);
      const files = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`f${at}`, `${at}`]));
      const versions = ['v1', 'v2'].map((ref) => tree('notes', { ref, files: { ...files, version: ref } }));
      const plugins = world.target.plugins!;
      await world.target.provision(agent, { unstarted: true }, patient());
      await plugins.install(agent, versions[0]!, patient());
      const box = boxFolder(await world.container(agent));
      const code = `
        import { connect } from '${TARGET_CODE}/engine.ts';
        import { engineAddress } from '${TARGET_CODE}/settings.ts';
        import { openDockerTarget } from '${TARGET_CODE}/target.ts';
        const { host, deployment, dataDir, subject, versions } = JSON.parse(process.argv[1]);
        const engine = connect(engineAddress({ type: 'docker', host }, 'docker'));
        const { plugins } = openDockerTarget(engine, { deployment, dataDir, name: 'docker' });
        for (let at = 1; ; at += 1) {
          process.stdout.write('begins\\n');
          await plugins.install(subject, versions[at % 2], AbortSignal.timeout(240_000));
        }`;
      for (let kills = 0; kills < 3; kills += 1) {
        const { deployment, dataDir } = world;
        const told = JSON.stringify({ host: engine!.host, deployment, dataDir, subject: agent, versions });
        const child = spawn(process.execPath, ['--input-type=module', '-e', code, told], {
          stdio: ['ignore', 'pipe', 'inherit'],
        });
        await once(child.stdout, 'data');
        // At another step each time: when its container is there, when a tree lies beside, when the next set does.
        const isThere = [
          async () => (await boxesOf(world)).length > 0,
          () => Promise.resolve(readdirSync(join(box, '.trees')).length > 1),
          () => Promise.resolve(existsSync(join(box, '.sets/1'))),
        ][kills]!;
        await until('it is in the midst of it', isThere);
        child.kill('SIGKILL');
        await once(child, 'exit');
        const installed = await plugins.installed(agent, patient());
        assert.equal(installed.length, 1);
        assert.equal(readFileSync(join(box, 'current/notes/version'), 'utf8'), installed[0]?.ref);
        assert.equal(readdirSync(join(box, 'current/notes')).length, 102);
        assert.deepEqual(await boxesOf(world), [], 'what the kill left is cleared away');
      }
      await plugins.install(agent, versions[1]!, patient());
      assert.deepEqual(refs(await plugins.installed(agent, patient())), ['v2']);
    }));

  test('on a full disk an install fails in words, and the version before it stays whole', () =>
    inWorld(async (world) => {
      const agent = lazy(world);
      // A disk of 2 MiB, in the place of the volume that would be made.
      await world.docker.createVolume({
        Name: volumeName(scopeOf(world), agent, '.plugins'),
        Labels: volumeLabels(scopeOf(world), agent, '.plugins'),
        DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: 'size=2m' },
      });
      const { target } = world;
      await target.provision(agent, { unstarted: false }, patient());
      const plugins = target.plugins!;
      await plugins.install(agent, tree('notes', { ref: 'v1', files: { big: 'a'.repeat(700_000) } }), patient());
      const big = tree('notes', { ref: 'v2', files: { big: 'b'.repeat(1_600_000) } });
      const detail = await failure(plugins.install(agent, big, patient()));
      assert.deepEqual(
        [detail.class, detail.fault, detail.code],
        ['transient', 'instance', 'disk-full'],
        detail.message,
      );
      assert.match(detail.message, /free some space/);
      assert.deepEqual(refs(await plugins.installed(agent, patient())), ['v1']);
      await plugins.install(agent, tree('notes', { ref: 'v3' }), patient());
      assert.deepEqual(refs(await plugins.installed(agent, patient())), ['v3']);
    }));

  test('a stranger under the name of its helper is left alone, and told of', () =>
    inWorld(async (world) => {
      const agent = lazy(world);
      await world.target.provision(agent, { unstarted: true }, patient());
      const name = boxName(scopeOf(world), agent);
      const stranger = await world.docker.createContainer({ name, Image: IMAGE, Cmd: ['sh'] });
      try {
        const detail = await failure(world.target.plugins!.install(agent, tree('notes'), patient()));
        assert.deepEqual([detail.class, detail.code], ['terminal', 'name-taken']);
        assert.match(detail.message, /is not ours; rename or remove it/);
        assert.equal((await stranger.inspect()).Id, stranger.id);
      } finally {
        await stranger.remove({ force: true });
      }
    }));

  test('the volume outlives the container, is kept with the data, and goes with it', () =>
    inWorld(async (world) => {
      const agent = lazy(world);
      const { target } = world;
      await target.provision(agent, { unstarted: true }, patient());
      await target.plugins!.install(agent, tree('notes'), patient());
      await target.destroy(agent, { data: 'keep' }, patient());
      const kept = await target.volumes.retained(patient());
      assert.deepEqual(
        kept.map(({ instance, key }) => [instance, key]),
        [['agent', '.plugins']],
      );
      await target.provision(agent, { unstarted: true }, patient());
      assert.equal((await target.plugins!.installed(agent, patient())).length, 1);
      await target.destroy(agent, { data: 'delete' }, patient());
      assert.deepEqual(await target.volumes.retained(patient()), []);
    }));

  test('L78 plugins are part of what a container is made of, and nothing is where none are declared', () => {
    const world = makeWorld(engine!);
    const plain = world.custom({ command: ['sh'] });
    assert.ok(!('plugins' in infraOf(plain.spec)), 'one without plugins keeps its infra hash');
    const [one, other] = ['git+file:///srv/a', 'git+file:///srv/b#v2'].map((source) =>
      infraOf({ ...plain.spec, plugins: [plugin(source)] }),
    );
    assert.notDeepEqual(one, infraOf(plain.spec));
    assert.deepEqual(one, other, 'which they are makes no difference');
    return world.cleanup();
  });
});
