/**
 * What may be declared of containers and engines, and the roads to an engine. Only the roads need one.
 */
import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { JsonObject } from '../../src/core/model.ts';
import { ageIn, begun, mayBeSame } from '../../src/targets/docker/ages.ts';
import { connect } from '../../src/targets/docker/engine.ts';
import { engineAddress } from '../../src/targets/docker/settings.ts';
import { dockerType } from '../../src/targets/docker/type.ts';
import { endSharedEngine, sharedEngine } from '../support/docker.ts';
import { sshRoad, strangersKey, tcpRoad } from '../support/docker-roads.ts';
import { freeze, makeWorld, RUNS, soon } from '../support/docker-world.ts';
import { spec } from '../support/specs.ts';
import { realComponent } from '../support/require.ts';
import { failure } from './target.suite.ts';

after(endSharedEngine);

const problemsOf = (run: JsonObject): readonly string[] => {
  const answer = dockerType.run(run);
  return answer.ok ? [] : answer.problems.map(({ path, message }) => `${path}: ${message}`);
};

test('L78 a run section is frozen with every default written out', () => {
  assert.deepEqual(freeze({ image: 'bot:4' }), {
    image: 'bot:4',
    pull: 'missing',
    entrypoint: null,
    command: null,
    workdir: null,
    user: null,
    stopSignal: null,
    stopTimeoutMs: 10_000,
    env: {},
    ports: [],
    volumes: {},
    memoryBytes: null,
    cpus: null,
    pids: null,
  });
  const ports = freeze({
    image: 'a',
    ports: [80, '53/udp', '9000:8080', '0.0.0.0:9001:81', { container: 82, host: 9002, address: '::1' }],
  })['ports'];
  assert.deepEqual(ports, [
    { container: 80, protocol: 'tcp', host: null, address: '127.0.0.1' },
    { container: 53, protocol: 'udp', host: null, address: '127.0.0.1' },
    { container: 8080, protocol: 'tcp', host: 9000, address: '127.0.0.1' },
    { container: 81, protocol: 'tcp', host: 9001, address: '0.0.0.0' },
    { container: 82, protocol: 'tcp', host: 9002, address: '::1' },
  ]);
  assert.deepEqual(freeze({ image: 'a', volumes: { data: '/data', old: { path: '/old', name: 'mine' } } })['volumes'], {
    data: { path: '/data', name: null },
    old: { path: '/old', name: 'mine' },
  });
});

test('L78 a health check is frozen with the defaults of an engine', () => {
  assert.deepEqual(freeze({ image: 'a', healthcheck: { command: ['/check'] } })['healthcheck'], {
    command: ['/check'],
    everyMs: 30_000,
    timeoutMs: 30_000,
    retries: 3,
    startPeriodMs: 0,
  });
});

test('no option of the engine can be smuggled in: what is not known is refused by its path', () => {
  const smuggled: JsonObject = {
    privileged: true,
    network: 'host',
    mounts: [],
    HostConfig: { Privileged: true },
    capAdd: ['SYS_ADMIN'],
    devices: ['/dev/mem'],
    pidMode: 'host',
    securityOpt: [],
    labels: { 'holdfast.uid': 'x' },
    restart: 'always',
  };
  for (const [key, value] of Object.entries(smuggled)) {
    const [problem, ...others] = problemsOf({ image: 'a', [key]: value });
    assert.match(problem ?? '', new RegExp(`^${key}: .{15,}`));
    assert.deepEqual(others, []);
  }
  for (const [volumes, path] of [
    [{ data: '/etc:/host' }, 'volumes.data'],
    [{ data: '/' }, 'volumes.data'],
    [{ data: '/holdfast/plugins' }, 'volumes.data'],
    [{ data: '../x' }, 'volumes.data'],
    [{ data: { path: '/data', name: '/etc' } }, 'volumes.data.name'],
    [{ data: { path: '/data', source: '/etc' } }, 'volumes.data.source'],
    [{ data: { path: '/data', driver_opts: {} } }, 'volumes.data.driver_opts'],
    [{ '/etc': '/data' }, 'volumes["/etc"]'],
    [{ a: '/data', b: '/data' }, 'volumes'],
  ] as const) {
    assert.match(
      problemsOf({ image: 'a', volumes })[0] ?? '',
      new RegExp(`^${path.replace(/[[\]/."]/g, '\\$&')}: `),
      JSON.stringify(volumes),
    );
  }
});

