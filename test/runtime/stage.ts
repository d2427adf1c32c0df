/**
 * The real runtime on a stage: simulated time, a store in memory that can be made to fail, and a target that does what a
 * test tells it. Nothing here waits for real; `pass` lets time go by.
 */
import type { By } from '../../src/core/events.ts';
import type { Violation } from '../../src/core/invariants.ts';
import type { TargetTypeInfo } from '../../src/core/manifest/context.ts';
import type { Instance, Look } from '../../src/core/model.ts';
import type { PluginSources } from '../../src/ports/plugin-source.ts';
import type { Store } from '../../src/ports/store.ts';
import type {
  ListedResource,
  Listing,
  HealthAbility,
  LogsAbility,
  PluginAbility,
  Subject,
  Target,
  TargetNotice,
  TargetTraits,
  TargetType,
} from '../../src/ports/target.ts';
import type { Control } from '../../src/runtime/api.ts';
import { createControl } from '../../src/runtime/control/index.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import type { Probe } from '../../src/runtime/liveness.ts';
import { levelSwitch, type Log } from '../../src/runtime/log.ts';
import { Metrics } from '../../src/runtime/metrics.ts';
import type { Lag } from '../../src/runtime/pulse.ts';
import { Registry } from '../../src/runtime/registry.ts';
import { Runtime } from '../../src/runtime/runtime.ts';
import { redactedControl, redactedLog, redactedStore } from '../../src/runtime/secrets/boundary.ts';
import { Vault, type SecretKey } from '../../src/runtime/secrets/vault.ts';
import { testKey } from '../support/secret-key.ts';
import { Targets } from '../../src/runtime/targets.ts';
import type { World } from '../../src/runtime/world.ts';
import { externalType } from '../../src/targets/external.ts';
import { createMemoryDisk, createMemoryStore, type MemoryDisk } from '../../src/stores/memory.ts';
import { dry, SimClock, type ClockScope } from '../sim/clock.ts';

export const FLEET = 'demo';
export const BY: By = { token: 'test', via: 'test' };
const STEP_MS = 50;

const NO_PLUGINS: PluginSources = {
  trackEveryMs: 60_000,
  resolve: () => Promise.reject(new Error('this stage has no plugins')),
  fetch: () => Promise.reject(new Error('this stage has no plugins')),
};

const TRAITS: TargetTraits = {
  type: 'fake',
  deadlinesMs: {},
  graceMs: 5_000,
  maxInFlight: 8,
  sweepEveryMs: 1_000,
  sweepDeadlineMs: 2_000,
  abilities: [],
};

/** An authority in a test's hands: what it holds is in `held`, and each verb asks `before` first. */
class FakeTarget implements Target {
  traits: TargetTraits = TRAITS;
  identity = 'fake-1';
  readonly held = new Map<string, ListedResource>();
  /** Calls so far, as `verb instance`. */
  readonly calls: string[] = [];
  /** Awaited before each verb takes effect; a test makes it hang or throw. */
  before: (verb: string, subject: Subject, signal: AbortSignal) => Promise<void> = async () => undefined;
  /** What a listing answers; by default everything that is held. */
  listed: (signal: AbortSignal) => Promise<Listing> = async () => this.all();
  lists = 0;
  logs?: LogsAbility;
  health?: HealthAbility;
  /** Where a test puts it. */
  plugins?: PluginAbility;
  private lives = 0;
  private readonly tellers = new Set<(notice: TargetNotice) => void>();

  all(): Listing {
    return { identity: this.identity, items: [...this.held.values()] };
  }

  list(signal: AbortSignal): Promise<Listing> {
    this.lists += 1;
    return this.listed(signal);
  }

  inspect = (subject: Subject): Promise<Look> => Promise.resolve(this.held.get(subject.uid)?.look ?? GONE);
  provision = (subject: Subject, { unstarted }: { unstarted: boolean }, signal: AbortSignal): Promise<Look> =>
    this.verb('provision', subject, signal, () => (unstarted ? this.stopped(subject) : this.running(subject)));
  start = (subject: Subject, signal: AbortSignal): Promise<Look> =>
    this.verb('start', subject, signal, () => this.running(subject));
  stop = (subject: Subject, signal: AbortSignal): Promise<Look> =>
    this.verb('stop', subject, signal, () => (this.held.has(subject.uid) ? this.stopped(subject) : GONE));
  update = (subject: Subject, { unstarted }: { unstarted: boolean }, signal: AbortSignal): Promise<Look> =>
    this.verb('update', subject, signal, () => (unstarted ? this.stopped(subject) : this.begun(subject)));
  destroy = (subject: Subject, _how: unknown, signal: AbortSignal): Promise<Look> =>
    this.verb('destroy', subject, signal, () => {
      this.held.delete(subject.uid);
      return GONE;
    });

  watch = (_deployment: string, tell: (notice: TargetNotice) => void): (() => void) => {
    this.tellers.add(tell);
    return () => this.tellers.delete(tell);
  };

  tell(notice: TargetNotice): void {
    for (const tell of this.tellers) tell(notice);
  }

