/**
 * The words of the core as types: what is declared (spec), what is known (resource, agent, …) and what is being done
 * (operation). Everything here is a fold of the log: `evolve` is the only writer, `decide` only reads.
 *
 * Times are milliseconds since the epoch on the fleet's own clock (`…At`), spans end in `Ms`, `…Seq` is a position in its log.
 */

import type { InstalledPlugin, PluginSpec } from './plugin-source.ts';

export type { InstalledPlugin, PluginSpec };

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

// ── what is declared ────────────────────────────────────────────────────────────────────────────────────────────────

export type Lifecycle = 'hot' | 'lazy';
export type OnSilent = 'restart' | 'alert';
export type OnDegraded = 'restart' | 'alert';
export type Drift = 'enforce' | 'report';

export interface HeartbeatSpec {
  readonly everyMs: number;
  readonly silentAfterMs: number;
  readonly startGraceMs: number;
}

/** How the agent's own health is asked. The probe itself belongs to the runtime; its answers are facts. */
export interface HealthSpec {
  /** null: its target's authority checks it, and is asked for its verdict. */
  readonly http: { readonly port: number; readonly path: string } | null;
  readonly everyMs: number;
  readonly silentAfterMs: number;
  readonly startGraceMs: number;
}

export interface ConfigSpec {
  readonly channel: string;
  /** The channel's own settings (path, onChange, …), validated by the channel. */
  readonly settings: JsonObject;
  readonly value: Json;
}

export interface ExposeSpec {
  readonly port: number;
  readonly path: string;
  readonly auth: 'token' | 'none';
}

/** One declared agent with every default frozen in, so that an upgrade of Holdfast alone changes nothing (L78). */
export interface Spec {
  /** The *named* target; `targetType` is what that name meant when the spec was frozen. */
  readonly target: string;
  readonly targetType: string;
  readonly lifecycle: Lifecycle;
  readonly labels: { readonly [key: string]: string };
  readonly idleAfterMs: number | null;
  readonly onComplete: 'restart' | 'stop';
  readonly onDelete: 'keep' | 'delete';
  readonly reuseData?: true; // it may take over what an earlier instance of its name left (L80)
  /** What to run, in the words of the target type; opaque to the core. */
  readonly run: JsonObject;
  readonly health: HealthSpec | null;
  readonly heartbeat: HeartbeatSpec | null;
  readonly config: ConfigSpec | null;
  readonly plugins: readonly PluginSpec[];
  readonly expose: readonly ExposeSpec[];
  /** null: the fleet's policy decides. */
  readonly onSilent: OnSilent | null;
  readonly onDegraded: OnDegraded | null;
  readonly drift: Drift | null;
}

/** Versioned canonical hashes (`core/hash`) of the parts of a spec. `config` is null where no config is declared. */
export interface SpecHashes {
  readonly infra: string;
  readonly config: string | null;
}

export interface RolloutPolicy {
  /** Share (0–1] of the fleet that may be down for a rollout at once; at least one instance. */
  readonly maxUnavailable: number;
  readonly healthyForMs: number;
  readonly maxFailures: number;
  readonly waitIdleMs: number;
}

export interface Policy {
  readonly giveUpAfter: number;
  readonly retryErrorEveryMs: number;
  /** null: the target's own default. */
  readonly maxInFlight: number | null;
  readonly rollout: RolloutPolicy;
  readonly onSilent: OnSilent;
  readonly onDegraded: OnDegraded;
  readonly drift: Drift;
}

export const DEFAULT_POLICY: Policy = {
  giveUpAfter: 10,
  retryErrorEveryMs: 30 * 60_000,
  maxInFlight: null,
  rollout: { maxUnavailable: 0.1, healthyForMs: 30_000, maxFailures: 1, waitIdleMs: 10 * 60_000 },
  onSilent: 'restart',
  onDegraded: 'alert',
  drift: 'enforce',
};

// ── what is known ───────────────────────────────────────────────────────────────────────────────────────────────────

export type Phase =
  | 'CREATING'
  | 'PENDING'
  | 'RECONCILING'
  | 'RUNNING'
  | 'DEGRADED'
  | 'SLEEPING'
  | 'STOPPED'
  | 'UNKNOWN'
  | 'OFFLINE'
  | 'ERROR'
  | 'DELETING';

