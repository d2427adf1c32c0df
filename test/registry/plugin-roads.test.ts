/**
 * L14 for plugins: whatever road brings an instance to RUNNING, what is missing of its plugins is installed on it. There is no
 * hook that a road could miss; one table of roads shows it, on the real runtime over simulated time. Each road is walked with a
 * plugin that vanished from the box on the way.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { InstalledPlugin } from '../../src/core/model.ts';
import type { PluginSources } from '../../src/ports/plugin-source.ts';
import { TargetError, type PluginAbility } from '../../src/ports/target.ts';
import { BY, FLEET, Stage } from '../runtime/stage.ts';

const SILENT_MS = 15_000;
const BEATS = `heartbeat: { every: 5s, silentAfter: 15s, startGrace: 30s }`;
const NOTES = 'git+file:///srv/notes';
const SEARCH = 'git+file:///srv/search';

/** Boxes by uid, as they really are. */
type Boxes = Map<string, Map<string, InstalledPlugin>>;

/** Where plugins come from; `search` needs a restart, and `heads` says where "main" is. */
function sources(heads: Map<string, string>, broken: Set<string>, slow: Set<string>): PluginSources {
  const shaOf = (source: string, ref: string | null): string =>
    ref === 'main' ? (heads.get(source) ?? 'sha-main') : `sha-${ref}`;
  return {
    trackEveryMs: 5_000,
    resolve: async ({ source, ref }) => shaOf(source, ref),
    fetch: async ({ source, ref }, signal) => {
      if (slow.has(source))
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        });
      if (broken.has(source))
        throw new TargetError({
          class: 'transient',
          fault: 'instance',
          code: 'fetch-failed',
          message: `${source} is gone`,
        });
      const sha = shaOf(source, ref);
      const name = source.slice(source.lastIndexOf('/') + 1);
      const about = { version: '1', needs: [], entries: [], sizeBytes: 0, folder: '/', release: () => undefined };
      return { ...about, source, ref, sha, treeDigest: `tree-${sha}`, name, restart: name === 'search' };
    },
  };
}

function boxes(all: Boxes): PluginAbility {
  const of = (uid: string): Map<string, InstalledPlugin> => {
    const known = all.get(uid) ?? new Map<string, InstalledPlugin>();
    all.set(uid, known);
    return known;
  };
  return {
    lookEveryMs: 3_000,
    async install({ uid }, { source, ref, sha, treeDigest, restart }) {
      const made = { source, ref, sha, treeDigest, restart };
      of(uid).set(source, made);
      return made;
    },
    async uninstall({ uid }, source) {
      of(uid).delete(source);
    },
    installed: async ({ uid }) => [...of(uid).values()],
  };
}

class PluginStage {
  readonly all: Boxes;
  readonly heads = new Map<string, string>();
  readonly broken = new Set<string>();
  /** Never answers. */
  readonly slow = new Set<string>();
  stage: Stage;

  constructor(before?: PluginStage) {
    this.all = before?.all ?? new Map();
    this.stage = new Stage({
      plugins: sources(this.heads, this.broken, this.slow),
      ...(before && { clock: before.stage.clock, disk: before.stage.disk }),
    });
    this.stage.target.plugins = boxes(this.all);
    if (before) for (const [uid, item] of before.stage.target.held) this.stage.target.held.set(uid, item);
  }

  async declare(instance: string): Promise<void> {
    const text = `version: 1\nfleet: ${FLEET}\ninstances:\n  a: ${instance}\n`;
    const ask = { text, dryRun: false, prune: null, replace: false, ifMatch: null, by: BY };
    await this.stage.during(this.stage.control.apply(FLEET, ask));
  }

