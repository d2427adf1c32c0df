/**
 * What Holdfast adds to a Docker engine, beside the engine itself, in turn on one engine of this run's own:
 *
 *  - a killed container: from the kill to its next start, beside one that only has the engine's `unless-stopped`;
 *  - a removed one: from its removal to the start of its successor, beside a raw create + start;
 *  - 50 new ones: from the apply to the last start, beside raw create + start (the best of several widths) and beside Swarm
 *    that scales a service to 50;
 *  - 50 at rest: events written and lists asked for, through a counting socket. HOLDFAST_BENCH_STEADY_S says how long (60).
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { IMAGE, startEngine } from '../test/support/docker.ts';
import { engineProxy } from '../test/support/docker-proxy.ts';
import { atLeast, atMost, known, median, timedAsync, type Bench } from './figure.ts';
import { apply, startServer, type Server } from './server.ts';

const ROUNDS = 8;
const FLEET_SIZE = 50;
const CONVERGE_ROUNDS = 3;
const WIDTHS = [4, 8, 16];
const DEADLINE_MS = 5 * 60_000;
const STEADY_S = Number(process.env['HOLDFAST_BENCH_STEADY_S'] ?? 60);
const SWEEP_S = 30;
const COMMAND = ['sh', '-c', "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"];
const run = promisify(execFile);

export const bench: Bench = async function* dockerBench() {
  const engine = await startEngine();
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const proxy = await engineProxy(engine.host);
  const data = join(folder, 'data');
  mkdirSync(data, { mode: 0o700 });
  writeFileSync(
    join(data, 'holdfast.yaml'),
    JSON.stringify({ targets: { docker: { type: 'docker', host: proxy.host } } }),
  );
  let server: Server | null = null;
  try {
    server = await startServer(data, ['--proxy-listen', '127.0.0.1:0']);
    const heal = new Fleet(engine.docker, server, data, 'heal');
    yield* healed(engine.docker, heal);
    yield* converged(engine.docker, engine.host, server, data);
    yield* steady(server, data, proxy.asked);
  } finally {
    await server?.end('SIGTERM');
    await proxy.close();
    await engine.stop();
    rmSync(folder, { recursive: true, force: true });
  }
};

/** The containers of one fleet, as the engine has them. */
class Fleet {
  readonly docker: Docker;
  readonly server: Server;
  readonly data: string;
  readonly name: string;

  constructor(docker: Docker, server: Server, data: string, name: string) {
    this.docker = docker;
    this.server = server;
    this.data = data;
    this.name = name;
  }

  apply(names: readonly string[]): Promise<void> {
    const one = { target: 'docker', run: { image: IMAGE, command: COMMAND } };
    const policy = { giveUpAfter: 100 };
    const instances = Object.fromEntries(names.map((name) => [name, one]));
    return apply(
      this.server,
      this.data,
      this.name,
      JSON.stringify({ version: 1, fleet: this.name, policy, instances }),
    );
  }

  async running(): Promise<number> {
    return (await this.docker.listContainers({ filters: { label: [`holdfast.fleet=${this.name}`] } })).length;
  }

  /** A running one of that instance that is not `before`, by id and start. */
  async life(instance: string, before: string | null): Promise<{ id: string; pid: number; life: string }> {
    const filters = { label: [`holdfast.fleet=${this.name}`, `holdfast.instance=${instance}`] };
    return within(async () => {
      const [found] = await this.docker.listContainers({ filters });
      return found === undefined ? null : another(this.docker, found.Id, before);
    });
  }
}

async function another(
  docker: Docker,
  id: string,
  before: string | null,
): Promise<{ id: string; pid: number; life: string } | null> {
  const info = await docker
    .getContainer(id)
    .inspect()
    .catch(() => null);
  if (info === null || !info.State.Running) return null;
  const life = `${id} ${info.State.StartedAt}`;
  return life === before ? null : { id, pid: info.State.Pid, life };
}

async function within<T>(look: () => Promise<T | null>): Promise<T> {
  const until = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    if (performance.now() > until) throw new Error('it did not come about in time');
    await wait(5);
  }
}

async function* healed(docker: Docker, fleet: Fleet): ReturnType<Bench> {
  const names = Array.from({ length: ROUNDS }, (_, i) => `bot-${i}`);
  await fleet.apply(names);
  for (const name of names) await fleet.life(name, null);
  const times = { mine: [] as number[], engine: [] as number[], missing: [] as number[], raw: [] as number[] };
  const plain = { Image: IMAGE, Cmd: COMMAND };
  for (const name of names) {
    const mine = await fleet.life(name, null);
    times.mine.push(
      await timedAsync(async () => (process.kill(mine.pid, 'SIGKILL'), void (await fleet.life(name, mine.life)))),
    );
    const peer = await docker.createContainer({ ...plain, HostConfig: { RestartPolicy: { Name: 'unless-stopped' } } });
    await peer.start();
    const theirs = await within(() => another(docker, peer.id, null));
    times.engine.push(
      await timedAsync(
        async () => (
          process.kill(theirs.pid, 'SIGKILL'),
          void (await within(() => another(docker, peer.id, theirs.life)))
        ),
      ),
    );
    await peer.remove({ force: true });
    await wait(1_500); // A second loss of one that was only just healed waits for its backoff.
  }
  const more = Array.from({ length: ROUNDS }, (_, i) => `gone-${i}`);
  await fleet.apply([...names, ...more]);
  for (const name of more) await fleet.life(name, null);
  for (const name of more) {
    const mine = await fleet.life(name, null);
    await docker.getContainer(mine.id).remove({ force: true });
    times.missing.push(await timedAsync(async () => void (await fleet.life(name, mine.life))));
    let made: Docker.Container | null = null;
    times.raw.push(
      await timedAsync(async () => {
        made = await docker.createContainer(plain);
        await made.start();
      }),
    );
    await (made as Docker.Container | null)?.remove({ force: true });
  }
  yield known('a killed container runs again: Holdfast', median(times.mine), 'ms');
  yield known("  the engine's own unless-stopped", median(times.engine), 'ms');
  yield atMost('  Holdfast, as a share', median(times.mine) / median(times.engine), '×', 1, "the engine's own policy");
  yield known('a removed container runs again: Holdfast', median(times.missing), 'ms');
  yield known('  raw create + start', median(times.raw), 'ms');
  yield atMost('  Holdfast, as a share', median(times.missing) / median(times.raw), '×', 1.25, 'raw create + start');
}

