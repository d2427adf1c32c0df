/**
 * A real Docker engine for tests: the one that DOCKER_HOST names, else one of this process's own (as root, in a temporary
 * folder, with its own bridge), gone with the process however that ends. Images are imported from a static busybox: there is no
 * registry.
 */
import Docker from 'dockerode';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type Engine } from '../../src/targets/docker/engine.ts';
import { engineAddress } from '../../src/targets/docker/settings.ts';

/** What test containers run: sh, sleep, echo, cat and the like. */
export const IMAGE = 'holdfast-test/busybox:1';
/** The same, and declares `VOLUME /declared`. */
export const IMAGE_WITH_VOLUME = 'holdfast-test/volume:1';

const DOCKERD = 'dockerd';
const IP = 'ip';
const BUSYBOX = '/bin/busybox';
const APPLETS = [
  'sh',
  'sleep',
  'echo',
  'cat',
  'ls',
  'touch',
  'rm',
  'env',
  'id',
  'pwd',
  'dd',
  'nc',
  'httpd',
  'mkdir',
  'true',
];
const START_DEADLINE_MS = 30_000;
const END_DEADLINE_MS = 20_000;
const POLL_MS = 20;

export interface TestEngine {
  /** For DOCKER_HOST, or the setting `host` of a target. */
  readonly host: string;
  readonly engine: Engine;
  readonly docker: Docker;
}

/** One that a test may break: no other test uses it. */
export interface PrivateEngine extends TestEngine {
  readonly folder: string;
  /** As a crash: dockerd and its containerd are gone at once; containers are left to themselves. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Ends it in good order; with another data root the next start has none of what was. */
  restartWith(dataRoot: string): Promise<void>;
  stop(): Promise<void>;
}

let shared: Promise<TestEngine> | null = null;

/** Throws when there is none and none can be started here. */
export function sharedEngine(): Promise<TestEngine> {
  shared ??= process.env['DOCKER_HOST'] ? given(process.env['DOCKER_HOST']) : startEngine();
  return shared;
}

/** To be called once, after the last test of a file. */
export async function endSharedEngine(): Promise<void> {
  const engine = await shared?.catch(() => null);
  if (engine && 'stop' in engine) await (engine as PrivateEngine).stop();
}

async function given(host: string): Promise<TestEngine> {
  const engine = clients(host);
  await engine.docker.ping();
  await importImages(engine.docker);
  return engine;
}

function clients(host: string): TestEngine {
  const address = engineAddress({ host }, 'docker');
  return { host, engine: connect(address), docker: new Docker(address.options) };
}

