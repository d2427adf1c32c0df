/**
 * Everything that can influence a decision, as events. One type per fact; `tick.decided` and `flap.observed` are the
 * only ones that Holdfast decides itself.
 *
 * `EVENT_VERSIONS` is the contract with stored logs: a row of an unknown newer version stops the start, a row that does
 * not pass `eventProblem` is quarantined at its own seq.
 */
import type {
  ActionType,
  ConcernName,
  Deletion,
  Exit,
  FlapKind,
  Hold,
  InstalledPlugin,
  Json,
  Look,
  Phase,
  Policy,
  Spec,
  SpecHashes,
} from './model.ts';

/** Who asked, on everything that an operator did. `token` is the token's name, never the token. */
export interface By {
  readonly token: string;
  readonly via: string;
  readonly reason?: string;
}

/** What is done about a broken invariant: end the operation, hold whoever shares, look again. */
export type Recovery = 'abort' | 'hold' | 'mark-dirty';

export type Verb = 'reconcile' | 'stop' | 'resume' | 'restart' | 'wake' | 'sleep';

export interface FailureDetail {
  /** transient: try again later; terminal: give up at once; conflict: look again, decide again. */
  readonly class: 'transient' | 'terminal' | 'conflict';
  /** target: the authority is at fault (engine down, credentials), not the instance. */
  readonly fault: 'instance' | 'target';
  readonly code: string;
  readonly message: string;
}

export interface DecidedAction {
  readonly instance: string;
  readonly uid: string;
  readonly type: ActionType;
  readonly rule: string;
  /** Log positions of the facts it rests on. */
  readonly facts: readonly number[];
  /** For operations (and, as its id, for abort and abandon). */
  readonly operation?: string;
  readonly concern?: ConcernName;
  readonly attempt?: number;
  readonly deadlineAt?: number;
  readonly graceMs?: number;
  readonly unstarted?: boolean;
  readonly subject?: string;
  readonly counted?: boolean;
  readonly named?: boolean;
  /** This operation takes the instance down for the rollout; proof is due at this time. */
  readonly rolloutUntil?: number;
  /** For aborts: what superseded it. */
  readonly reason?: string;
}

export interface DecidedTransition {
  readonly instance: string;
  readonly uid: string;
  readonly from: Phase;
  readonly to: Phase;
  readonly rule: string;
}

/** The hold of an instance as it is from this tick on; null: none. */
export interface DecidedHold {
  readonly instance: string;
  readonly uid: string;
  readonly hold: Hold | null;
}

