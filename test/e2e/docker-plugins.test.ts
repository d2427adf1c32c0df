/**
 * Plugins of containers end to end: a real server, a real engine, a real git server. An agent in a container beats by HTTP from
 * its first moment on and says what it found; one that sleeps gets another version without being woken.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type Docker from 'dockerode';
import type { InstanceView } from '../../src/runtime/api.ts';
import { endSharedEngine, sharedEngine, type TestEngine } from '../support/docker.ts';
import { inContainer, openDockerPlane, type DockerPlane } from '../support/docker-plane.ts';
import { boxFolder } from '../support/docker-world.ts';
import type { Fleet } from '../support/e2e.ts';
import { plain, startGitServer, type GitServer } from '../support/git-server.ts';
import { realComponent } from '../support/require.ts';

/** Engines and disks are slow on a busy machine. */
const PATIENCE_MS = 180_000;
const HEART = { every: '1s', silentAfter: '60s', startGrace: '120s' };

/** Beats, and says in its version what it found of its plugin at its start. */
const BEATS = `trap 'exit 0' TERM
found=$(cat $HOLDFAST_PLUGINS/notes/notes.txt || echo none)
at=$\${HOLDFAST_URL#http://}
body="{\\"status\\":\\"ready\\",\\"version\\":\\"$found\\"}"
while :; do
  printf 'POST /v1/heartbeat HTTP/1.1\\r\\nHost: %s\\r\\nAuthorization: Bearer %s\\r\\nContent-Type: application/json\\r\\nContent-Length: %s\\r\\nConnection: close\\r\\n\\r\\n%s' \\
    "$at" "$HOLDFAST_INSTANCE_TOKEN" "$\${#body}" "$body" | nc $\${at%:*} $\${at#*:} > /dev/null
  sleep 1 & wait $!
done`;

const engine: TestEngine | null = await sharedEngine().catch(() => null);

if (engine === null)
  test('plugins of a container, end to end', async (t) => void (await realComponent(t, 'Docker', sharedEngine)));
else suite(engine);

function suite({ docker, host }: TestEngine): void {
  describe('plugins of a container, end to end', { timeout: 10 * 60_000 }, () => {
    let at: DockerPlane | null = null;
    let git: GitServer | null = null;
    let gate: Gate | null = null;
    let first: string;
    let fleet: Fleet;

    before(async () => {
      git = await startGitServer();
      const notes = git.repo('acme/notes');
      first = notes.commit({ ...plain('notes'), 'notes.txt': 'one' });
      notes.tag('v1', first);
      gate = await openGate(docker);
      at = await openDockerPlane(
        { docker: { docker, host } },
        {
          agentUrl: gate.url,
          plugins: { gitea: git.url },
          allow: { plainHttp: true },
        },
      );
      const plane = await at.up();
      gate.leadsTo(plane.port);
      fleet = plane.fleet('boxes');
    });
    after(async () => {
      await at?.close();
      gate?.close();
      await git?.close();
      await endSharedEngine();
    });

    const installed = ({ plugins, conditions }: InstanceView): boolean =>
      plugins.length === 1 &&
      plugins.every(({ state }) => state === 'installed') &&
      conditions.some(({ type, status }) => type === 'PluginsInstalled' && status === 'true');
    const noteIn = async (name: string): Promise<string> =>
      readFileSync(join(boxFolder(await at!.container('boxes', name)), 'current/notes/notes.txt'), 'utf8');

    test('L14 a fresh one whose very first sign of life is a heartbeat ends with its plugin in the volume', async () => {
      await fleet.declare({
        instances: { fresh: inContainer(BEATS, {}, { heartbeat: HEART, plugins: ['gitea://acme/notes#v1'] }) },
      });
      const view = await fleet.until(
        'fresh',
        'it runs, is heard, and has its plugin',
        (now) => now.phase === 'RUNNING' && installed(now) && now.heartbeat?.version != null,
        PATIENCE_MS,
      );
      assert.equal(view.plugins[0]?.sha, first);
      assert.equal(view.heartbeat?.version, 'one', 'it was there at its first start');
      assert.equal(await noteIn('fresh'), 'one');
      assert.deepEqual(view.restarts, { crashes: 0, planned: 0 });
    });

    test('L83 a lazy one that sleeps gets another pin while it sleeps, and wakes with it', async () => {
      const declare = (pin: string): Promise<unknown> =>
        fleet.declare({
          instances: {
            sleeper: inContainer(
              BEATS,
              {},
              { lifecycle: 'lazy', heartbeat: HEART, plugins: [`gitea://acme/notes#${pin}`] },
            ),
          },
        });
      await declare('v1');
      const asleepWith = (sha: string) => (now: InstanceView) =>
        now.phase === 'SLEEPING' && installed(now) && now.plugins[0]?.sha === sha;
      await fleet.until('sleeper', 'it sleeps with its first plugin', asleepWith(first), PATIENCE_MS);
      const second = git!.repo('acme/notes').commit({ ...plain('notes', { version: '2.0.0' }), 'notes.txt': 'two' });
      await declare(second);
      await fleet.until('sleeper', 'it sleeps with the second', asleepWith(second), PATIENCE_MS);
      assert.equal(await noteIn('sleeper'), 'two');
      const { State } = await at!.container('boxes', 'sleeper');
      assert.equal(State.StartedAt, '0001-01-01T00:00:00Z', 'it never ran');
      await at!.plane().ask('POST', '/v1/fleets/boxes/instances/sleeper/wake', { body: {} });
      const awake = await fleet.until(
        'sleeper',
        'it is awake and says what it found',
        (now) => now.phase === 'RUNNING' && now.heartbeat?.version != null,
        PATIENCE_MS,
      );
      assert.equal(awake.heartbeat?.version, 'two');
    });
  });
}

interface Gate {
  readonly url: string;
  leadsTo(port: number): void;
  close(): void;
}

/** Containers reach the server by way of their bridge; it listens on the loopback, as it should. */
async function openGate(docker: Docker): Promise<Gate> {
  let port = 0;
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    const onward = connect(port, '127.0.0.1');
    socket.pipe(onward).pipe(socket);
    for (const one of [socket, onward]) {
      open.add(one);
      one.on('error', () => undefined);
      one.on('close', () => (open.delete(one), socket.destroy(), onward.destroy()));
    }
  });
  const bridge = await bridgeAddress(docker);
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, bridge, resolve));
  return {
    url: `http://${bridge}:${(server.address() as AddressInfo).port}`,
    leadsTo: (next) => (port = next),
    close() {
      server.close();
      for (const one of open) one.destroy();
    },
  };
}

/** Of this host, on the engine's default bridge. It can be listened on while the bridge is down for want of containers. */
async function bridgeAddress(docker: Docker): Promise<string> {
  const { IPAM } = (await docker.getNetwork('bridge').inspect()) as {
    IPAM: { Config?: readonly { Gateway?: string }[] };
  };
  const address = IPAM.Config?.find(({ Gateway }) => Gateway !== undefined)?.Gateway;
  assert.ok(address !== undefined, 'the default bridge of the engine has no address on this host');
  return address;
}