export const PHASES: readonly Phase[] = [
  'CREATING',
  'PENDING',
  'RECONCILING',
  'RUNNING',
  'DEGRADED',
  'SLEEPING',
  'STOPPED',
  'UNKNOWN',
  'OFFLINE',
  'ERROR',
  'DELETING',
];

/** `unknown`: it is over, and only a parent that is gone could have told how. */
export type ExitClass = 'crash' | 'planned' | 'oom' | 'killed' | 'config-invalid' | 'completed' | 'unknown';

/** How one incarnation ended. `output` is at most the last `EXIT_OUTPUT_BYTES` of what it wrote. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  readonly oom: boolean;
  readonly output: string | null;
}

export type ResourceState = 'running' | 'stopped' | 'changing' | 'missing';

/** One answer of an authority about one resource. `incarnation` names one life of it (pid + start time, for example). */
export interface Look {
  readonly state: ResourceState;
  readonly ref: string | null;
  readonly incarnation: string | null;
  /** The infra hash that the resource itself carries. */
  readonly infra: string | null;
  readonly exit: Exit | null;
  /** How often the authority itself restarted it. */
  readonly restarts: number;
  /** What clients are shown: pid, containerId, `endpoints`, … */
  readonly attrs: JsonObject;
}

export interface Resource extends Look {
  /** When the present state was first seen, and by which fact. */
  readonly since: number;
  readonly seq: number;
}

export type FlapKind =
  'process_exited' | 'container_stopped' | 'container_missing' | 'instance_terminated' | 'instance_stopped';

/** A stop or disappearance nobody asked for, waiting to be said by the next tick. */
export interface Flap {
  readonly kind: FlapKind;
  readonly seq: number;
  readonly at: number;
  readonly incarnation: string | null;
  readonly exit: Exit | null;
}

/** What the agent itself lets us know; silence and recovery are facts, never judged by age here. */
export interface Agent {
  /** Heartbeats since the present life began. */
  readonly heard: 'never' | 'heard' | 'silent';
  readonly heardSeq: number;
  /** When it last turned heard or silent. */
  readonly heardAt: number;
  /** Answers to health probes since the present life began. */
  readonly health: 'unasked' | 'ok' | 'failing';
  readonly healthSeq: number;
  readonly healthAt: number;
  readonly degraded: { readonly message: string; readonly seq: number; readonly at: number } | null;
  readonly busy: boolean;
  readonly version: string | null;
}

export interface LastError {
  readonly code: string;
  readonly message: string;
  readonly at: number;
  readonly seq: number;
  readonly operation: string | null;
  readonly attempt: number | null;
}

/** `run`, `update`, `stop`, `config`, or `plugin:<source>`. */
export type ConcernName = string;

export interface Concern {
  /** Failures since the last reset. */
  readonly failures: number;
  /** Quick failures in a row: the exponent of the backoff. */
  readonly streak: number;
  readonly conflicts: number;
  readonly notBefore: number;
  /** When it gave up (or failed terminally); null while it tries. */
  readonly gaveUpAt: number | null;
  readonly terminal: boolean;
  /** What its last failure was about: silence is forgiven by being heard. */
  readonly cause: 'operation' | 'exit' | 'silence' | 'degraded' | 'changing';
  readonly failedAt: number;
  readonly seq: number;
  readonly error: LastError | null;
}

/** Instead of a hash or a ref: an attempt to change it did not end well, and may have taken effect all the same. */
export const UNSURE = 'unsure';

/** Hashes; null: never told. */
export interface ConfigState {
  readonly applied: string | null;
  readonly observed: string | null;
  readonly persisted: string | null;
  readonly seq: number;
}

// ── what is being done ──────────────────────────────────────────────────────────────────────────────────────────────

/** Actions that the runtime carries out against the world. */
export type OperationKind =
  | 'provision'
  | 'start'
  | 'stop'
  | 'sleep'
  | 'restart'
  | 'update'
  | 'destroy'
  | 'apply-config'
  | 'persist-config'
  | 'install-plugin'
  | 'uninstall-plugin'
  | 'probe';