export interface EventData {
  'owner.started': { epoch: number; owner: string; logic: number };
  /** A clean end. With `agents`, what runs is stopped next: those ends are planned. */
  'owner.stopped': { epoch: number; agents: boolean };
  'manifest.applied': { revision: string; manifest: Json };
  'policy.changed': { policy: Policy };
  'spec.applied': { spec: Spec; hashes: SpecHashes; generation: number; revision: string };
  'spec.deleted': Deletion;
  'command.issued':
    | { verb: Verb }
    | {
        verb: 'hold';
        id: string;
        reason: string;
        until: number | null;
        target: string | null;
        instances: readonly string[] | null;
      }
    | { verb: 'release'; target: string | null; instances: readonly string[] | null }
    | { verb: 'override'; target: string | null; identity: string | null; rollout: boolean };
  /** A new agent token was given out; those of lower serials are void. The token itself is nowhere. */
  'token.rotated': { serial: number };
  /** A new version of a secret is stored; `hashes`: what those who use it are declared as from now on. */
  'secret.rotated': { secret: string; version: number; hashes: { [uid: string]: SpecHashes } };
  'secret.deleted': { secret: string };
  'target.synced': {
    target: string;
    identity: string;
    abilities: readonly string[];
    deadlinesMs: { [kind: string]: number };
    graceMs: number;
    maxInFlight: number;
  };
  'target.stale': { target: string; message: string };
  'target.refused': { target: string; message: string; identity: string | null };
  'target.cleared': { target: string };
  /** `began`: head of the log when the look began. `eventful`: the authority itself reported this end; never discarded. */
  'resource.observed': Look & { began: number; eventful?: boolean };
  'sweep.completed': { target: string; began: number };
  'image.resolved': { image: string; digest: string };
  /** On an operator's word. Of none of these is anything folded: they are here for who asks later what became of it. */
  'orphan.removed': { target: string; instance: string; uid: string; ref: string | null };
  'volume.removed': { target: string; volume: string; instance: string };
  /** An operator runs a program beside the agent. Its arguments are nowhere: they may hold what nobody stored as a secret. */
  'exec.asked': { target: string; program: string };
  'operation.ended': {
    operation: string;
    outcome: 'succeeded' | 'failed' | 'timed-out' | 'aborted' | 'abandoned';
    error?: FailureDetail;
    saw?: Look;
    config?: { applied?: string; observed?: string; persisted?: string };
    plugin?: InstalledPlugin | { source: string; removed: true };
    /** What was read back from its box, where the operation made the box anew. */
    plugins?: readonly InstalledPlugin[];
    probe?: { ok: boolean; message: string };
  };
  'agent.reported':
    | { report: 'first' | 'silent' | 'recovered' | 'well' | 'busy' | 'idle' }
    | { report: 'degraded'; message: string }
    | { report: 'version'; version: string };
  'work.began': { leaseUntil?: number };
  'work.ended': { leaseUntil?: number };
  'config.observed': { hash: string };
  'config.persisted': { hash: string };
  'channel.up': { channel: string };
  'channel.down': { channel: string; message: string };
  'plugins.observed': { installed: readonly InstalledPlugin[] };
  /** Without `ref`: whatever ref of that source is tracked. */
  'plugin.ref-moved': { source: string; ref?: string | null; sha: string };
  'probe.answered': { ok: boolean; message: string };
  'event.quarantined': { was: string; message: string };
  /** A tick left an invariant broken that has a stated recovery (DESIGN §14): folding this begins it. Once per episode. */
  'invariant.broken': { invariant: number; message: string; recovery: Recovery };
  'tick.decided': {
    now: number;
    logic: number;
    actions: readonly DecidedAction[];
    transitions: readonly DecidedTransition[];
    holds: readonly DecidedHold[];
  };
  'flap.observed': { kind: FlapKind; incarnation: string | null; exit: Exit | null; output: string | null };
}

export type EventType = keyof EventData;

/** An event before the log gave it its place and time. */
export type NewEvent = {
  [T in EventType]: { type: T; instance?: string; uid?: string; data: EventData[T]; by?: By };
}[EventType];

/** An event in the log. `seq` is gapless per fleet; `at` was stamped under the lock of the append. */
export type StoredEvent = NewEvent & { readonly seq: number; readonly at: number; readonly v: number };

/** The version each type is written in. Older ones are brought up to it when read (`event-upgrades.ts`). */
export const EVENT_VERSIONS: { readonly [T in EventType]: number } = {
  'owner.started': 1,
  'owner.stopped': 1,
  'manifest.applied': 1,
  'policy.changed': 1,
  'spec.applied': 1,
  'spec.deleted': 1,
  'command.issued': 1,
  'token.rotated': 1,
  'secret.rotated': 1,
  'secret.deleted': 1,
  'target.synced': 1,
  'target.stale': 1,
  'target.refused': 1,
  'target.cleared': 1,
  'resource.observed': 1,
  'sweep.completed': 1,
  'image.resolved': 1,
  'orphan.removed': 1,
  'volume.removed': 1,
  'exec.asked': 1,
  'operation.ended': 1,
  'agent.reported': 1,
  'work.began': 1,
  'work.ended': 1,
  'config.observed': 1,
  'config.persisted': 1,
  'channel.up': 1,
  'channel.down': 1,
  'plugins.observed': 1,
  'plugin.ref-moved': 1,
  'probe.answered': 1,
  'event.quarantined': 1,
  'invariant.broken': 1,
  'tick.decided': 1,
  'flap.observed': 1,
};