/** `flags`: for dockerd, besides those that keep it to itself. */
export async function startEngine(flags: readonly string[] = []): Promise<PrivateEngine> {
  if (process.getuid?.() !== 0) throw new Error('an engine of our own needs root; set DOCKER_HOST to use another');
  const folder = mkdtempSync(join(tmpdir(), 'hf-docker-'));
  const socket = join(folder, 'S');
  const bridge = openBridge();
  // Its own key, and so its own id: the default is one per host.
  writeFileSync(join(folder, 'daemon.json'), JSON.stringify({ 'deprecated-key-path': join(folder, 'key.json') }));
  const endWatch = cleanUpWithThisProcess(folder, bridge);
  const client = clients(`unix://${socket}`);
  let dataRoot = join(folder, 'data');
  let daemon: ChildProcess | null = null;

  async function start(): Promise<void> {
    const said: string[] = [];
    const own = [
      '--config-file',
      'daemon.json',
      '--data-root',
      dataRoot,
      '--exec-root',
      join(folder, 'exec'),
      '--pidfile',
      join(folder, 'pid'),
    ];
    // Published ports go through the engine's own proxy; its firewall rules would be shared with every engine of this host.
    own.push(
      '-H',
      `unix://${socket}`,
      '--bridge',
      bridge,
      '--iptables=false',
      '--ip-masq=false',
      '--shutdown-timeout',
      '2',
    );
    rmSync(join(folder, 'pid'), { force: true });
    const child = spawn(DOCKERD, [...own, ...flags], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    child.stderr.setEncoding('utf8').on('data', (text: string) => said.splice(0, said.length - 20, text));
    daemon = child;
    const spawned = await Promise.race([
      once(child, 'spawn').then(() => null),
      once(child, 'error').then(([error]) => error as Error),
    ]);
    if (spawned !== null)
      throw new Error(`dockerd cannot be started: ${spawned.message} (apt-get install docker.io iptables)`);
    const until = performance.now() + START_DEADLINE_MS;
    while (
      !(await client.docker.ping().then(
        () => true,
        () => false,
      ))
    ) {
      if (child.exitCode !== null || performance.now() > until)
        throw new Error(`dockerd did not come up: ${said.join('').slice(-2_000)}`);
      await pause(POLL_MS);
    }
  }

  async function ended(child: ChildProcess): Promise<void> {
    if (child.exitCode === null && child.signalCode === null)
      await once(child, 'exit', { signal: AbortSignal.timeout(END_DEADLINE_MS) });
  }

  async function shutDown(): Promise<void> {
    if (daemon === null) return;
    daemon.kill('SIGTERM');
    await ended(daemon);
    daemon = null;
  }

  await start();
  await importImages(client.docker);
  return {
    ...client,
    folder,
    start,
    async kill() {
      if (daemon === null) return;
      daemon.kill('SIGKILL');
      await ended(daemon);
      daemon = null;
      const pidFile = join(folder, 'exec/containerd/containerd.pid');
      const pid = Number(readFileSync(pidFile, 'utf8'));
      killQuietly(pid);
      while (existsSync(`/proc/${pid}/exe`)) await pause(POLL_MS);
      // Where nobody reaps it, the next dockerd would take the zombie for a containerd that runs, and wait for its answer.
      rmSync(pidFile);
    },
    async restartWith(root) {
      await shutDown();
      dataRoot = root;
      await start();
    },
    async stop() {
      if (daemon === null) await start();
      const containers = await client.docker.listContainers({ all: true });
      await Promise.all(
        containers.map(({ Id }) =>
          client.docker
            .getContainer(Id)
            .remove({ force: true, v: true })
            .catch(() => undefined),
        ),
      );
      await shutDown();
      endWatch();
    },
  };
}

/** A bridge of our own: two engines on one bridge would give out the same addresses. */
function openBridge(): string {
  const name = `hf${process.pid.toString(36)}${Math.floor(Math.random() * 1_296).toString(36)}`;
  const subnet = `10.${200 + Math.floor(Math.random() * 50)}.${Math.floor(Math.random() * 250)}.1/24`;
  for (const args of [
    ['link', 'add', name, 'type', 'bridge'],
    ['addr', 'add', subnet, 'dev', name],
    ['link', 'set', name, 'up'],
  ]) {
    const { status, stderr, error } = spawnSync(IP, args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${error?.message ?? stderr}`);
  }
  return name;
}

/**
 * A shell that waits for the end of its input, which is the end of this process, also by SIGKILL. It then ends what is left of
 * the engine (all of it names the folder in its command line), unmounts, and removes. Returns how to have it do so now.
 */
function cleanUpWithThisProcess(folder: string, bridge: string): () => void {
  const script = `
    read -r line
    ours() { for p in /proc/[0-9]*; do
      [ "\${p#/proc/}" != $$ ] && tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -qF "$0/" && echo "\${p#/proc/}"; done; }
    [ -s "$0/pid" ] && kill -TERM "$(cat "$0/pid")" 2>/dev/null
    for i in 1 2 3 4 5 6 7 8; do [ -z "$(ours)" ] && break; sleep 0.5; done
    for i in 1 2 3; do for p in $(ours); do kill -KILL $p 2>/dev/null; done; sleep 0.2; done
    for i in 1 2 3; do grep -F " $0/" /proc/mounts | cut -d' ' -f2 | sort -r | while read -r m; do umount -l "$m" 2>/dev/null; done; done
    ip link del "$1" 2>/dev/null; rm -rf "$0"`;
  const watch = spawn('sh', ['-c', script, folder, bridge], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  watch.unref();
  return () => watch.stdin.end('stopped\n');
}

/** What test containers run, where it is not there yet. */
export async function importImages(docker: Docker): Promise<void> {
  const has = async (name: string): Promise<boolean> =>
    docker
      .getImage(name)
      .inspect()
      .then(
        () => true,
        () => false,
      );
  for (const [name, changes] of [
    [IMAGE, undefined],
    [IMAGE_WITH_VOLUME, ['VOLUME /declared']],
  ] as const) {
    if (await has(name)) continue;
    const [repo, tag] = name.split(':');
    const progress = await docker.importImage(rootFolder(), { repo, tag, ...(changes && { changes }) });
    for await (const _ of progress) void _;
    if (!(await has(name))) throw new Error(`image ${name} was imported, and is not there`);
  }
}

/** A tar of a small root file system. */
function rootFolder(): NodeJS.ReadableStream {
  const root = mkdtempSync(join(tmpdir(), 'hf-image-'));
  mkdirSync(join(root, 'bin'));
  mkdirSync(join(root, 'etc'));
  mkdirSync(join(root, 'tmp'));
  copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
  for (const applet of APPLETS) symlinkSync('busybox', join(root, 'bin', applet));
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\nagent:x:1000:1000:agent:/:/bin/sh\n');
  const tar = spawn('tar', ['-C', root, '-c', '.'], { stdio: ['ignore', 'pipe', 'ignore'] });
  tar.once('close', () => rmSync(root, { recursive: true }));
  return tar.stdout;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}
