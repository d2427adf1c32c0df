/**
 * How the docker target sees: listings that cost little, events told at once, ends that are told however fast the engine heals.
 */
import assert from 'node:assert/strict';
import { after, test, type TestContext } from 'node:test';
import type { Look } from '../../src/core/model.ts';
import type { Subject, TargetNotice } from '../../src/ports/target.ts';
import { endSharedEngine, sharedEngine } from '../support/docker.ts';
import { Sightings } from '../../src/targets/docker/sightings.ts';
import { engineProxy, type EngineProxy } from '../support/docker-proxy.ts';
import { containerId, makeWorld, RUNS, soon, type DockerWorld } from '../support/docker-world.ts';
import { realComponent } from '../support/require.ts';
import { eventually, failure } from './target.suite.ts';

after(endSharedEngine);

const STARTED = { unstarted: false } as const;
const LIST = /^GET \/containers\/json/;
const INSPECT = /^GET \/containers\/[^/]+\/json/;

interface Watched {
  readonly world: DockerWorld;
  readonly proxy: EngineProxy;
  /** The world's target, asked through the proxy. */
  readonly target: DockerWorld['target'];
  readonly notices: TargetNotice[];
  /** What was told of one, in order. */
  readonly told: (subject: Subject) => readonly Look[];
  /** Begins to watch, and returns when the event stream is open. */
  readonly watch: () => Promise<() => void>;
}

function check(title: string, body: (watched: Watched, t: TestContext) => Promise<void>): void {
  test(title, async (t) => {
    const engine = await realComponent(t, 'Docker', sharedEngine);
    if (engine === null) return;
    const world = makeWorld(engine);
    const proxy = await engineProxy(engine.host);
    const notices: TargetNotice[] = [];
    const target = world.open(proxy.engine);
    const watched: Watched = {
      world,
      proxy,
      target,
      notices,
      told: ({ uid }) =>
        notices.flatMap((notice) =>
          notice.kind === 'changed' && notice.uid === uid ? [notice.look, ...(notice.next ? [notice.next] : [])] : [],
        ),
      async watch() {
        const before = notices.length;
        const unwatch = target.watch!(world.deployment, (notice) => notices.push(notice));
        await eventually('the stream is open', () => Promise.resolve(notices.slice(before).some(isOpen)));
        return unwatch;
      },
    };
    try {
      await body(watched, t);
    } finally {
      await world.cleanup();
      await proxy.close();
    }
  });
}

const isOpen = (notice: TargetNotice): boolean => notice.kind === 'look-again' && /is open/.test(notice.reason);
const count = (asked: readonly string[], what: RegExp): number => asked.filter((line) => what.test(line)).length;

// ── listings ────────────────────────────────────────────────────────────────────────────────────────────────────────

check(
  'L48 a steady fleet costs one list call per sweep, and no container is asked again',
  async ({ world, proxy, target }) => {
    const agents = Array.from({ length: 6 }, (_, i) =>
      world.custom({ command: ['sh', '-c', RUNS] }, { name: `agent-${i}` }),
    );
    await Promise.all(agents.map((agent, i) => target.provision(agent, { unstarted: i % 3 === 0 }, soon())));
    await target.stop(agents[1]!, soon());
    const first = await target.list(soon());
    for (let sweep = 0; sweep < 3; sweep += 1) {
      proxy.asked.length = 0;
      assert.deepEqual(await target.list(soon()), first);
      assert.equal(count(proxy.asked, LIST), 1, proxy.asked.join('\n'));
      assert.equal(count(proxy.asked, INSPECT), 0, proxy.asked.join('\n'));
    }
    assert.deepEqual(
      new Map((await world.target.list(soon())).items.map(({ uid, look }) => [uid, look])),
      new Map(first.items.map(({ uid, look }) => [uid, look])),
    );
  },
);

