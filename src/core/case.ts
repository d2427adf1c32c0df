/**
 * One instance before the decision table: its folded facts, its target, and the time.
 *
 * The clock is asked only through `past`, and asking sets the alarm: every answer "not yet" is remembered as a time to look
 * again. So no row can depend on time without waking up for it, and deciding only what is dirty or due gives what deciding
 * everything would give.
 */
import { concernOf } from './concern.ts';
import { sharesResource } from './fold/resource.ts';
import { targetOf } from './fold/target.ts';
import { DEFAULT_DEADLINE_MS } from './limits.ts';
import { sameDigest } from './plugin-tree.ts';
import { livenessOf, silentAfterMs, startGraceMs, type Liveness } from './liveness.ts';
import type {
  Concern,
  ConcernName,
  Drift,
  FleetState,
  Instance,
  OperationKind,
  PluginSpec,
  Resource,
  TargetState,
} from './model.ts';

type Alive = Exclude<Liveness, 'awaited'> | 'starting';

export class Case {
  readonly state: FleetState;
  readonly inst: Instance;
  readonly target: TargetState;
  readonly now: number;
  readonly external: boolean;
  /** The resource, if it is known to exist. */
  readonly resource: Resource | null;
  /** One that runs elsewhere runs as far as it is heard. */
  readonly running: boolean;
  /** Lazy, stopped, and with no reason to be awake. */
  readonly asleep: boolean;
  /** The earliest time at which an answer of `past` turns; Infinity if none was asked in vain. */
  wakeAt = Number.POSITIVE_INFINITY;
  /** Asked by several rows; it cannot change while they look. */
  private alive: Alive | null = null;

  constructor(state: FleetState, inst: Instance, now: number) {
    this.state = state;
    this.inst = inst;
    this.now = now;
    this.target = state.targets.get(inst.spec.target) ?? targetOf(state, inst.spec.target);
    this.external = inst.spec.targetType === 'external';
    this.resource = inst.resource !== null && inst.resource.state !== 'missing' ? inst.resource : null;
    this.running = this.external ? inst.agent?.heard === 'heard' : this.resource?.state === 'running';
    this.asleep = inst.spec.lifecycle === 'lazy' && this.resource?.state === 'stopped' && !this.shouldBeAwake();
  }

  /** Is it `at` or later? If not, the instance is looked at again then. */
  past(at: number): boolean {
    if (this.now >= at) return true;
    if (at < this.wakeAt) this.wakeAt = at;
    return false;
  }

  private shouldBeAwake(): boolean {
    return this.inst.awake || this.inst.work.open || this.leased();
  }

  private leased(): boolean {
    const { leaseUntil } = this.inst.work;
    return leaseUntil !== null && !this.past(leaseUntil);
  }

  /** It works: an active task, an open request, a lease. Looking at it is not work. */
  busy(): boolean {
    return this.inst.work.open || (this.inst.agent?.busy ?? false) || this.leased();
  }

  concern(name: ConcernName): Concern {
    return concernOf(this.inst, name);
  }

  /** Gave up, and its next granted attempt is not due. */
  gaveUp(name: ConcernName): boolean {
    const { gaveUpAt } = this.concern(name);
    return gaveUpAt !== null && !this.past(gaveUpAt + this.state.policy.retryErrorEveryMs);
  }

  /** `starting` while the agent is awaited inside its start grace; `silent` once it is overdue. */
  liveness(): Alive {
    this.alive ??= this.livenessNow();
    return this.alive;
  }

  private livenessNow(): Alive {
    const liveness = livenessOf(this.inst);
    if (liveness !== 'awaited') return liveness;
    return this.past(this.graceEndsAt()) ? 'silent' : 'starting';
  }

  /** Downtime of ours is not counted against the agent (L11). */
  graceEndsAt(): number {
    const since = Math.max(this.inst.runningSince ?? this.inst.createdAt, this.state.ownerAt);
    return since + startGraceMs(this.inst);
  }

  silentSince(): number {
    const agent = this.inst.agent;
    const heard = agent?.heard === 'silent' ? agent.heardAt : 0;
    const health = agent?.health === 'failing' ? agent.healthAt : 0;
    return Math.max(heard, health) || this.graceEndsAt();
  }

  silentAfterMs(): number {
    return silentAfterMs(this.inst);
  }

  deadlineMs(kind: OperationKind): number {
    return this.target.deadlinesMs[kind] ?? DEFAULT_DEADLINE_MS;
  }

  // ── drift ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  infraDrift(): boolean {
    return this.resource !== null && this.resource.infra !== this.inst.hashes.infra;
  }

  drift(): Drift {
    return this.inst.spec.drift ?? this.state.policy.drift;
  }

  /** What the running agent should be told: the declared config, or the same again after somebody changed it. */
  configUnapplied(): boolean {
    const declared = this.inst.hashes.config;
    if (declared === null) return false;
    const { applied } = this.inst.config ?? NOTHING;
    return applied !== declared;
  }

  configDrifted(): boolean {
    if (this.inst.hashes.config === null) return false;
    const { applied, observed } = this.inst.config ?? NOTHING;
    return observed !== null && observed !== applied;
  }

  configUnpersisted(): boolean {
    const declared = this.inst.hashes.config;
    return declared !== null && (this.inst.config ?? NOTHING).persisted !== declared;
  }

  configDiffers(): boolean {
    return this.configUnpersisted() || (this.running && (this.configUnapplied() || this.configDrifted()));
  }

  /** Sources to install (declared, not installed so) and to uninstall (installed, not declared), in order. */
  pluginChanges(): { readonly install: readonly string[]; readonly uninstall: readonly string[] } {
    const declared = this.inst.spec.plugins;
    const installed = this.inst.plugins;
    if (declared.length === 0 && (installed === null || installed.length === 0)) return NO_PLUGINS;
    const install = declared.filter((plugin) => !this.pluginInstalled(plugin)).map((plugin) => plugin.source);
    const wanted = new Set(declared.map((plugin) => plugin.source));
    const uninstall = (installed ?? []).filter((plugin) => !wanted.has(plugin.source)).map((plugin) => plugin.source);
    return { install, uninstall };
  }

  private pluginInstalled(plugin: PluginSpec): boolean {
    const found = this.inst.plugins?.find((one) => one.source === plugin.source);
    if (found === undefined || found.ref !== plugin.ref) return false;
    if (plugin.integrity !== null && !sameDigest(plugin.integrity, found.treeDigest)) return false;
    return !(
      plugin.track &&
      this.inst.movedRefs?.[plugin.source] !== undefined &&
      this.inst.movedRefs[plugin.source] !== found.sha
    );
  }

  pluginsDiffer(): boolean {
    const { install, uninstall } = this.pluginChanges();
    return install.length + uninstall.length > 0;
  }

  /** A plugin that changed is on disk, and in force only after a restart. */
  restartDue(): boolean {
    return !this.external && this.running && this.inst.restartDueSeq !== null;
  }

  /** Older incarnations of its name that are still being deleted. */
  hasPredecessor(): boolean {
    return this.state.predecessors.has(this.inst.name) && this.state.names.get(this.inst.name) === this.inst.uid;
  }

  sharesResource(): boolean {
    return sharesResource(this.state, this.inst);
  }
}

const NOTHING = { applied: null, observed: null, persisted: null };
const NO_PLUGINS = { install: [], uninstall: [] } as const;