  /** Time passes, and what runs beats. */
  async live(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1_000) {
      await this.beat();
      await this.stage.pass(1_000);
    }
  }

  async beat(): Promise<void> {
    const { uid } = this.stage.inst('a');
    if (this.stage.inst('a').resource?.state === 'running') this.stage.fleet.liveness?.beat(uid, {});
  }

  get box(): readonly string[] {
    return [...(this.all.get(this.stage.inst('a').uid)?.values() ?? [])]
      .map(({ source, ref }) => `${source}#${ref}`)
      .sort();
  }

  /** The plugin is gone from the box, behind our back. */
  lose(): void {
    this.all.get(this.stage.inst('a').uid)?.delete(NOTES);
  }

  async settled(expected: readonly string[]): Promise<void> {
    const view = await this.stage.control.instance(FLEET, 'a');
    const condition = view.conditions.find(({ type }) => type === 'PluginsInstalled');
    assert.deepEqual([view.phase, condition?.status], ['RUNNING', 'true'], JSON.stringify(view));
    assert.deepEqual(this.box, expected);
  }

  verb(verb: 'stop' | 'resume' | 'restart' | 'wake' | 'sleep'): Promise<unknown> {
    return this.stage.during(this.stage.control.command(FLEET, 'a', verb, BY));
  }
}

const spec = (more = '', plugins = `"${NOTES}#v1"`): string =>
  `{ target: fake, run: {}, ${BEATS}, plugins: [${plugins}]${more} }`;

describe('L14 every road to RUNNING installs what is missing:', () => {
  const ROADS: { readonly [road: string]: (it: PluginStage) => Promise<unknown> } = {
    'the first heartbeat': async () => undefined,
    'recovery from silence': async (it) => {
      await it.stage.pass(SILENT_MS + 3_000);
      it.lose();
    },
    'a crash that is healed': async (it) => {
      it.lose();
      it.stage.target.exits('a');
    },
    'a restart that was asked': async (it) => {
      it.lose();
      await it.verb('restart');
    },
    'a stop and a resume': async (it) => {
      await it.verb('stop');
      await it.live(3_000);
      it.lose();
      await it.verb('resume');
    },
    'a sleep and a wake': async (it) => {
      await it.declare(spec(', lifecycle: lazy, idleAfter: 1h'));
      await it.live(5_000);
      await it.verb('sleep');
      await it.live(5_000);
      assert.equal(it.stage.inst('a').phase, 'SLEEPING');
      it.lose();
      await it.verb('wake');
    },
    'a new provision of what was lost': async (it) => {
      it.lose();
      it.stage.target.held.clear();
      await it.live(5_000);
      await it.stage.during(
        it.stage.control.override(FLEET, { target: 'fake', identity: null, rollout: false, by: BY }),
      );
    },
    'a plugin that vanished while it runs': async (it) => it.lose(),
  };

  for (const [road, take] of Object.entries(ROADS)) {
    test(road, async () => {
      const it = new PluginStage();
      await it.declare(spec());
      await it.live(10_000);
      await it.settled([`${NOTES}#v1`]);
      await take(it);
      await it.live(30_000);
      await it.settled([`${NOTES}#v1`]);
    });
  }

  test('apply while it runs: missing goes in, undeclared goes out, and one restart is for all that need it', async () => {
    const it = new PluginStage();
    await it.declare(spec());
    await it.live(10_000);
    await it.declare(spec('', `"${NOTES}#v2", "${SEARCH}#v1"`));
    await it.live(20_000);
    await it.settled([`${NOTES}#v2`, `${SEARCH}#v1`]);
    assert.deepEqual(it.stage.inst('a').restarts, { crashes: 0, planned: 1 });
    await it.declare(spec('', `"${NOTES}#v3"`));
    await it.live(20_000);
    await it.settled([`${NOTES}#v3`]);
    assert.equal(it.stage.inst('a').restarts.planned, 2);
    await it.declare(spec('', `"${NOTES}#v4"`));
    await it.live(20_000);
    await it.settled([`${NOTES}#v4`]);
    assert.equal(it.stage.inst('a').restarts.planned, 2, 'and none where none needs it');
  });

  test('adoption after our own restart', async () => {
    const it = new PluginStage();
    await it.declare(spec());
    await it.live(10_000);
    it.stage.kill();
    it.lose();
    const next = new PluginStage(it);
    await next.stage.during(next.stage.runtime.start(), 60_000);
    await next.live(15_000);
    await next.settled([`${NOTES}#v1`]);
  });
});