async function* converged(docker: Docker, host: string, server: Server, data: string): ReturnType<Bench> {
  const mine: number[] = [];
  const raw: number[] = [];
  const swarm: number[] = [];
  const cli = (...args: readonly string[]): Promise<unknown> => run('docker', ['-H', host, ...args]);
  await cli('swarm', 'init', '--advertise-addr', '127.0.0.1');
  for (let round = 0; round < CONVERGE_ROUNDS; round += 1) {
    const fleet = new Fleet(docker, server, data, `many-${round}`);
    const names = Array.from({ length: FLEET_SIZE }, (_, i) => `bot-${i}`);
    mine.push(
      await timedAsync(async () => {
        await fleet.apply(names);
        await within(async () => ((await fleet.running()) === FLEET_SIZE ? true : null));
      }),
    );
    if (round < CONVERGE_ROUNDS - 1) await emptied(fleet, names);
    raw.push(await timedAsync(() => rawMany(docker, WIDTHS[round % WIDTHS.length]!)));
    await removedAll(docker, 'bench.raw');
    await cli(
      'service',
      'create',
      '--detach',
      '--name',
      'peer',
      '--replicas',
      '0',
      '--no-resolve-image',
      IMAGE,
      ...COMMAND,
    );
    swarm.push(
      await timedAsync(async () => {
        await cli('service', 'scale', '--detach', `peer=${FLEET_SIZE}`);
        await within(async () =>
          (await docker.listContainers({ filters: { label: ['com.docker.swarm.service.name=peer'] } })).length ===
          FLEET_SIZE
            ? true
            : null,
        );
      }),
    );
    await cli('service', 'rm', 'peer');
    await within(async () =>
      (await docker.listContainers({ all: true, filters: { label: ['com.docker.swarm.service.name=peer'] } }))
        .length === 0
        ? true
        : null,
    );
  }
  await cli('swarm', 'leave', '--force');
  const best = Math.min(...raw);
  yield known(`${FLEET_SIZE} containers run: Holdfast`, median(mine), 'ms');
  yield known(`  raw create + start, the best of ${WIDTHS.join(', ')} at once`, best, 'ms');
  yield known('  Docker Swarm, scaled from 0', median(swarm), 'ms');
  yield atMost('  Holdfast, as a share', median(mine) / best, '×', 1.15, 'the best raw parallel create + start');
  yield atLeast('  Swarm takes', median(swarm) / median(mine), '×', 2.5, 'docker service scale on the same engine');
}

async function rawMany(docker: Docker, width: number): Promise<void> {
  let left = FLEET_SIZE;
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const made = await docker.createContainer({ Image: IMAGE, Cmd: COMMAND, Labels: { 'bench.raw': '1' } });
      await made.start();
    }
  };
  await Promise.all(Array.from({ length: width }, work));
}

async function removedAll(docker: Docker, label: string): Promise<void> {
  const found = await docker.listContainers({ all: true, filters: { label: [label] } });
  await Promise.all(found.map(({ Id }) => docker.getContainer(Id).remove({ force: true })));
}

async function emptied({ server, data, name, docker }: Fleet, names: readonly string[]): Promise<void> {
  const headers = { authorization: `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}` };
  for (const one of names)
    await fetch(`${server.url}/v1/fleets/${name}/instances/${one}`, { method: 'DELETE', headers });
  await within(async () =>
    (await docker.listContainers({ all: true, filters: { label: [`holdfast.fleet=${name}`] } })).length === 0
      ? true
      : null,
  );
}

/** The fleet that the last round of `converged` left. */
async function* steady(server: Server, data: string, asked: readonly string[]): ReturnType<Bench> {
  const headers = { authorization: `Bearer ${readFileSync(join(data, 'admin.token'), 'utf8').trim()}` };
  const fleet = `${server.url}/v1/fleets/many-${CONVERGE_ROUNDS - 1}`;
  const view = async (): Promise<{ head: number; phases: { [phase: string]: number } }> =>
    (await (await fetch(fleet, { headers })).json()) as { head: number; phases: { [phase: string]: number } };
  const { head } = await within(async () => {
    const now = await view();
    return now.phases['RUNNING'] === FLEET_SIZE ? now : null;
  });
  await wait(2_000); // What was still under way is over.
  const began = asked.length;
  const quiet = await view();
  await wait(STEADY_S * 1_000);
  const lists = asked.slice(began).filter((line) => line.startsWith('GET /containers/json')).length;
  yield atMost(
    `events of ${FLEET_SIZE} at rest in ${STEADY_S} s`,
    (await view()).head - Math.max(head, quiet.head),
    'events',
    0,
  );
  yield atMost('  lists asked of the engine', lists, 'lists', Math.ceil(STEADY_S / SWEEP_S), `one per ${SWEEP_S} s`);
  yield known('  everything asked of it', asked.length - began, 'calls');
}