/** Actions that are complete once they are in the log. */
export type MarkKind =
  | 'abort' // tell the operation in flight to stop
  | 'abandon' // stop waiting for an operation that does not answer its abort
  | 'forget' // the instance is gone; drop it
  | 'forgive' // running and live long enough: earlier failures count no more
  | 'rollout-proved'
  | 'rollout-failed'
  | 'rollout-left';

export type ActionType = OperationKind | MarkKind;

export interface Operation {
  readonly id: string;
  readonly kind: OperationKind;
  readonly concern: ConcernName;
  readonly attempt: number;
  readonly generation: number;
  readonly epoch: number;
  /** Carry it out without starting anything. */
  readonly unstarted: boolean;
  /** Plugin source, for plugin operations. */
  readonly subject: string | null;
  readonly rule: string;
  readonly startedAt: number;
  readonly seq: number;
  readonly deadlineAt: number;
  readonly graceMs: number;
  readonly abort: { readonly at: number; readonly reason: string } | null;
  /** Its cause was already counted as a failure when it was decided. */
  readonly counted: boolean;
  /** An operator named this very instance. */
  readonly named?: boolean;
  /** It was the first to be sent to end the present life. */
  readonly endsLife?: boolean;
}

export type HoldReason =
  | 'unsynced'
  | 'target-stale'
  | 'target-refused'
  | 'quarantined'
  | 'conflict'
  | 'operator-hold'
  | 'breaker'
  | 'blast-radius'
  | 'backoff'
  | 'gave-up'
  | 'rollout'
  | 'rollout-failed'
  | 'budget'
  | 'busy'
  | 'predecessor'
  | 'fault';

/** Why a decided row does not act now. `until` is null when a fact, not a time, lifts it. */
export interface Hold {
  readonly reason: HoldReason;
  readonly rule: string;
  readonly until: number | null;
  /** Who or what holds: an operator's words, a plugin, a target. */
  readonly detail: string | null;
}

export type Desired = 'running' | 'stopped' | 'deleted';

/** What an operator asked of deletion. */
export interface Deletion {
  readonly data: 'keep' | 'delete';
  readonly forget: boolean;
  /** Asked by pruning a manifest, not by name: does not pass an operator hold. */
  readonly prune: boolean;
}

/** One incarnation of a declared name. Mutable only by `evolve`, which replaces the small objects inside it. */
export interface Instance {
  readonly uid: string;
  readonly name: string;
  spec: Spec;
  hashes: SpecHashes;
  generation: number;
  specSeq: number;
  specAt: number;
  createdAt: number;

  desired: Desired;
  desiredSeq: number;
  deletion: Deletion | null;

  /** Seen to exist under our label at least once. Never unset (L16). */
  existed: boolean;
  resource: Resource | null;
  /** Since when it has been seen running without a break; null when not. */
  runningSince: number | null;
  /** The life that an operation of ours was sent to end; its end is no flap. */
  endingIncarnation: string | null;
  /** The last lives known to have ended, newest last: none can be seen running again (L77), nor end twice. One that was only paused has not ended. */
  endedIncarnations: readonly string[];
  /** An update or destroy of ours may have removed its resource, or a destroy proved it gone: that is no flap. Until it is seen anew. */
  removing: boolean;
  /** Ended by exit 0 under `onComplete: stop`. */
  completed: boolean;

  operation: Operation | null;
  operations: number;
  /** Log position of the last operation decided or ended: older looks are discarded (L77). */
  operationSeq: number;

  concerns: { [name: ConcernName]: Concern };
  agent: Agent | null;

  /** Lazy: there is a reason to be awake. Meaningless for hot ones. */
  awake: boolean;
  wakeSeq: number;
  sleepAskedSeq: number | null;
  restartAskedSeq: number | null;
  /** Last of ready / wake / work / owner start, for `idleAfter`. */
  activeAt: number;
  /** Open requests through the proxy, and a lease for work that has none. */
  work: { readonly open: boolean; readonly leaseUntil: number | null };

  config: ConfigState | null;
  plugins: readonly InstalledPlugin[] | null;
  /** Since its present life began, a plugin changed that takes effect with a restart only: by this fact; null: none did. */
  restartDueSeq: number | null;
  /** Tracked sources whose ref moved since they were installed: source → sha. */
  movedRefs: { readonly [source: string]: string } | null;

