/**
 * What every target keeps, as tests: the definition of the port. A target passes it unchanged; what it cannot do by its
 * nature is skipped by title, with the reason.
 *
 * Asserted is the state of the world, as the authority tells it. Nothing waits for a time, only for a condition under a
 * deadline.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { InstalledPlugin, Look } from '../../src/core/model.ts';
import type { PluginTree } from '../../src/ports/plugin-source.ts';
import {
  TargetError,
  type PluginAbility,
  type Subject,
  type Target,
  type TargetNotice,
} from '../../src/ports/target.ts';
import { pluginTree } from '../support/plugin-trees.ts';

/** What the agent of a subject does once it runs. Each life first writes the line `hello VARIANT`. */
export type Doing =
  /** Runs until it is told to stop. */
  | { readonly kind: 'runs' }
  /** Writes the line `goodbye` and ends by itself. */
  | { readonly kind: 'ends'; readonly code: number }
  /** Does not listen to the stop signal; its stop time-out is a minute or more. */
  | { readonly kind: 'stubborn' }
  /** Cannot be started at all, through the fault of the spec. */
  | { readonly kind: 'impossible' };

export interface SubjectAsk {
  /** Same name, same uid. */
  readonly name?: string;
  readonly does?: Doing;
  /** Another variant is another infra hash, and what the agent says. */
  readonly variant?: string;
  /** It declares plugins, so that there is a place for them. */
  readonly plugins?: boolean;
}

/** One deployment in a place of its own, for one test. */
export interface TargetWorld {
  readonly deployment: string;
  readonly target: Target;
  subject(ask?: SubjectAsk): Subject;
  /** Ends what runs, behind the target's back, for good (no restart by the authority). */
  kill(subject: Subject): Promise<void>;
  /** Removes the resource itself, behind the target's back. */
  remove(subject: Subject): Promise<void>;
  /** Another object for the same target, as after a restart of the control plane. */
  reopen(): Promise<Target>;
  /** A target of another deployment at the same authority. */
  stranger(): Promise<Target>;
  /** The agent's data, if resources have any. */
  /** What lies in its box of plugins, if it is real: a file by its path below `$HOLDFAST_PLUGINS`, null for none. */
  readonly pluginFile?: (subject: Subject, path: string) => Promise<string | null>;
  /** Damages an installed plugin of that name, behind the target's back. */
  readonly damage?: (subject: Subject, name: string) => Promise<void>;
  readonly data?: { write(subject: Subject, text: string): Promise<void>; read(subject: Subject): Promise<string> };
  cleanup(): Promise<void>;
}

export interface TargetFactory {
  readonly name: string;
  make(t: TestContext): Promise<TargetWorld>;
  /** Title of a test → why it cannot hold here. */
  readonly skips?: { readonly [title: string]: string };
  /** How many resources "many" are. */
  readonly many?: number;
  /** Longest that the authority may take for one step, ms. */
  readonly patienceMs?: number;
}

const POLL_MS = 5;

const TREE = { 'deep/er/x.txt': 'x', 'run.sh': { program: '#!/bin/sh' }, again: { link: 'run.sh' } } as const;

/** Without the flag where it says nothing. */
const plain = ({ restart, ...plugin }: InstalledPlugin): InstalledPlugin => ({
  ...plugin,
  ...(restart === true && { restart }),
});