test('L14 a fresh instance whose very first sign of life is a heartbeat ends with its plugins on disk and PluginsInstalled', async () => {
  const it = new PluginStage();
  it.stage.target.before = async (verb) => {
    if (verb === 'start') it.stage.fleet.liveness?.beat(it.stage.inst('a').uid, {});
  };
  await it.declare(spec());
  await it.live(10_000);
  await it.settled([`${NOTES}#v1`]);
  const verbs = it.stage.target.calls.filter((call) => /^(provision|start)/.test(call));
  assert.deepEqual(verbs, ['provision a', 'start a'], 'and they went in before its first start');
});

test('a tracked ref that moves is followed, by who tracks it', async () => {
  const it = new PluginStage();
  await it.declare(spec('', `{ source: "${NOTES}", ref: main, track: true }`));
  await it.live(10_000);
  it.heads.set(NOTES, 'sha-next');
  await it.live(15_000);
  assert.equal(it.stage.inst('a').plugins?.[0]?.sha, 'sha-next');
  assert.equal(it.stage.inst('a').phase, 'RUNNING');
});

test('one bad plugin degrades and blocks neither the others nor a start, and goes in once it can be had', async () => {
  const it = new PluginStage();
  it.broken.add(NOTES);
  await it.declare(spec('', `"${NOTES}#v1", "${SEARCH}#v1"`));
  await it.live(10_000);
  const view = await it.stage.control.instance(FLEET, 'a');
  assert.deepEqual([view.phase, view.resource?.state], ['DEGRADED', 'running']);
  assert.deepEqual(
    view.plugins.map(({ source, state, error }) => [source, state, error]),
    [
      [NOTES, 'failed', `${NOTES} is gone`],
      [SEARCH, 'installed', null],
    ],
  );
  it.stage.target.exits('a');
  await it.live(3_000);
  assert.equal(it.stage.inst('a').resource?.state, 'running', 'L82 a crash is healed all the same');
  it.broken.clear();
  await it.live(120_000);
  await it.settled([`${NOTES}#v1`, `${SEARCH}#v1`]);
});

test('L82 a crash while a slow server holds up an install is healed at once, and the plugin goes in later', async () => {
  const it = new PluginStage();
  await it.declare(spec());
  await it.live(10_000);
  it.slow.add(SEARCH);
  await it.declare(spec('', `"${NOTES}#v1", "${SEARCH}#v1"`));
  await it.live(5_000);
  assert.equal(it.stage.inst('a').operation?.kind, 'install-plugin', 'it is under way');
  it.stage.target.exits('a');
  await it.live(3_000);
  assert.equal(it.stage.inst('a').resource?.state, 'running');
  it.slow.clear();
  await it.live(200_000);
  await it.settled([`${NOTES}#v1`, `${SEARCH}#v1`]);
});

test('L04 with more boxes than can be read back in time each is read back in its turn', async () => {
  const it = new PluginStage();
  const names = Array.from({ length: 60 }, (_, at) => `i${at}`);
  const text = `version: 1\nfleet: ${FLEET}\npolicy: { maxInFlight: 100 }\ninstances:\n${names
    .map((name) => `  ${name}: { target: fake, run: {}, plugins: ["${NOTES}#v1"] }\n`)
    .join('')}`;
  const ask = { text, dryRun: false, prune: null, replace: false, ifMatch: null, by: BY };
  await it.stage.during(it.stage.control.apply(FLEET, ask));
  await it.stage.pass(60_000);
  for (const name of names) assert.equal(it.stage.inst(name).phase, 'RUNNING');
  const looks = new Map<string, number>();
  const { clock } = it.stage;
  it.stage.target.plugins = {
    ...boxes(it.all),
    // Eight at once, a second each: 60 need more than the 3 s after which the first are due again.
    installed: async ({ instance, uid }) => {
      looks.set(instance, (looks.get(instance) ?? 0) + 1);
      await new Promise<void>((resolve) => clock.after(1_000, resolve));
      return [...(it.all.get(uid)?.values() ?? [])];
    },
  };
  await it.stage.pass(60_000);
  const counts = names.map((name) => looks.get(name) ?? 0);
  assert.ok(Math.min(...counts) >= 2, `somebody is passed over: ${counts.join()}`);
});