test('every problem of a run section is told with its path', () => {
  const wrong: readonly (readonly [JsonObject, string])[] = [
    [{}, 'image'],
    [{ image: 'a b' }, 'image'],
    [{ image: 'a', command: 'node' }, 'command'],
    [{ image: 'a', command: ['a', 1] }, 'command[1]'],
    [{ image: 'a', command: [] }, 'command'],
    [{ image: 'a', env: { '1A': 'x' } }, 'env.1A'],
    [{ image: 'a', env: { HOLDFAST_UID: 'x' } }, 'env.HOLDFAST_UID'],
    [{ image: 'a', env: { A: 1 } }, 'env.A'],
    [{ image: 'a', ports: [0] }, 'ports[0]'],
    [{ image: 'a', ports: ['x:80'] }, 'ports[0]'],
    [{ image: 'a', ports: [80, '9000:80'] }, 'ports[1]'],
    [{ image: 'a', ports: ['70000:80'] }, 'ports[0]'],
    [{ image: 'a', memory: '1m' }, 'memory'],
    [{ image: 'a', memory: 512 }, 'memory'],
    [{ image: 'a', cpus: 0 }, 'cpus'],
    [{ image: 'a', pids: 1.5 }, 'pids'],
    [{ image: 'a', stopTimeout: '20m' }, 'stopTimeout'],
    [{ image: 'a', stopSignal: 'SIGSTOP' }, 'stopSignal'],
    [{ image: 'a', user: 'a b' }, 'user'],
    [{ image: 'a', workdir: 'x' }, 'workdir'],
    [{ image: 'a', healthcheck: { every: '5s' } }, 'healthcheck.command'],
    [{ image: 'a', healthcheck: { command: ['x'], every: '10ms' } }, 'healthcheck.every'],
    [{ image: 'a', healthcheck: { command: ['x'], retries: 0 } }, 'healthcheck.retries'],
    [{ image: 'a', comand: ['x'] }, 'comand'],
  ];
  for (const [run, path] of wrong) {
    const problems = problemsOf(run);
    assert.equal(problems.length, 1, `${JSON.stringify(run)}: ${problems.join('; ')}`);
    assert.equal(problems[0]!.slice(0, path.length + 2), `${path}: `, problems[0]);
  }
});

test('what needs another container is in the infra hash, and how to stop or when to pull is not', () => {
  const infra = (run: JsonObject, lifecycle: 'hot' | 'lazy' = 'hot'): string =>
    JSON.stringify(
      dockerType.infra({ ...spec({ targetType: 'docker', lifecycle }), run: freeze({ image: 'a', ...run }) }),
    );
  const base = infra({});
  for (const run of [
    { image: 'b' },
    { command: ['x'] },
    { env: { A: '1' } },
    { ports: [80] },
    { volumes: { d: '/d' } },
    { memory: '8m' },
    { user: 'x' },
  ])
    assert.notEqual(infra(run), base);
  assert.notEqual(infra({}, 'lazy'), base);
  for (const run of [{ stopTimeout: '1s' }, { pull: 'always' }]) assert.equal(infra(run), base);
});

test('an age in words tells another life from the same, and never takes the same for another', () => {
  const start = 1_000_000;
  const words: readonly (readonly [seconds: number, text: string])[] = [
    [0.5, 'Less than a second'],
    [1.2, '1 second'],
    [59.9, '59 seconds'],
    [60, 'About a minute'],
    [119, 'About a minute'],
    [3_599, '59 minutes'],
    [3_600, 'About an hour'],
    [5_399, 'About an hour'],
    [5_400, '2 hours'],
    [47 * 3_600, '47 hours'],
    [3 * 86_400, '3 days'],
    [20 * 86_400, '2 weeks'],
    [90 * 86_400, '3 months'],
    [800 * 86_400, '2 years'],
  ];
  for (const [i, [seconds, text]] of words.entries()) {
    const at = start + seconds * 1_000;
    const age = ageIn(`Up ${text}`)!;
    assert.ok(age.leastMs <= seconds * 1_000 && seconds * 1_000 < age.mostMs, `${text}: ${JSON.stringify(age)}`);
    const known = begun(age, at);
    for (const [laterSeconds, later] of words.slice(i)) {
      assert.ok(mayBeSame(known, ageIn(`Up ${later}`)!, start + laterSeconds * 1_000), `${text}, then ${later}`);
      if (seconds < 3) continue;
      const restarted = start + laterSeconds * 1_000 + 30_000;
      assert.equal(mayBeSame(known, ageIn('Up 2 seconds')!, restarted), false, `${text}, then restarted`);
    }
    assert.equal(mayBeSame(known, ageIn(`Up ${text} (Paused)`)!, at), false);
    assert.equal(mayBeSame(known, ageIn(`Exited (1) ${text} ago`)!, at), false);
  }
  assert.equal(ageIn('Restarting (1) 5 seconds ago'), null);
  assert.equal(ageIn('whatever comes'), null);
});