  flaps: readonly Flap[];
  restarts: { readonly crashes: number; readonly planned: number };
  /** Agent tokens it accepts, by serial: from `serial`, known to be in use, to `next`, given out since and not yet proved. */
  token: { readonly serial: number; readonly next: number | null };
  quarantinedSeq: number | null;

  phase: Phase;
  phaseSince: number;
  phaseSeq: number;
  hold: Hold | null;
}

export interface TargetState {
  readonly name: string;
  identity: string | null;
  /** Synced since the last `owner.started`. */
  synced: boolean;
  stale: { readonly since: number; readonly seq: number; readonly message: string } | null;
  refused: {
    readonly since: number;
    readonly seq: number;
    readonly message: string;
    readonly identity: string | null;
  } | null;
  abilities: readonly string[];
  deadlinesMs: { readonly [kind: string]: number };
  graceMs: number;
  maxInFlight: number;
  /** `cleared`: a complete listing succeeded since; it closes once its wait is over, too. */
  breaker: {
    readonly openedAt: number;
    readonly seq: number;
    readonly repeats: number;
    readonly notBefore: number;
    readonly message: string;
    readonly cleared: boolean;
  } | null;
  /** How often the breaker opened without a success between. */
  breakerRepeats: number;
  /** Recent unasked losses: uid → what and when. Bounded by the window and by the number of instances. */
  losses: Map<string, { readonly kind: 'stopped' | 'missing' | 'silent'; readonly at: number; readonly seq: number }>;
  /** No loss is older than this: until it leaves the window, nobody need look for old ones. */
  oldestLossAt: number;
  /** Set while more was lost at once than may be healed without a second look. */
  blast: { readonly at: number; readonly seq: number } | null;
  /** Instances that exist on it (asleep ones included). */
  existing: number;
  /** Operations in flight: `stop` those that stop or delete what an operator named, `run` all others. Each has the budget to itself. */
  inFlight: { run: number; stop: number };
}

export interface OperatorHold {
  readonly id: string;
  readonly reason: string;
  readonly by: string | null;
  readonly at: number;
  readonly until: number | null;
  readonly target: string | null;
  readonly instances: readonly string[] | null;
}

export interface RolloutState {
  /** The manifest revision (or secret version) being rolled out. */
  readonly revision: string;
  readonly at: number;
  readonly proved: number;
  readonly failures: number;
  /** Taken down by this rollout and not yet proved: uid → when proof is due. */
  readonly active: Map<string, number>;
}

/** Holdfast itself broke over one event or one instance. */
export interface Fault {
  /** null: it is nobody's in particular. */
  readonly uid: string | null;
  readonly message: string;
}

export interface FleetState {
  readonly fleet: string;
  /** Last event folded, and its time. */
  seq: number;
  at: number;
  epoch: number;
  ownerAt: number;
  ownerSeq: number;
  policy: Policy;
  revision: string | null;
  manifest: Json; // as last applied, normalised
  instances: Map<string, Instance>;
  /** name → the newest uid under that name. */
  names: Map<string, string>;
  /** name → older uids still being deleted. */
  predecessors: Map<string, readonly string[]>;
  targets: Map<string, TargetState>;
  /** target + resource ref → uids that hold it. More than one breaks invariant 3: those keys are `contested`. */
  refs: Map<string, readonly string[]>;
  contested: Set<string>;
  holds: readonly OperatorHold[];
  /** Names whose very declaration could not be read: name → seq of that row. Whoever is declared under one is held. */
  lost: Map<string, number>;
  rollout: RolloutState | null;
  /** Stored secrets by name, in the version in force since `at`. Their values are nowhere near the core. */
  secrets: Map<string, { readonly version: number; readonly at: number }>;
  secretFloor: number; // the highest version of any deleted one: none may ever stand for two values
  /** Instances whose facts changed since they were last decided. Derived; not part of a snapshot. */
  dirty: Set<string>;
  /** Events whose fold broke since somebody last took these away, to be counted. Derived; not part of a snapshot. */
  faults: Fault[];
}