check('another life is seen by the next listing, though no event told of it', async ({ world, target }) => {
  const agent = world.subject();
  const before = await target.provision(agent, STARTED, soon());
  const container = world.docker.getContainer(containerId(before));
  // Old enough that its age in words tells two lives apart.
  await eventually('it is three seconds old', async () =>
    /Up [3-9] seconds/.test(
      (await world.docker.listContainers({ filters: { id: [containerId(before)] } }))[0]?.Status ?? '',
    ),
  );
  assert.equal((await target.list(soon())).items[0]!.look.incarnation, before.incarnation);
  assert.equal((await target.list(soon())).items[0]!.look.incarnation, before.incarnation);
  await container.restart({ t: 5 });
  const { look } = (await target.list(soon())).items[0]!;
  assert.equal(look.state, 'running');
  assert.notEqual(look.incarnation, before.incarnation);
});

check(
  'L03 one container that does not answer delays a listing, and spoils nothing',
  async ({ world, proxy, target }) => {
    const [stuck, other] = [world.subject({ name: 'stuck' }), world.subject({ name: 'other' })];
    const look = await target.provision(stuck, STARTED, soon());
    const fine = await target.provision(other, STARTED, soon());
    proxy.hold(new RegExp(`^GET /containers/${containerId(look)}/json`));
    const { items } = await target.list(AbortSignal.timeout(target.traits.sweepDeadlineMs));
    assert.deepEqual(
      new Map(items.map((item) => [item.uid, item.look])),
      new Map([
        [stuck.uid, look],
        [other.uid, fine],
      ]),
    );
    // Asked by one that has never seen it: what the list says is all there is.
    const { items: fresh } = await world.open(proxy.engine).list(AbortSignal.timeout(target.traits.sweepDeadlineMs));
    const seen = fresh.find(({ uid }) => uid === stuck.uid)!.look;
    assert.deepEqual([seen.state, seen.ref, seen.infra], ['running', look.ref, look.infra]);
  },
);

check(
  'L02 an engine that does not answer is a failure of the target, never an empty listing',
  async ({ world, proxy, target }) => {
    const agent = world.subject();
    await target.provision(agent, STARTED, soon());
    proxy.hold(/./);
    await assert.rejects(target.list(AbortSignal.timeout(200)));
    await assert.rejects(target.inspect(agent, AbortSignal.timeout(200)));
    proxy.cut();
    proxy.hold(null);
    proxy.hold(LIST);
    proxy.asked.length = 0;
    const listing = target.list(soon());
    await eventually('it waits for the list', () => Promise.resolve(count(proxy.asked, LIST) > 0));
    proxy.cut();
    const error = await failure(listing);
    assert.deepEqual(
      [error.detail.class, error.detail.fault, error.detail.code],
      ['transient', 'target', 'engine-unreachable'],
    );
  },
);

// ── notices ─────────────────────────────────────────────────────────────────────────────────────────────────────────

check(
  'a death behind our back is told at once, with exit and last output, and only once',
  async ({ world, target, told, watch }, t) => {
    const agent = world.custom({ command: ['sh', '-c', `echo the last words; ${RUNS}`] });
    const before = await target.provision(agent, STARTED, soon());
    await watch();
    const began = performance.now();
    await world.docker.getContainer(containerId(before)).kill();
    const dead = await eventually('it is told', () =>
      Promise.resolve(told(agent).find(({ state }) => state === 'stopped') ?? null),
    );
    t.diagnostic(`kill → notice: ${Math.round(performance.now() - began)} ms (the kill call included)`);
    assert.equal(dead.incarnation, before.incarnation);
    assert.deepEqual([dead.exit?.code, dead.exit?.signal, dead.exit?.output], [137, 'SIGKILL', 'the last words\n']);
    assert.deepEqual((await target.list(soon())).items[0]!.look, dead);
    assert.equal(told(agent).length, 1);
  },
);