test('an engine is named by its settings, else by DOCKER_HOST, else it is that of this host', () => {
  const text = (settings: JsonObject, env: { [name: string]: string } = {}): string =>
    engineAddress(settings, 'box1', env).text;
  assert.equal(text({ type: 'docker' }), 'unix:///var/run/docker.sock');
  assert.equal(text({}, { DOCKER_HOST: 'tcp://box:2375' }), 'tcp://box:2375');
  assert.equal(text({ host: 'unix:///x' }, { DOCKER_HOST: 'tcp://box:2375' }), 'unix:///x');
  for (const settings of [
    { host: 'box1' },
    { host: 'http://box1' },
    { hosts: 'x' },
    { host: 'ssh://a:password@b' },
    { certs: 'x' },
    { host: 1 },
  ]) {
    assert.throws(() => text(settings), /targets\.box1\./, JSON.stringify(settings));
  }
  assert.throws(() => text({}, { DOCKER_HOST: 'box' }), /DOCKER_HOST/);
  assert.throws(() => text({ host: 'tcp://box:2376', certs: '/no/such/folder' }), /\/no\/such\/folder\/ca\.pem/);
});

test('an engine is used through a unix socket, tcp and ssh alike, and an ssh server that nobody knows is given nothing', async (t) => {
  const shared = await realComponent(t, 'Docker', sharedEngine);
  if (shared === null) return;
  const folder = mkdtempSync(join(tmpdir(), 'hf-ssh-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [tcp, ssh] = [await tcpRoad(shared.host), await sshRoad(shared.host)];
  const world = makeWorld(shared);
  try {
    const identityFile = join(folder, 'identity');
    writeFileSync(identityFile, ssh.identity, { mode: 0o600 });
    const knownBy = (name: string, lines: string): { [name: string]: string } => {
      const HOME = join(folder, name);
      mkdirSync(join(HOME, '.ssh'), { recursive: true });
      writeFileSync(join(HOME, '.ssh/known_hosts'), lines);
      return { HOME };
    };
    const name = new URL(ssh.host).host.replace(/^(.*):(\d+)$/, '[$1]:$2');
    const salt = randomBytes(20);
    const hashed = `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`;
    const roads = [
      engineAddress({ host: tcp.host }, 'box1', {}),
      engineAddress({ host: ssh.host, hostKey: ssh.hostKey, identityFile }, 'box1', {}),
      engineAddress({ host: ssh.host, identityFile }, 'box1', knownBy('plain', `${name} ${ssh.publicKey}\n`)),
      engineAddress(
        { host: ssh.host, identityFile },
        'box1',
        knownBy('hashed', `# a comment\n${hashed} ${ssh.publicKey}\n`),
      ),
    ];
    const agent = world.custom({ command: ['sh', '-c', RUNS] });
    const look = await world.target.provision(agent, { unstarted: false }, soon());
    for (const road of roads) {
      const target = world.open(connect(road));
      assert.deepEqual(
        (await target.list(soon())).items.map((item) => item.look),
        [look],
      );
    }
    const far = world.open(connect(roads[1]!));
    assert.equal((await far.exec(agent, ['echo', 'hello'], soon())).output.toString(), 'hello\n');
    for (const [settings, env] of [
      [{ host: ssh.host, hostKey: strangersKey(), identityFile }, {}],
      [{ host: ssh.host, identityFile }, knownBy('nobody', '')],
      [{ host: ssh.host, hostKey: ssh.hostKey }, {}],
    ] as const) {
      const error = await failure(world.open(connect(engineAddress(settings, 'box1', env))).list(soon()));
      assert.deepEqual(
        [error.detail.class, error.detail.fault, error.detail.code],
        ['terminal', 'target', 'no-access'],
        error.detail.message,
      );
    }
  } finally {
    await world.cleanup();
    await ssh.close();
    await tcp.close();
  }
});