  close = (): Promise<void> => Promise.resolve();

  /** It ends by itself, and is told at once. */
  exits(name: string, code = 1, output: string | null = null): void {
    for (const [uid, item] of this.held) {
      if (item.instance !== name || item.look.state !== 'running') continue;
      const look: Look = { ...item.look, state: 'stopped', exit: { code, signal: null, oom: false, output } };
      this.held.set(uid, { ...item, look });
      this.tell({ kind: 'changed', fleet: item.fleet, uid, look });
    }
  }

  /** Something that carries our label. */
  put(item: Pick<ListedResource, 'fleet' | 'instance' | 'uid'>, state: 'running' | 'stopped' = 'running'): void {
    this.lives += 1;
    const ref = `fake/${item.uid}`;
    const look = { ...GONE, state, ref, incarnation: `life-${this.lives}` };
    this.held.set(item.uid, { fleet: item.fleet, instance: item.instance, uid: item.uid, look });
  }

  private async verb(verb: string, subject: Subject, signal: AbortSignal, effect: () => Look): Promise<Look> {
    this.calls.push(`${verb} ${subject.instance}`);
    await this.before(verb, subject, signal);
    return effect();
  }

  private running(subject: Subject): Look {
    const known = this.held.get(subject.uid)?.look;
    return known?.state === 'running' ? known : this.begun(subject);
  }

  private begun(subject: Subject): Look {
    this.put(subject);
    return this.keep(subject, {});
  }

  private stopped(subject: Subject): Look {
    if (!this.held.has(subject.uid)) this.put(subject, 'stopped');
    return this.keep(subject, { state: 'stopped' });
  }

  private keep(subject: Subject, change: Partial<Look>): Look {
    const item = this.held.get(subject.uid);
    if (item === undefined) throw new Error(`nothing is held for ${subject.uid}`);
    const look = { ...item.look, infra: subject.infraHash, ...change };
    this.held.set(subject.uid, { ...item, look });
    return look;
  }
}

const GONE: Look = {
  state: 'missing',
  ref: null,
  incarnation: null,
  infra: null,
  exit: null,
  restarts: 0,
  attrs: {},
};

/** For `before`: never comes back, but for its signal (or not even for that). */
export const hangs = (signal: AbortSignal, deaf = false): Promise<void> =>
  new Promise((_, reject) => {
    if (!deaf) signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
  });

interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

interface StageAsk {
  readonly clock?: SimClock;
  readonly disk?: MemoryDisk;
  readonly owner?: string;
  readonly probe?: Probe;
  readonly plugins?: PluginSources;
  readonly targets?: readonly string[];
  /** Metrics of each instance. */
  readonly perInstance?: boolean;
  /** One that was killed: this one finds its data, its time and its targets. */
  readonly after?: Stage;
  readonly secretKey?: SecretKey;
  readonly withoutLostSecrets?: boolean;
  /** Wraps the store, to make it fail or hang. */
  store?(inner: Store): Store;
}

/** One Holdfast. Two on one disk and one clock are two replicas. */
export class Stage {
  readonly clock: SimClock;
  readonly scope: ClockScope;
  readonly disk: MemoryDisk;
  readonly store: Store;
  readonly vault: Vault;
  readonly runtime: Runtime;
  readonly control: Control;
  readonly observed: Targets;
  readonly registry: Registry;
  readonly metrics: Metrics;
  readonly lines: LogLine[] = [];
  /** How much of it is written, as long as the stage stands. */
  private readonly leveled = { level: 'info' };
  /** What episodes of violations were told. */
  readonly told: { readonly fleet: string; readonly violation: Violation }[] = [];
  /** How late the event loop is said to be. */
  lag: Lag = { worstMs: 0, meanMs: 0 };
  private readonly fakes = new Map<string, FakeTarget>();
  private ids = 0;