export function targetContract(factory: TargetFactory): void {
  const patienceMs = factory.patienceMs ?? 10_000;
  const used = new Set<string>();

  function promise(title: string, body: (world: TargetWorld, signal: AbortSignal) => Promise<void>): void {
    const skip = factory.skips?.[title];
    used.add(title);
    test(`${factory.name}: ${title}`, skip === undefined ? {} : { skip }, async (t) => {
      const world = await factory.make(t);
      try {
        await body(world, AbortSignal.timeout(patienceMs * 6));
      } finally {
        await world.cleanup();
      }
    });
  }

  const until = <T>(what: string, ask: () => Promise<T | null | false>): Promise<T> =>
    eventually(what, ask, patienceMs);

  promise('what is provisioned runs as declared, and listing and inspection agree', async (world, signal) => {
    const agent = world.subject();
    const look = await world.target.provision(agent, { unstarted: false }, signal);
    assert.equal(look.state, 'running');
    assert.equal(look.infra, agent.infraHash);
    assert.ok(look.ref && look.incarnation);
    assert.deepEqual(await world.target.inspect(agent, signal), look);
    const { items, identity } = await world.target.list(signal);
    assert.ok(identity.length > 0);
    assert.deepEqual(items, [{ fleet: agent.fleet, instance: agent.instance, uid: agent.uid, look }]);
  });

  promise('what runs is measured; what does not run is a conflict, and stays as it is', async (world, signal) => {
    const { stats } = world.target;
    assert.ok(stats, 'it has the ability');
    const agent = world.subject();
    assert.equal((await failure(stats(agent, signal))).detail.class, 'conflict');
    const { incarnation } = await world.target.provision(agent, { unstarted: false }, signal);
    const { memoryBytes, memoryLimitBytes, cpus, processes } = await stats(agent, signal);
    assert.ok(memoryBytes > 0 && memoryBytes <= memoryLimitBytes && processes > 0 && cpus >= 0);
    assert.equal((await world.target.inspect(agent, signal)).incarnation, incarnation);
    await world.target.stop(agent, signal);
    assert.equal((await failure(stats(agent, signal))).detail.class, 'conflict');
    assert.equal((await world.target.inspect(agent, signal)).state, 'stopped');
  });

  promise('a program is run beside what runs, word by word; nothing is started for it', async (world, signal) => {
    const { exec } = world.target;
    assert.ok(exec, 'it has the ability');
    const agent = world.subject();
    const { incarnation } = await world.target.provision(agent, { unstarted: false }, signal);
    const said = async (...command: string[]): Promise<unknown> => {
      const { code, output, cut } = await exec(agent, command, signal);
      return { code, output: Buffer.from(output).toString(), cut };
    };
    assert.deepEqual(await said('echo', '$HOME; *  two'), { code: 0, output: '$HOME; *  two\n', cut: false });
    // Two streams: which of them is heard first is nobody's promise.
    const { code, output, cut } = await exec(agent, ['sh', '-c', 'echo one; echo two >&2; exit 7'], signal);
    assert.deepEqual([code, cut, Buffer.from(output).toString().split('\n').sort()], [7, false, ['', 'one', 'two']]);
    const much = await exec(agent, ['sh', '-c', 'dd if=/dev/zero bs=1024 count=3000 2>/dev/null; echo end'], signal);
    assert.deepEqual([much.code, much.cut], [0, true]);
    assert.ok(much.output.length <= 1024 * 1024 && Buffer.from(much.output.subarray(-4)).toString() === 'end\n');
    await assert.rejects(exec(agent, ['sleep', '60'], AbortSignal.timeout(500)));
    assert.equal((await world.target.inspect(agent, signal)).incarnation, incarnation);
    await world.target.stop(agent, signal);
    assert.equal((await failure(exec(agent, ['true'], signal))).detail.class, 'conflict');
    assert.equal((await world.target.inspect(agent, signal)).state, 'stopped');
  });

  promise('provisioning again finds the earlier try', async (world, signal) => {
    const agent = world.subject();
    const first = await world.target.provision(agent, { unstarted: false }, signal);
    const second = await world.target.provision(agent, { unstarted: false }, signal);
    assert.equal(second.incarnation, first.incarnation);
    assert.equal((await world.target.list(signal)).items.length, 1);
  });

  promise('provisioned unstarted it exists and does not run, until it is started', async (world, signal) => {
    const agent = world.subject();
    const look = await world.target.provision(agent, { unstarted: true }, signal);
    assert.equal(look.state, 'stopped');
    assert.equal(look.infra, agent.infraHash);
    assert.equal((await world.target.provision(agent, { unstarted: true }, signal)).state, 'stopped');
    assert.equal((await listedLook(world, agent, signal)).state, 'stopped');
    assert.equal((await world.target.start(agent, signal)).state, 'running');
  });

  promise('starting and stopping are idempotent', async (world, signal) => {
    const agent = world.subject();
    const first = await world.target.provision(agent, { unstarted: false }, signal);
    assert.equal((await world.target.start(agent, signal)).incarnation, first.incarnation);
    assert.equal((await world.target.stop(agent, signal)).state, 'stopped');
    assert.equal((await world.target.stop(agent, signal)).state, 'stopped');
    assert.equal((await listedLook(world, agent, signal)).state, 'stopped');
  });

  promise('each life is another incarnation of the same resource', async (world, signal) => {
    const agent = world.subject();
    const lives = [await world.target.provision(agent, { unstarted: false }, signal)];
    for (let i = 0; i < 2; i += 1) {
      await world.target.stop(agent, signal);
      lives.push(await world.target.start(agent, signal));
    }
    assert.equal(new Set(lives.map(({ incarnation }) => incarnation)).size, 3);
    assert.equal(new Set(lives.map(({ ref }) => ref)).size, 1);
  });

  promise('L25 a listing is complete and stable, however many there are', async (world, signal) => {
    const agents = Array.from({ length: factory.many ?? 30 }, (_, i) => world.subject({ name: `agent-${i}` }));
    await Promise.all(agents.map((agent, i) => world.target.provision(agent, { unstarted: i % 2 === 0 }, signal)));
    const listed = async (): Promise<unknown> =>
      (await world.target.list(signal)).items
        .map(({ uid, look }) => ({ uid, state: look.state, incarnation: look.incarnation, ref: look.ref }))
        .sort((a, b) => (a.uid < b.uid ? -1 : 1));
    const first = await listed();
    assert.equal((first as unknown[]).length, agents.length);
    assert.deepEqual(await listed(), first);
    const refs = new Set((first as { ref: string }[]).map(({ ref }) => ref));
    assert.equal(refs.size, agents.length);
  });

  promise('what was killed behind our back is seen stopped, and can be started', async (world, signal) => {
    const agent = world.subject();
    const before = await world.target.provision(agent, { unstarted: false }, signal);
    await world.kill(agent);
    const dead = await until('it is listed as stopped', async () => {
      const look = await listedLook(world, agent, signal);
      return look.state === 'stopped' && look;
    });
    assert.equal(dead.infra, agent.infraHash);
    const after = await world.target.start(agent, signal);
    assert.equal(after.state, 'running');
    assert.notEqual(after.incarnation, before.incarnation);
  });

  promise(
    'L20 what was removed behind our back is missing, absent from the listing, and can be provisioned',
    async (world, signal) => {
      const [gone, other] = [world.subject({ name: 'gone' }), world.subject({ name: 'other' })];
      await world.target.provision(gone, { unstarted: false }, signal);
      await world.target.provision(other, { unstarted: false }, signal);
      await world.remove(gone);
      await until('it is missing', async () => (await world.target.inspect(gone, signal)).state === 'missing');
      assert.deepEqual(
        (await world.target.list(signal)).items.map(({ uid }) => uid),
        [other.uid],
      );
      assert.equal((await world.target.provision(gone, { unstarted: false }, signal)).state, 'running');
    },
  );

  promise(
    'what was never provisioned is missing; starting or updating it is a conflict that creates nothing',
    async (world, signal) => {
      const agent = world.subject();
      assert.equal((await world.target.inspect(agent, signal)).state, 'missing');
      for (const verb of [
        world.target.start(agent, signal),
        world.target.update(agent, { unstarted: false }, signal),
      ]) {
        const error = await failure(verb);
        assert.equal(error.detail.class, 'conflict');
        assert.equal(error.saw?.state, 'missing');
      }
      assert.deepEqual((await world.target.list(signal)).items, []);
    },
  );

  promise('L39 an update brings the new infra, keeps the data, and is a new life', async (world, signal) => {
    const before = await world.target.provision(world.subject({ variant: 'one' }), { unstarted: false }, signal);
    await world.data?.write(world.subject({ variant: 'one' }), 'precious');
    const agent = world.subject({ variant: 'two' });
    assert.notEqual((await world.target.inspect(agent, signal)).infra, agent.infraHash);
    const after = await world.target.update(agent, { unstarted: false }, signal);
    assert.equal(after.state, 'running');
    assert.equal(after.infra, agent.infraHash);
    assert.notEqual(after.incarnation, before.incarnation);
    assert.equal((await world.target.list(signal)).items.length, 1);
    if (world.data) assert.equal(await world.data.read(agent), 'precious');
    await until('the new variant speaks', async () => (await output(world, agent, signal)).includes('hello two'));
  });

  promise('L83 an update of what sleeps does not wake it', async (world, signal) => {
    await world.target.provision(world.subject({ variant: 'one' }), { unstarted: true }, signal);
    const agent = world.subject({ variant: 'two' });
    const look = await world.target.update(agent, { unstarted: true }, signal);
    assert.equal(look.state, 'stopped');
    assert.equal(look.infra, agent.infraHash);
    assert.equal((await listedLook(world, agent, signal)).state, 'stopped');
  });

  promise('destroying proves it gone, and is idempotent', async (world, signal) => {
    const [agent, other] = [world.subject({ name: 'doomed' }), world.subject({ name: 'other' })];
    await world.target.provision(agent, { unstarted: false }, signal);
    const kept = await world.target.provision(other, { unstarted: false }, signal);
    for (let i = 0; i < 2; i += 1) {
      assert.equal((await world.target.destroy(agent, { data: 'delete' }, signal)).state, 'missing');
      assert.equal((await world.target.inspect(agent, signal)).state, 'missing');
    }
    assert.deepEqual(
      (await world.target.list(signal)).items.map(({ look }) => look.incarnation),
      [kept.incarnation],
    );
  });

  promise('a verb whose signal has aborted rejects and changes nothing', async (world, signal) => {
    const agent = world.subject();
    const over = AbortSignal.abort(new Error('superseded'));
    await assert.rejects(world.target.provision(agent, { unstarted: false }, over));
    assert.deepEqual((await world.target.list(signal)).items, []);
    const look = await world.target.provision(agent, { unstarted: false }, signal);
    await assert.rejects(world.target.stop(agent, over));
    await assert.rejects(world.target.destroy(agent, { data: 'keep' }, over));
    await assert.rejects(world.target.list(over));
    assert.equal((await world.target.inspect(agent, signal)).incarnation, look.incarnation);
  });

  promise('L27 a verb that is aborted half-way ends soon, and the next look tells what is', async (world, signal) => {
    const agent = world.subject({ does: { kind: 'stubborn' } });
    await world.target.provision(agent, { unstarted: false }, signal);
    await until('it has begun', async () => (await output(world, agent, signal)).includes('hello'));
    const abort = new AbortController();
    const stopping = world.target.stop(agent, abort.signal);
    const ended = stopping.then(
      () => 'stopped',
      () => 'rejected',
    );
    setImmediate(() => abort.abort(new Error('superseded')));
    assert.equal(await Promise.race([ended, deadline(2_000)]), 'rejected');
    assert.ok(['running', 'changing', 'stopped'].includes((await world.target.inspect(agent, signal)).state));
    await world.kill(agent);
  });

  promise('L52 the things of another deployment are neither seen nor touched', async (world, signal) => {
    const agent = world.subject();
    const look = await world.target.provision(agent, { unstarted: false }, signal);
    const stranger = await world.stranger();
    try {
      assert.deepEqual((await stranger.list(signal)).items, []);
      await stranger.stop(agent, signal).catch(() => undefined);
      await stranger.destroy(agent, { data: 'delete' }, signal).catch(() => undefined);
      assert.equal((await world.target.inspect(agent, signal)).incarnation, look.incarnation);
      assert.equal((await world.target.inspect(agent, signal)).state, 'running');
    } finally {
      await stranger.close();
    }
  });

  promise(
    'how an agent ended is told: exit code and last output, with the life it belongs to',
    async (world, signal) => {
      const agent = world.subject({ does: { kind: 'ends', code: 78 } });
      const begun = await world.target.provision(agent, { unstarted: false }, signal);
      const dead = await until('it is listed as stopped', async () => {
        const look = await listedLook(world, agent, signal);
        return look.state === 'stopped' && look;
      });
      assert.equal(dead.exit?.code, 78);
      assert.equal(dead.exit.oom, false);
      if (world.target.logs) assert.match(dead.exit.output ?? '', /goodbye/);
      if (begun.state === 'running') assert.equal(dead.incarnation, begun.incarnation);
    },
  );

  promise('a watch tells of a death, and is silent once it is given up', async (world, signal) => {
    const [agent, later] = [world.subject({ name: 'first' }), world.subject({ name: 'later' })];
    const notices: TargetNotice[] = [];
    const unwatch = world.target.watch?.(world.deployment, (notice) => notices.push(notice));
    assert.ok(unwatch, 'the target cannot watch');
    const look = await world.target.provision(agent, { unstarted: false }, signal);
    await world.target.provision(later, { unstarted: false }, signal);
    await world.kill(agent);
    const told = await until('the death is told', async () => {
      const notice = notices.find(
        (one) => one.kind === 'changed' && one.uid === agent.uid && one.look.state === 'stopped',
      );
      return notice?.kind === 'changed' && notice;
    });
    assert.equal(told.fleet, agent.fleet);
    assert.equal(told.look.incarnation, look.incarnation);
    unwatch();
    const before = notices.length;
    await world.kill(later);
    await until('the second death is seen', async () => (await listedLook(world, later, signal)).state === 'stopped');
    assert.equal(notices.length, before);
  });

  promise('logs give the last lines of this life, what follows, and the life before', async (world, signal) => {
    assert.ok(world.target.logs, 'the target keeps no logs');
    const first = world.subject({ variant: 'one' });
    await world.target.provision(first, { unstarted: false }, signal);
    await until('the first life speaks', async () => (await output(world, first, signal)).includes('hello one'));
    const agent = world.subject({ variant: 'two' });
    await world.target.update(agent, { unstarted: false }, signal);
    await until('the second life speaks', async () => (await output(world, agent, signal)).includes('hello two'));
    assert.doesNotMatch(await output(world, agent, signal), /hello one/);
    const previous = await collect(world.target.logs(agent, { follow: false, tail: 100, previous: true }, signal));
    assert.match(previous, /hello one/);
    const abort = new AbortController();
    const following = collect(
      world.target.logs(agent, { follow: true, tail: 100, previous: false }, abort.signal),
    ).catch(() => '');
    setImmediate(() => abort.abort());
    assert.notEqual(await Promise.race([following, deadline(2_000)]), 'too late');
  });

  promise('L11 what runs outlives the target object, and another one adopts it', async (world, signal) => {
    const [agent, asleep] = [world.subject({ name: 'awake' }), world.subject({ name: 'asleep' })];
    const look = await world.target.provision(agent, { unstarted: false }, signal);
    await world.target.provision(asleep, { unstarted: true }, signal);
    const { identity } = await world.target.list(signal);
    await world.target.close();
    const again = await world.reopen();
    try {
      const listing = await again.list(signal);
      assert.equal(listing.identity, identity);
      assert.deepEqual(
        new Map(listing.items.map((item) => [item.uid, item.look.incarnation])),
        new Map([
          [agent.uid, look.incarnation],
          [asleep.uid, null],
        ]),
      );
      assert.equal((await again.start(agent, signal)).incarnation, look.incarnation);
      assert.equal((await again.stop(agent, signal)).state, 'stopped');
    } finally {
      await again.close();
    }
  });

  const box = ({ target }: TargetWorld): PluginAbility => {
    assert.ok(target.plugins && target.traits.abilities.includes('plugins'), 'it cannot deliver plugins');
    return target.plugins;
  };
  const asInstalled = ({ source, ref, sha, treeDigest, restart }: PluginTree): InstalledPlugin => ({
    source,
    ref,
    sha,
    treeDigest,
    ...(restart && { restart }),
  });

  promise('L83 plugins go into what never ran, and into what runs, and disturb neither', async (world, signal) => {
    const plugins = box(world);
    const agent = world.subject({ plugins: true });
    const trees = [pluginTree('notes', { files: TREE }), pluginTree('search', { restart: true })];
    await world.target.provision(agent, { unstarted: true }, signal);
    assert.deepEqual(await plugins.installed(agent, signal), []);
    for (const [at, tree] of trees.entries()) {
      if (at === 1) await world.target.start(agent, signal);
      const before = await world.target.inspect(agent, signal);
      const made = await plugins.install(agent, tree, signal);
      assert.deepEqual(plain(made), asInstalled(tree));
      assert.deepEqual(await world.target.inspect(agent, signal), before);
    }
    assert.deepEqual((await plugins.installed(agent, signal)).map(plain), trees.map(asInstalled));
    if (world.pluginFile) {
      assert.equal(await world.pluginFile(agent, 'notes/deep/er/x.txt'), 'x');
      assert.match((await world.pluginFile(agent, 'search/plugin.json')) ?? '', /"name":"search"/);
    }
    for (const tree of trees) tree.release();
  });

  promise(
    'L68 another version takes the place of the one before; what is uninstalled is gone, and nothing else',
    async (world, signal) => {
      const plugins = box(world);
      const agent = world.subject({ plugins: true });
      const one = pluginTree('notes', { ref: 'v1', files: { 'old.txt': 'old', 'a.txt': 'one' } });
      const two = pluginTree('notes', { ref: 'v2', files: { 'a.txt': 'two' } });
      const other = pluginTree('search');
      await world.target.provision(agent, { unstarted: true }, signal);
      for (const tree of [one, other, two, two]) await plugins.install(agent, tree, signal);
      assert.deepEqual((await plugins.installed(agent, signal)).map(plain), [two, other].map(asInstalled));
      if (world.pluginFile) {
        assert.equal(await world.pluginFile(agent, 'notes/a.txt'), 'two');
        assert.equal(await world.pluginFile(agent, 'notes/old.txt'), null);
      }
      for (let i = 0; i < 2; i += 1) await plugins.uninstall(agent, two.source, signal);
      assert.deepEqual((await plugins.installed(agent, signal)).map(plain), [asInstalled(other)]);
      if (world.pluginFile) {
        assert.equal(await world.pluginFile(agent, 'notes/a.txt'), null);
        assert.notEqual(await world.pluginFile(agent, 'search/plugin.json'), null);
      }
      for (const tree of [one, two, other]) tree.release();
    },
  );

  promise(
    'L69 what was damaged behind our back does not count as installed, and is mended by installing it again',
    async (world, signal) => {
      const plugins = box(world);
      const agent = world.subject({ plugins: true });
      const [bad, good] = [pluginTree('notes'), pluginTree('search')];
      await world.target.provision(agent, { unstarted: true }, signal);
      for (const tree of [bad, good]) await plugins.install(agent, tree, signal);
      assert.ok(world.damage, 'this world cannot damage a plugin');
      await world.damage(agent, 'notes');
      assert.deepEqual((await plugins.installed(agent, signal)).map(plain), [asInstalled(good)]);
      await plugins.install(agent, bad, signal);
      assert.deepEqual((await plugins.installed(agent, signal)).map(plain), [bad, good].map(asInstalled));
      for (const tree of [bad, good]) tree.release();
    },
  );

  promise(
    'plugins outlive an update, the loss of the resource and another target object; not a destruction with its data',
    async (world, signal) => {
      const agent = world.subject({ plugins: true });
      const tree = pluginTree('notes');
      await world.target.provision(agent, { unstarted: false }, signal);
      await box(world).install(agent, tree, signal);
      await world.target.update(world.subject({ plugins: true, variant: 'two' }), { unstarted: false }, signal);
      assert.deepEqual((await box(world).installed(agent, signal)).map(plain), [asInstalled(tree)]);
      await world.remove(agent);
      await until('it is missing', async () => (await world.target.inspect(agent, signal)).state === 'missing');
      await world.target.provision(agent, { unstarted: true }, signal);
      const again = await world.reopen();
      try {
        assert.deepEqual((await again.plugins?.installed(agent, signal))?.map(plain), [asInstalled(tree)]);
      } finally {
        await again.close();
      }
      await world.target.destroy(agent, { data: 'delete' }, signal);
      await world.target.provision(agent, { unstarted: true }, signal);
      assert.deepEqual(await box(world).installed(agent, signal), []);
      tree.release();
    },
  );

  promise('what can never be started fails for good, with words', async (world, signal) => {
    const agent = world.subject({ does: { kind: 'impossible' } });
    const error = await failure(world.target.provision(agent, { unstarted: false }, signal));
    assert.equal(error.detail.class, 'terminal');
    assert.equal(error.detail.fault, 'instance');
    assert.ok(error.detail.message.length > 20, error.detail.message);
    assert.notEqual((await world.target.inspect(agent, signal)).state, 'running');
  });

  for (const title of Object.keys(factory.skips ?? {})) {
    assert.ok(used.has(title), `${factory.name} skips "${title}", which is no test of the contract`);
  }
}

