/**
 * An end-to-end world whose agents are containers: a real server, one or more real engines as its named targets, and what
 * happens behind its back. What it made on a shared engine is removed at the end.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type Docker from 'dockerode';
import type { Json } from '../../src/core/model.ts';
import type { EventView } from '../../src/runtime/api.ts';
import { IMAGE } from './docker.ts';
import { removeAll } from './docker-world.ts';
import { dataOf, ofType, openWorld, wordsOf, type Plane, type UpOptions, type World } from './e2e.ts';

/** What a container does; as PID 1 a shell ends on SIGTERM only if it says so. */
export const LIVES = `trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done`;
/** The same, and answers HTTP on port 8080 with the files of /tmp/www; `first` is run before. */
export const serves = (first = ''): string =>
  `mkdir -p /tmp/www; ${first}
   trap 'exit 0' TERM; httpd -f -p 8080 -h /tmp/www & while :; do sleep 3600 & wait $!; done`;

/** A manifest's instance that runs a shell script in a container. */
export function inContainer(
  script: string,
  run: { readonly [key: string]: Json } = {},
  more: { readonly [key: string]: Json } = {},
): { readonly [key: string]: Json } {
  return { target: 'docker', run: { image: IMAGE, command: ['sh', '-c', script], stopTimeout: '5s', ...run }, ...more };
}

/** Named targets and their engines. The first is what `docker` means unless one is called so. */
export type Engines = { readonly [name: string]: { readonly docker: Docker; readonly host: string } };

export interface DockerPlane {
  readonly world: World;
  /** The server as it was started last. */
  plane(): Plane;
  up(options?: UpOptions): Promise<Plane>;
  /** Of that instance, its own label says; there may be none. */
  containersOf(fleet: string, instance: string, target?: string): Promise<readonly Docker.ContainerInspectInfo[]>;
  /** The only one. */
  container(fleet: string, instance: string, target?: string): Promise<Docker.ContainerInspectInfo>;
  /** A shell command in it; its output. Fails if the command does. */
  exec(fleet: string, instance: string, script: string): Promise<string>;
  close(): Promise<void>;
}

export async function openDockerPlane(
  engines: Engines,
  settings: { readonly [key: string]: Json } = {},
): Promise<DockerPlane> {
  const world = await openWorld();
  const data = join(world.folder, 'data');
  mkdirSync(data, { mode: 0o700 });
  const targets = Object.fromEntries(
    Object.entries(engines).map(([name, { host }]) => [name, { type: 'docker', host }]),
  );
  writeFileSync(join(data, 'holdfast.yaml'), JSON.stringify({ targets, ...settings }));
  let current: Plane | null = null;
  const plane = (): Plane => {
    assert.ok(current !== null, 'no server was started');
    return current;
  };
  const dockerOf = (target: string): Docker => {
    const engine = engines[target];
    assert.ok(engine !== undefined, `no engine is called ${target}`);
    return engine.docker;
  };

  async function containersOf(
    fleet: string,
    instance: string,
    target = 'docker',
  ): Promise<Docker.ContainerInspectInfo[]> {
    const docker = dockerOf(target);
    const { body } = await plane().ask<{ uid: string }>('GET', `/v1/fleets/${fleet}/instances/${instance}`);
    const filters = { label: [`holdfast.uid=${body.uid}`] };
    const found = await docker.listContainers({ all: true, filters });
    const all = await Promise.all(found.map(({ Id }) => docker.getContainer(Id).inspect().catch(ifGone)));
    return all.filter((one) => one !== null);
  }

  async function container(fleet: string, instance: string, target?: string): Promise<Docker.ContainerInspectInfo> {
    const found = await containersOf(fleet, instance, target);
    assert.equal(found.length, 1, `${instance} has ${found.length} containers`);
    return found[0]!;
  }

  return {
    world,
    plane,
    async up(options = {}) {
      current = await world.up({ data, ...options });
      return current;
    },
    containersOf,
    container,
    async exec(fleet, instance, script) {
      const { Id } = await container(fleet, instance);
      const exec = await dockerOf('docker')
        .getContainer(Id)
        .exec({ Cmd: ['sh', '-c', script], AttachStdout: true, AttachStderr: true, Tty: true });
      const stream = await exec.start({ Tty: true });
      let output = '';
      for await (const chunk of stream as AsyncIterable<Buffer>) output += chunk.toString();
      const { ExitCode } = await exec.inspect();
      assert.equal(ExitCode, 0, output);
      return output;
    },
    async close() {
      const deployment = deploymentOf(join(data, 'holdfast.db'));
      await world.close();
      if (deployment !== null)
        await Promise.all(Object.values(engines).map(({ docker }) => removeAll(docker, deployment)));
    },
  };
}

/** null where no server ever came up. */
function deploymentOf(database: string): string | null {
  if (!existsSync(database)) return null;
  const db = new DatabaseSync(database, { readOnly: true, timeout: 5_000 });
  const row = db.prepare('SELECT deployment FROM store').get();
  db.close();
  return typeof row?.['deployment'] === 'string' ? row['deployment'] : null;
}

const ifGone = (error: unknown): null => {
  if ((error as { statusCode?: number }).statusCode !== 404) throw error;
  return null;
};

// ── reading the log ─────────────────────────────────────────────────────────────────────────────────────────────────

/** The operations that were decided for it, in order: "row: operation". */
export function decidedFor(events: readonly EventView[], instance: string): readonly string[] {
  return ticks(events).flatMap((tick) =>
    (
      tick['actions'] as readonly {
        instance: string;
        rule: string;
        type: string;
        operation?: string;
        unstarted?: boolean;
      }[]
    )
      .filter((action) => action.instance === instance && action.operation !== undefined)
      .map(({ rule, type, unstarted }) => `${rule}: ${type}${unstarted === true ? ' unstarted' : ''}`),
  );
}

/** The phases that it went through, each with the row that said so: "PHASE by row". */
export function phasesOf(events: readonly EventView[], instance: string): readonly string[] {
  return ticks(events).flatMap((tick) =>
    (tick['transitions'] as readonly { instance: string; to: string; rule: string }[])
      .filter((one) => one.instance === instance)
      .map(({ to, rule }) => `${to} by ${rule}`),
  );
}

export const flapsOf = (events: readonly EventView[], instance: string): readonly string[] =>
  ofType(events, 'flap.observed', instance).map((event) => wordsOf(event, 'kind'));

const ticks = (events: readonly EventView[]): readonly { readonly [key: string]: Json }[] =>
  ofType(events, 'tick.decided').map(dataOf);