  constructor(ask: StageAsk = {}) {
    this.clock = ask.clock ?? ask.after?.clock ?? new SimClock();
    this.scope = this.clock.scope();
    this.disk = ask.disk ?? ask.after?.disk ?? createMemoryDisk({ deployment: 'stage', mono: () => this.clock.now });
    const inner = createMemoryStore({ disk: this.disk });
    const store = ask.store?.(inner) ?? inner;
    this.vault = new Vault({ store, key: ask.secretKey ?? testKey(), withoutLost: ask.withoutLostSecrets ?? false });
    this.store = redactedStore(store, this.vault.redactor);
    for (const name of ask.targets ?? ['fake']) this.fakes.set(name, ask.after?.fake(name) ?? new FakeTarget());
    const log = redactedLog(this.log(), this.vault.redactor);
    this.metrics = new Metrics({
      clock: this.scope,
      version: 'test',
      perInstance: ask.perInstance ?? false,
      lag: () => this.lag,
    });
    this.observed = new Targets((name) => this.fakes.get(name) ?? null, this.disk.deployment, this.scope, log);
    this.runtime = new Runtime(ask.owner ?? 'stage', {
      store: this.store,
      clock: this.scope,
      log,
      targets: this.observed,
      vault: this.vault,
      probe: ask.probe ?? (async () => ({ ok: true, message: 'ok' })),
      plugins: ask.plugins ?? NO_PLUGINS,
      env: (fleet, inst) => this.registry.env(fleet, inst),
      lastSeen: (uid) => this.registry.lastSeen.at(uid),
      isVisited: () => false,
      ticked: (fleet, report) => this.metrics.ticked(fleet, report),
      violated: (fleet, violation) => this.told.push({ fleet, violation }),
      dropped: (fleet) => {
        this.vault.forget(fleet);
        this.metrics.dropped(fleet);
      },
    });
    const { runtime } = this;
    this.registry = new Registry({
      key: Buffer.alloc(32, ask.owner ?? 'stage'),
      folder: null,
      agentUrl: 'http://127.0.0.1:1',
      store: this.store,
      clock: this.scope,
      log,
      fleets: () => runtime.fleets(),
      fleet: (name) => runtime.fleet(name),
      isAwaited: (name) => runtime.isAwaited(name),
    });
    const type: TargetType = {
      type: 'fake',
      lifecycles: ['hot', 'lazy'],
      plugins: true,
      health: true,
      run: (run) => ({ ok: true, run }),
      infra: (spec) => ({ run: spec.run }),
      create: () => new FakeTarget(),
    };
    const world: World = {
      version: 'test',
      store: this.store,
      clock: this.scope,
      log,
      logLevel: levelSwitch(this.leveled, log),
      runtime: this.runtime,
      targets: this.observed,
      registry: this.registry,
      vault: this.vault,
      targetTypes: new Map<string, TargetTypeInfo>([
        [externalType.type, externalType],
        ...[...this.fakes.keys()].map((name) => [name, type] as const),
      ]),
      channels: new Map(),
      pluginPolicy: { sources: null, requirePinned: false, plainHttp: false },
      newId: () => `${ask.owner ?? 'u'}-${(this.ids += 1)}`.padStart(16, '0'),
      newSecret: () => `secret-${(this.ids += 1)}`,
      lag: () => this.lag,
      metrics: () => this.metrics.text(this.runtime, this.observed),
    };
    this.control = redactedControl(createControl(world), this.vault.redactor);
  }

  get target(): FakeTarget {
    return this.fake('fake');
  }

  fake(name: string): FakeTarget {
    const found = this.fakes.get(name);
    if (found === undefined) throw new Error(`no target "${name}" is on this stage`);
    return found;
  }

  get fleet(): Fleet {
    const fleet = this.runtime.fleet(FLEET);
    if (fleet === null) throw new Error('the fleet is not owned');
    return fleet;
  }

  /** By name; throws when it is not there. */
  inst(name: string): Instance {
    const { state } = this.fleet.loop;
    const inst = state.instances.get(state.names.get(name) ?? '');
    if (inst === undefined) throw new Error(`there is no instance ${name}`);
    return inst;
  }

  /** Time goes by, in steps small enough for everything that it sets off to run dry. */
  async pass(ms: number): Promise<void> {
    const until = this.clock.now + ms;
    await dry();
    while (this.clock.now < until) {
      await this.clock.runUntil(Math.min(until, this.clock.now + STEP_MS));
      await dry();
    }
  }

  /** What the promise comes to while time goes by, at most `ms` of it. */
  async during<T>(work: Promise<T>, ms = 10_000): Promise<T> {
    const end = { over: false };
    const watched = work.finally(() => (end.over = true));
    watched.catch(() => undefined);
    for (let left = ms; left > 0 && !end.over; left -= STEP_MS) await this.pass(STEP_MS);
    if (!end.over) throw new Error(`it did not end within ${ms} ms of simulated time`);
    return watched;
  }

  /** Applies `{ name: yaml }` of a fleet of fake instances. */
  async apply(instances: readonly string[], more = '', fleet = FLEET): Promise<void> {
    const lines = instances.map((name) => `  ${name}: { target: fake, run: { n: 1 }${more} }\n`);
    const text = `version: 1\nfleet: ${fleet}\ninstances:\n${lines.join('')}`;
    const ask = { text, dryRun: false, prune: null, ifMatch: null, replace: false, by: BY };
    await this.during(this.control.apply(fleet, ask));
  }

  /** Applied, and given time to come up. */
  async up(instances: readonly string[], more = ''): Promise<void> {
    await this.apply(instances, more);
    await this.pass(3_000);
  }

  errors(): readonly string[] {
    return this.lines.filter(({ level }) => level === 'error').map(({ message }) => message);
  }

  /** kill -9: nothing of it runs on. */
  kill(): void {
    this.scope.kill();
    for (const observer of this.observed.all()) observer.stop();
  }

  private log(): Log {
    const line =
      (level: LogLine['level']) =>
      (fields: object, message: string): void => {
        this.lines.push({ level, fields, message });
      };
    const { leveled } = this;
    return {
      get level() {
        return leveled.level;
      },
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
    };
  }
}