/** What the listing says of one, `missing` when it is not in it. */
async function listedLook(world: TargetWorld, subject: Subject, signal: AbortSignal): Promise<Look> {
  const item = (await world.target.list(signal)).items.find(({ uid }) => uid === subject.uid);
  assert.ok(item, `${subject.instance} is not in the listing`);
  return item.look;
}

async function output(world: TargetWorld, subject: Subject, signal: AbortSignal): Promise<string> {
  if (!world.target.logs) return 'hello one hello two';
  return collect(world.target.logs(subject, { follow: false, tail: 100, previous: false }, signal));
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts).toString('utf8');
}

/** The `TargetError` that a verb must end with. */
export async function failure(verb: Promise<unknown>): Promise<TargetError> {
  const error = await verb.then(
    () => null,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof TargetError, `expected a TargetError, got ${String(error)}`);
  return error;
}

/** Asks until the answer is neither null nor false. */
export async function eventually<T>(what: string, ask: () => Promise<T | null | false>, limitMs = 10_000): Promise<T> {
  const until = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    if (performance.now() > until) assert.fail(`not within ${limitMs} ms: ${what}`);
    await new Promise((again) => setTimeout(again, POLL_MS));
  }
}

function deadline(ms: number): Promise<string> {
  return new Promise((late) => setTimeout(() => late('too late'), ms).unref());
}
