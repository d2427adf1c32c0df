/**
 * One deployment on a real engine, for one test of the docker target: subjects, what happens behind the target's back, and an
 * engine left as it was found.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { infraHash } from '../../src/core/hash.ts';
import type { JsonObject, Look, Spec } from '../../src/core/model.ts';
import type { Subject } from '../../src/ports/target.ts';
import type { Engine } from '../../src/targets/docker/engine.ts';
import { unpacked } from '../../src/targets/docker/plugins/archive.ts';
import { AGENT_BOX, PLUGINS_SEEN } from '../../src/targets/docker/plugins/boxes.ts';
import { openDockerTarget, type DockerTarget } from '../../src/targets/docker/target.ts';
import { dockerType } from '../../src/targets/docker/type.ts';
import type { Doing, SubjectAsk, TargetWorld } from '../contract/target.suite.ts';
import { IMAGE, type TestEngine } from './docker.ts';
import { until } from './e2e.ts';
import { plugin } from './specs.ts';

export interface DockerWorld extends TargetWorld {
  readonly target: DockerTarget;
  readonly docker: Docker;
  readonly dataDir: string;
  custom(run: JsonObject, more?: { name?: string; spec?: Partial<Spec>; env?: Subject['env'] }): Subject;
  /** Another target object of this deployment. */
  open(through?: Engine, name?: string): DockerTarget;
  container(subject: Subject): Promise<Docker.ContainerInspectInfo>;
}

/** As PID 1 a shell ends on SIGTERM only if it says so. */
export const RUNS = `trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done`;

export function script(does: Doing, variant: string): readonly string[] {
  const hello = `echo hello ${variant}`;
  switch (does.kind) {
    case 'runs':
      return ['sh', '-c', `${hello}; ${RUNS}`];
    case 'ends':
      return ['sh', '-c', `${hello}; echo goodbye; exit ${does.code}`];
    case 'stubborn':
      return ['sh', '-c', `trap '' TERM; ${hello}; while :; do sleep 3600; done`];
    case 'impossible':
      return ['/no/such/program'];
  }
}

export const soon = (ms = 30_000): AbortSignal => AbortSignal.timeout(ms);

export function makeWorld({ engine, docker }: TestEngine, deployment: string = randomUUID()): DockerWorld {
  const dataDir = mkdtempSync(join(tmpdir(), 'hf-docker-data-'));
  const uids = new Map<string, string>();
  const opened: DockerTarget[] = [];
  const deployments = new Set([deployment]);

  function open(of: string, through: Engine = engine, name = 'docker'): DockerTarget {
    deployments.add(of);
    const target = openDockerTarget(through, { deployment: of, dataDir, name });
    opened.push(target);
    return target;
  }

  const world: DockerWorld = {
    deployment,
    docker,
    dataDir,
    target: open(deployment),
    open: (through, name) => open(deployment, through, name),
    custom(raw, { name = 'agent', spec = {}, env = {} } = {}) {
      const uid = uids.get(name) ?? randomUUID();
      uids.set(name, uid);
      const whole = specOf({ image: IMAGE, stopTimeout: '5s', ...raw }, spec);
      const hash = infraHash({ part: dockerType.infra(whole), lifecycle: whole.lifecycle });
      return { fleet: 'demo', instance: name, uid, generation: 1, spec: whole, infraHash: hash, configHash: null, env };
    },
    subject({ name = 'agent', does = { kind: 'runs' }, variant = 'one', plugins = false }: SubjectAsk = {}) {
      const run = {
        command: script(does, variant),
        volumes: { data: '/data' },
        stopTimeout: does.kind === 'stubborn' ? '1m' : '5s',
      };
      // A hot one that ends by itself is begun again by the engine: its end could not be seen at rest.
      const lifecycle = does.kind === 'ends' ? 'lazy' : 'hot';
      return world.custom(run, { name, spec: { lifecycle, plugins: plugins ? [plugin('git+file:///srv/any')] : [] } });
    },
    container: async (subject) =>
      docker.getContainer(containerId(await world.target.inspect(subject, soon()))).inspect(),
    async kill(subject) {
      const { Id } = await world.container(subject);
      await docker.getContainer(Id).kill().catch(unlessStatus(409)); // 409: it does not run.
    },
    async remove(subject) {
      const { Id } = await world.container(subject);
      await docker.getContainer(Id).remove({ force: true });
    },
    reopen: () => Promise.resolve(open(deployment)),
    stranger: () => Promise.resolve(open(randomUUID())),
    async pluginFile(subject, path) {
      const { Id } = await world.container(subject);
      const stream = await docker
        .getContainer(Id)
        .getArchive({ path: `${PLUGINS_SEEN}/${path}` })
        .catch(unlessStatus(404));
      if (stream === undefined) return null;
      const [found] = await unpacked(stream as Readable, () => 'text', soon());
      return found?.text ?? null;
    },
    async damage(subject, name) {
      rmSync(join(boxFolder(await world.container(subject)), 'current', name, 'plugin.json'));
    },
    data: {
      async write(subject, text) {
        const { code } = await world.target.exec(subject, ['sh', '-c', `echo -n ${text} > /data/note`], soon());
        assert.equal(code, 0);
      },
      async read(subject) {
        return Buffer.from((await world.target.exec(subject, ['cat', '/data/note'], soon())).output).toString();
      },
    },
    async cleanup() {
      for (const target of opened) await target.close();
      for (const one of deployments) await removeAll(docker, one);
      rmSync(dataDir, { recursive: true });
    },
  };
  return world;
}

/** Where the volume with its plugins lies on this host, as the engine says. */
export function boxFolder({ Mounts }: Docker.ContainerInspectInfo): string {
  const mount = Mounts.find(({ Destination }) => Destination === AGENT_BOX);
  assert.ok(mount !== undefined, 'it has no place for plugins');
  return mount.Source;
}

export function containerId({ attrs: { containerId: id } }: Look): string {
  assert.ok(typeof id === 'string', 'it has no container');
  return id;
}

export function freeze(raw: JsonObject): JsonObject {
  const frozen = dockerType.run(raw);
  assert.ok(frozen.ok, JSON.stringify(frozen));
  return frozen.run;
}

function specOf(raw: JsonObject, part: Partial<Spec>): Spec {
  return {
    target: 'docker',
    targetType: 'docker',
    lifecycle: 'hot',
    labels: {},
    idleAfterMs: null,
    onComplete: 'restart',
    onDelete: 'keep',
    run: freeze(raw),
    health: null,
    heartbeat: null,
    config: null,
    plugins: [],
    expose: [],
    onSilent: null,
    onDegraded: null,
    drift: null,
    ...part,
  };
}

/** Everything that a deployment has on an engine. */
export async function removeAll(docker: Docker, deployment: string): Promise<void> {
  const filters = { label: [`holdfast.deployment=${deployment}`] };
  const containers = await docker.listContainers({ all: true, filters });
  await Promise.all(
    containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true }).catch(unlessStatus(404, 409))),
  );
  const { Volumes } = await docker.listVolumes({ filters });
  await Promise.all(
    Volumes.map(({ Name }) =>
      until(`volume ${Name} is gone`, async () => {
        // 409: its container is being removed still.
        await docker.getVolume(Name).remove().catch(unlessStatus(404));
        return true;
      }),
    ),
  );
}

/** Passes over an answer that says: so it is already. */
function unlessStatus(...statuses: readonly number[]): (error: unknown) => void {
  return (error) => {
    const status = (error as { statusCode?: number }).statusCode;
    if (status === undefined || !statuses.includes(status)) throw error;
  };
}