check('what our own verbs bring about is told by their results alone', async ({ world, target, notices, watch }) => {
  await watch();
  const heard = notices.length;
  const agent = world.subject();
  await target.provision(agent, STARTED, soon());
  await target.stop(agent, soon());
  await target.start(agent, soon());
  await target.update(world.subject({ variant: 'two' }), STARTED, soon());
  await target.destroy(agent, { data: 'delete' }, soon());
  // Events are told in order: once this death is told, everything before it was.
  const other = world.subject({ name: 'other' });
  await target.provision(other, STARTED, soon());
  await world.kill(other);
  const changes = (): readonly TargetNotice[] => notices.slice(heard).filter(({ kind }) => kind !== 'image-resolved');
  await eventually('the end is told', () => Promise.resolve(changes().length > 0));
  assert.deepEqual(
    changes().map((notice) => (notice.kind === 'changed' ? notice.uid : notice.kind)),
    [other.uid],
  );
});

check('what is looked at only to answer somebody is still news when its event comes', async ({ world, proxy }) => {
  const agent = world.subject();
  const id = containerId(await world.target.provision(agent, STARTED, soon()));
  const sightings = new Sightings(proxy.engine, { deployment: world.deployment, target: 'docker' });
  await sightings.find(agent.uid, soon());
  await world.kill(agent);
  assert.equal((await sightings.find(agent.uid, soon(), { peek: true }))?.look.state, 'stopped');
  assert.equal(sightings.last(id)?.state, 'running', 'what was handed out last');
  await world.remove(agent);
  assert.equal(await sightings.find(agent.uid, soon(), { peek: true }), null);
  assert.equal(sightings.last(id)?.state, 'running');
});

check('one whose removal failed is heard again', async ({ world, proxy, target, told, watch }) => {
  const agent = world.subject();
  const id = containerId(await target.provision(agent, STARTED, soon()));
  await watch();
  proxy.hold(/^DELETE \/containers/);
  const asked = (): number => count(proxy.asked, /^DELETE \/containers/);
  const giveUp = new AbortController();
  const removing = assert.rejects(target.destroy(agent, { data: 'keep' }, giveUp.signal));
  await eventually('it is to be removed', () => Promise.resolve(asked() > 0));
  giveUp.abort(new Error('enough'));
  await removing;
  proxy.hold(null);
  await world.docker.getContainer(id).start();
  await eventually('its start is told', () => Promise.resolve(told(agent).some(({ state }) => state === 'running')));
  assert.equal((await target.destroy(agent, { data: 'delete' }, soon())).state, 'missing');
});

check(
  'the engine was faster: the life that ended is told with its exit, then the one it began',
  async ({ world, target, told, watch }) => {
    const agent = world.custom({ command: ['sh', '-c', `echo alive; ${RUNS}`] });
    const before = await target.provision(agent, STARTED, soon());
    await watch();
    const container = world.docker.getContainer(containerId(before));
    // It runs before it speaks, and one that is killed before it spoke has no last words.
    await eventually('it has spoken', async () => /alive/.test((await container.logs({ stdout: true })).toString()));
    // As the kernel would: the engine did not ask for it, and heals it by its policy.
    process.kill((await world.container(agent)).State.Pid, 'SIGKILL');
    const after = await eventually('the next life is told', () =>
      Promise.resolve(
        told(agent).find(({ state, incarnation }) => state === 'running' && incarnation !== before.incarnation) ?? null,
      ),
    );
    const ends = told(agent).filter(({ state }) => state === 'stopped');
    assert.deepEqual(
      ends.map(({ incarnation, exit }) => [incarnation, exit?.code, exit?.signal, exit?.output]),
      [[before.incarnation, 137, 'SIGKILL', 'alive\n']],
    );
    assert.equal(after.restarts, 1);
    assert.ok(
      told(agent).every(({ state, incarnation }) => state === 'stopped' || incarnation !== before.incarnation),
      'an ended life is not seen alive',
    );
  },
);

