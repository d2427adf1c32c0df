/**
 * What becomes of the docker target when the engine itself fails: engines of our own, killed and started again.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { TargetError, type Subject, type TargetNotice } from '../../src/ports/target.ts';
import { connect } from '../../src/targets/docker/engine.ts';
import { engineAddress } from '../../src/targets/docker/settings.ts';
import { importImages, startEngine, type PrivateEngine } from '../support/docker.ts';
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
  // The engine may still find what its killed containerd left ("task … already exists"): it says so, and the next try comes.
  const again = async (agent: Subject): Promise<boolean> => {
    try {
      return (await world.target.provision(agent, STARTED, soon())).state === 'running';
    } catch (error) {
      assert.ok(error instanceof TargetError && error.detail.class === 'transient', String(error));
      return false;
    }
  };
  for (const agent of agents) await eventually(`${agent.instance} runs`, () => again(agent));
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

check(
  'an engine whose disk is full is to blame for it, and nothing else is: it goes on when there is space',
  async (world, engine, t) => {
    const disk = join(engine.folder, 'small');
    mkdirSync(disk);
    const filler = join(disk, 'filler');
    const mounted = await realComponent(t, `a disk of ${SMALL_DISK} (tmpfs, as root)`, () => {
      const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK}`, 'tmpfs', disk], {
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(stderr);
      return true;
    });
    if (mounted === null) return;
    try {
      await engine.restartWith(join(disk, 'data'));
      await importImages(world.docker);
      const [running, fresh] = [world.subject({ name: 'running' }), world.subject({ name: 'fresh' })];
      const before = await world.target.provision(running, STARTED, soon());
      await world.data!.write(running, 'precious');
      fillUp(filler);
      const error = await failure(world.target.provision(fresh, STARTED, soon()));
      assert.deepEqual(
        [error.detail.class, error.detail.fault, error.detail.code],
        ['transient', 'target', 'disk-full'],
        error.detail.message,
      );
      const { items } = await world.target.list(soon());
      const [seen] = items.filter(({ uid }) => uid === running.uid);
      assert.deepEqual([seen?.look.state, seen?.look.incarnation], ['running', before.incarnation]);
      rmSync(filler);
      assert.equal((await world.target.provision(fresh, STARTED, soon())).state, 'running');
      assert.equal(
        (await world.target.update(world.subject({ name: 'running', variant: 'two' }), STARTED, soon())).state,
        'running',
      );
      assert.equal(await world.data!.read(running), 'precious');
      for (const one of [running, fresh]) await world.target.destroy(one, { data: 'delete' }, soon());
    } finally {
      await engine.restartWith(join(engine.folder, 'data'));
      spawnSync('umount', ['-l', disk]);
    }
  },
);

test('an engine behind TLS is used with the right certificates, and told in words what is wrong with others', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'hf-tls-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const port = await freePort();
  const secured = await realComponent(t, 'Docker and openssl', async () => {
    makeCertificates(folder);
    const file = (name: string): string => join(folder, name);
    return startEngine(
      ['--tlsverify', `--tlscacert=${file('ca.pem')}`, `--tlscert=${file('server-cert.pem')}`].concat(
        `--tlskey=${file('server-key.pem')}`,
        '-H',
        `tcp://127.0.0.1:${port}`,
      ),
    );
  });
  if (secured === null) return;
  const world = makeWorld(secured);
  try {
    const host = `tcp://127.0.0.1:${port}`;
    const env = { DOCKER_HOST: host, DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: folder };
    const ways = [
      ['settings', engineAddress({ host, certs: folder }, 'box', {})],
      ['environment', engineAddress({}, 'box', env)],
    ] as const;
    for (const [name, way] of ways) {
      const target = world.open(connect(way));
      const agent = world.subject({ name });
      assert.equal((await target.provision(agent, STARTED, soon())).state, 'running');
      let notices = 0;
      target.watch!(world.deployment, () => (notices += 1));
      await eventually('its events are heard', () => Promise.resolve(notices > 0));
      assert.equal(Buffer.from((await target.exec(agent, ['echo', 'in'], soon())).output).toString(), 'in\n');
      await target.destroy(agent, { data: 'delete' }, soon());
    }
    for (const certs of ['strangers', 'impostor'].map((name) => join(folder, name))) {
      const error = await failure(world.open(connect(engineAddress({ host, certs }, 'box', {}))).list(soon()));
      assert.deepEqual([error.detail.fault, error.detail.code], ['target', 'no-access'], error.detail.message);
      assert.match(error.detail.message, /check the files in certs/);
    }
    const plain = await failure(world.open(connect(engineAddress({ host }, 'box', {}))).list(soon()));
    assert.deepEqual([plain.detail.fault, plain.detail.code], ['target', 'no-access'], plain.detail.message);
    assert.match(plain.detail.message, /HTTPS server.*; say certs/);
  } finally {
    await world.cleanup();
    await secured.stop();
  }
});

const SMALL_DISK = '24m';
const OPENSSL = 'openssl';

/** To the last byte, so that nothing can be written any more. */
function fillUp(file: string): void {
  const out = openSync(file, 'w');
  try {
    for (const size of [64 * 1024, 512]) {
      const block = Buffer.alloc(size);
      try {
        for (;;) if (writeSync(out, block) < size) break;
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
      }
    }
  } finally {
    closeSync(out);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * An authority, a server's and a client's certificate in that folder; in `strangers` a client's by an authority that the server
 * does not know; in `impostor` a client that trusts only that other authority.
 */
function makeCertificates(folder: string): void {
  const openssl = (...args: string[]): void => {
    const { status, stderr, error } = spawnSync(OPENSSL, args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${error?.message ?? stderr}`);
  };
  const authority = (name: string): void =>
    openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}-key.pem`,
      '-out',
      `${name}.pem`,
    );
  const signed = (name: string, by: string, usage: string): void => {
    writeFileSync(join(folder, `${name}.ext`), `subjectAltName=IP:127.0.0.1\nextendedKeyUsage=${usage}\n`);
    openssl(
      'req',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}-key.pem`,
      '-out',
      `${name}.csr`,
    );
    openssl(
      'x509',
      '-req',
      '-days',
      '2',
      '-in',
      `${name}.csr`,
      '-CA',
      `${by}.pem`,
      '-CAkey',
      `${by}-key.pem`,
      '-CAcreateserial',
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}-cert.pem`,
    );
  };
  authority('ca');
  authority('other');
  signed('server', 'ca', 'serverAuth');
  signed('client', 'ca', 'clientAuth');
  signed('stranger', 'other', 'clientAuth');
  const place = (into: string, files: { readonly [name: string]: string }): void => {
    mkdirSync(join(folder, into), { recursive: true });
    for (const [name, from] of Object.entries(files)) copyFileSync(join(folder, from), join(folder, into, name));
  };
  place('.', { 'cert.pem': 'client-cert.pem', 'key.pem': 'client-key.pem' });
  place('strangers', { 'ca.pem': 'ca.pem', 'cert.pem': 'stranger-cert.pem', 'key.pem': 'stranger-key.pem' });
  place('impostor', { 'ca.pem': 'other.pem', 'cert.pem': 'client-cert.pem', 'key.pem': 'client-key.pem' });
}