check(
  'L24 a crash-looper is changing between its lives, and the end of each is told once',
  async ({ world, target, told, watch }) => {
    await watch();
    const agent = world.custom({ command: ['sh', '-c', 'echo I fail; exit 7'] });
    const first = await target.provision(agent, STARTED, soon());
    await eventually('it was restarted three times', async () => (await target.inspect(agent, soon())).restarts >= 3);
    const between = await eventually('it is seen between two lives', async () => {
      const look = (await target.list(soon())).items[0]!.look;
      return look.state === 'changing' && look;
    });
    assert.equal(between.exit, null);
    await target.stop(agent, soon());
    const ends = told(agent).filter(({ state }) => state === 'stopped');
    const lives = ends.map(({ incarnation }) => incarnation);
    assert.equal(new Set(lives).size, lives.length, 'each once');
    assert.ok(lives.length >= 2, `${lives.length} ends told`);
    assert.ok(
      ends.every(({ exit }) => exit?.code === 7),
      JSON.stringify(ends),
    );
    assert.ok(first.state !== 'running' || lives.includes(first.incarnation));
  },
);

check('paused, renamed, removed: each is told, or leads to a look', async ({ world, target, told, notices, watch }) => {
  const agent = world.subject();
  const before = await target.provision(agent, STARTED, soon());
  const container = world.docker.getContainer(containerId(before));
  await watch();
  const looksFor = (what: string): Promise<unknown> =>
    eventually(`a look for ${what}`, () =>
      Promise.resolve(notices.some((notice) => notice.kind === 'look-again' && notice.reason.includes(what))),
    );
  await container.pause();
  await looksFor('pause');
  assert.deepEqual(told(agent), [], 'a pause is not told as an end');
  assert.equal((await target.list(soon())).items[0]!.look.state, 'stopped');
  await container.unpause();
  await eventually('it goes on', () =>
    Promise.resolve(
      told(agent).some(({ state, incarnation }) => state === 'running' && incarnation === before.incarnation),
    ),
  );
  await container.rename({ name: `other-${world.deployment}` });
  await eventually('it has another name', () =>
    Promise.resolve(told(agent).some(({ attrs }) => attrs['name'] === `other-${world.deployment}`)),
  );
  await container.remove({ force: true });
  await looksFor('destroy');
  assert.equal((await target.inspect(agent, soon())).state, 'missing');
});

check(
  'a broken stream leads to a look at once, is opened again, and tells on',
  async ({ world, proxy, target, told, notices, watch }) => {
    const agent = world.subject();
    const before = await target.provision(agent, STARTED, soon());
    const unwatch = await watch();
    notices.length = 0;
    proxy.cut();
    await eventually('the break is told', () =>
      Promise.resolve(notices.some((notice) => notice.kind === 'look-again' && !isOpen(notice))),
    );
    await eventually('it is open again', () => Promise.resolve(notices.some(isOpen)));
    await world.kill(agent);
    await eventually('the death is told', () =>
      Promise.resolve(
        told(agent).some(({ state, incarnation }) => state === 'stopped' && incarnation === before.incarnation),
      ),
    );
    unwatch();
    const streams = count(proxy.asked, /^GET \/events/);
    assert.equal(streams, 2);
  },
);

check('create + start beside the raw calls', async ({ world, target }, t) => {
  const raw: number[] = [];
  const ours: number[] = [];
  for (let i = 0; i < 5; i += 1) {
    const agent = world.custom({ command: ['sh', '-c', RUNS] }, { name: `agent-${i}` });
    let began = performance.now();
    const container = await world.docker.createContainer({
      Image: agent.spec.run['image'] as string,
      Cmd: ['sh', '-c', RUNS],
      Labels: { 'holdfast.deployment': world.deployment },
    });
    await container.start();
    raw.push(performance.now() - began);
    began = performance.now();
    assert.equal((await target.provision(agent, STARTED, soon())).state, 'running');
    ours.push(performance.now() - began);
  }
  const median = (times: number[]): number => Math.round(times.sort((a, b) => a - b)[2]!);
  t.diagnostic(`create + start: ${median(ours)} ms, raw: ${median(raw)} ms`);
});
