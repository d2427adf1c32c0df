/**
 * What the faces (HTTP, CLI) ask of the runtime, and nothing else. Every verb resolves only when its effect on the log is
 * durable; what cannot be is a `Refusal` that names the rule.
 */
import type { By, StoredEvent, Verb } from '../core/events.ts';
import type { ActionType, Deletion, Desired, Json, JsonObject, Phase, Policy } from '../core/model.ts';
import type { Beat } from './beats.ts';
import type { Why } from '../core/explain.ts';
import type { LogLevel } from './log.ts';
import type { FleetView } from '../core/fleet-view.ts';
import type { InstanceView } from '../core/view.ts';
import type { RetainedVolume, Usage } from '../ports/target.ts';

export type { FleetView, InstanceView, Why };

/** A request that cannot be granted. `kind` maps to an HTTP status; `rule` names what forbids it. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly kind: 'invalid' | 'not-found' | 'conflict' | 'stale-revision' | 'forbidden' | 'unavailable' | 'gone';
  readonly rule: string;
  readonly errors: readonly FieldError[];
  constructor(kind: Refusal['kind'], rule: string, message: string, errors: readonly FieldError[] = []) {
    super(message);
    this.kind = kind;
    this.rule = rule;
    this.errors = errors;
  }
}

export interface FieldError {
  readonly path: string;
  readonly line: number | null;
  readonly message: string;
}

export interface ApplyAsk {
  /** YAML or JSON. */
  readonly text: string;
  readonly dryRun: boolean;
  /** Number of instances that the caller expects to be pruned; null: nothing is pruned. */
  readonly prune: number | null;
  /** Revision that the caller saw; null: whatever is there. */
  readonly ifMatch: string | null;
  /** Allows a change of target: the instance is deleted and declared anew. */
  readonly replace: boolean;
  readonly by: By;
}

export interface ApplyResult {
  readonly dryRun: boolean;
  readonly revision: string;
  readonly seq: number;
  readonly results: readonly {
    readonly name: string;
    readonly result: 'created' | 'updated' | 'unchanged' | 'pruned' | 'undeclared';
    readonly effect: 'none' | 'config' | 'restart' | 'recreate' | 'delete';
    readonly because: readonly string[];
    readonly diff: readonly { readonly path: string; readonly from: Json; readonly to: Json }[];
    /** What a person should know besides. */
    readonly note: string | null;
  }[];
  /** In a dry run: what would refuse it. */
  readonly problems: readonly { readonly instance: string | null; readonly message: string }[];
}

export interface CommandResult {
  readonly seq: number;
  readonly instance: string;
  readonly phase: Phase;
}

export interface WaitResult {
  readonly outcome: 'succeeded' | 'failed' | 'held' | 'timeout';
  readonly phase: Phase | null;
  readonly lastError: InstanceView['lastError'];
  readonly hold: InstanceView['hold'];
}

export interface Selector {
  readonly names?: readonly string[];
  readonly labels?: { readonly [key: string]: string };
  readonly phase?: Phase;
  readonly target?: string;
}

export interface BulkResult {
  readonly dryRun: boolean;
  readonly results: readonly {
    readonly instance: string;
    readonly accepted: boolean;
    readonly seq: number | null;
    readonly because: string | null;
  }[];
}

export interface HoldAsk {
  readonly reason: string;
  readonly forMs: number | null;
  readonly target: string | null;
  readonly instances: readonly string[] | null;
  readonly by: By;
}

export interface DryRun {
  readonly now: string;
  readonly head: number;
  /** Facts that the loop had not taken in when it was asked; all of them are included. */
  readonly pendingFacts: number;
  /** Facts that are not in the log: reported and not written yet, or seen by the look that was asked for. */
  readonly facts: readonly { readonly type: string; readonly instance: string | null; readonly text: string }[];
  /** The look at each target, where it was asked for; `error`: it could not be listed, and nothing is concluded from that. */
  readonly observed:
    readonly { readonly target: string; readonly items: number; readonly error: string | null }[] | null;
  readonly actions: readonly {
    readonly instance: string;
    readonly type: ActionType;
    readonly reason: { readonly rule: string; readonly text: string };
    readonly facts: readonly number[];
  }[];
  readonly transitions: readonly {
    readonly instance: string;
    readonly from: Phase;
    readonly to: Phase;
    readonly rule: string;
  }[];
  readonly holds: readonly {
    readonly instance: string;
    readonly reason: string | null;
    readonly text: string | null;
    readonly until: string | null;
  }[];
}

export interface ReplayAsk {
  /** Seq, ISO time, or null for the oldest / newest. */
  readonly from: number | string | null;
  readonly to: number | string | null;
  readonly instance: string | null;
  readonly policy: Partial<Policy> | null;
  readonly edits: readonly ({ readonly drop: number } | { readonly seq: number; readonly data: JsonObject })[];
  /** The `next` of the page before; null: the first page. */
  readonly skip: number | null;
  /** Items per list; null: as many as may be. */
  readonly limit: number | null;
}

/** How far a replay is. `folding`: from the snapshot up to the beginning of the stretch. */
export interface ReplayProgress {
  readonly doing: 'folding' | 'replaying';
  readonly events: number;
  readonly of: number;
}

export interface EventView {
  readonly seq: number;
  readonly at: string;
  readonly type: string;
  readonly instance?: string;
  readonly uid?: string;
  readonly data: Json;
  readonly by?: By;
}

export interface Readiness {
  readonly ready: boolean;
  /** Why not, one sentence each; empty when ready. */
  readonly because: readonly string[];
}

/** How much Holdfast writes into its own log. */
export interface LogLevelView {
  readonly level: LogLevel;
  /** What the next start begins with. */
  readonly configured: LogLevel;
}

export interface Orphan {
  readonly target: string;
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
  readonly ref: string | null;
  readonly state: string;
}

/** Data that outlived its instance. */
export interface Volume extends RetainedVolume {
  readonly target: string;
}

/** What an instance uses, when it was asked. */
export interface Stats extends Usage {
  readonly instance: string;
  readonly at: string;
}

/** How a command that was run beside an agent ended. */
export interface ExecResult {
  readonly instance: string;
  /** null: its target does not say. */
  readonly code: number | null;
  /** Both streams in the order they came. What is no UTF-8 is replaced. */
  readonly output: string;
  /** There was more: the beginning is missing. */
  readonly cut: boolean;
}

/** A stored secret, as far as anybody is ever told: its value is in no answer. */
export interface SecretInfo {
  readonly name: string;
  readonly version: number;
  readonly storedAt: string;
  /** Names of instances that are declared with it, by code unit; of many, the first 100. */
  readonly usedBy: readonly string[];
  readonly users: number;
}

export interface SecretResult {
  readonly seq: number;
  readonly name: string;
  readonly version: number;
  readonly usedBy: readonly string[];
  readonly users: number;
  /** What a person should know besides. */
  readonly note: string | null;
}

export interface TokenView {
  readonly name: string;
  readonly scope: 'read' | 'operate' | 'admin';
  readonly fleets: readonly string[] | null;
  readonly createdAt: string;
  readonly expiresAt: string | null;
}

/** What a heartbeat is answered. `unknown`: no token of ours, or one that another has replaced; `gone`: what it was for is deleted. */
export type HeartbeatResult =
  | { readonly kind: 'heard'; readonly desired: Desired; readonly nextSeconds: number }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'gone' };

/** Reads what a heartbeat says. `hasty`: the one before came only just now; whoever counts requests counts this one. */
export type ReadBeat = (hasty: boolean) => Promise<Beat>;

/** A new token of one agent. It is in this answer and nowhere else. */
export interface AgentToken {
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
  readonly token: string;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

/** The runtime, as its faces see it. `fleet` and `name` that are not there reject with `Refusal('not-found')`. */
export interface Control {
  readonly deployment: string;
  readonly version: string;

  apply(fleet: string | null, ask: ApplyAsk): Promise<ApplyResult>;
  fleets(): Promise<readonly FleetView[]>;
  fleet(fleet: string): Promise<FleetView>;
  manifest(fleet: string, revision: string | null): Promise<{ revision: string; manifest: Json }>;
  dropFleet(fleet: string, by: By): Promise<void>;

  instances(
    fleet: string,
    ask: { phase: Phase | null; labels: { readonly [key: string]: string }; limit: number; cursor: string | null },
  ): Promise<Page<InstanceView>>;
  instance(fleet: string, name: string): Promise<InstanceView>;
  why(fleet: string, name: string, at: string | null): Promise<Why>;

  command(fleet: string, name: string, verb: Verb, by: By): Promise<CommandResult>;
  /** `data: null`: as the spec's `onDelete` declares. */
  delete(
    fleet: string,
    name: string,
    ask: { data: Deletion['data'] | null; forget: boolean },
    by: By,
  ): Promise<CommandResult>;
  bulk(fleet: string, verb: Verb, select: Selector, dryRun: boolean, by: By): Promise<BulkResult>;
  /** Waits until the instance has settled after `seq`: at rest as desired, failed, or held; or until `timeoutMs`. */
  settled(fleet: string, name: string, seq: number, timeoutMs: number, signal: AbortSignal): Promise<WaitResult>;

  hold(fleet: string, ask: HoldAsk): Promise<{ seq: number; id: string }>;
  release(
    fleet: string,
    ask: { target: string | null; instances: readonly string[] | null; by: By },
  ): Promise<{ seq: number; released: number }>;
  override(
    fleet: string,
    ask: { target: string | null; identity: string | null; rollout: boolean; by: By },
  ): Promise<{ seq: number }>;

  events(
    fleet: string,
    ask: { after: number; to: number | null; instance: string | null; limit: number },
  ): Promise<Page<EventView>>;
  /** The last seq whose time is ≤ `at` (ms since the epoch); 0 if none. */
  seqAt(fleet: string, at: number): Promise<number>;
  /** Every event after `after`, then each new one as it is written; ends when the signal aborts. Bounded: slow readers re-read. */
  watch(fleet: string, after: number, signal: AbortSignal): AsyncIterable<StoredEvent>;
  logs(
    fleet: string,
    name: string,
    ask: { follow: boolean; tail: number; previous: boolean },
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>>;

  /** Asked of its target now. Wakes nobody. */
  stats(fleet: string, name: string, signal: AbortSignal): Promise<Stats>;
  /** Runs a program beside a running agent, to its end or for `timeoutMs`; when the signal aborts, only the wait ends. */
  exec(
    fleet: string,
    name: string,
    ask: { command: readonly string[]; timeoutMs: number; by: By },
    signal: AbortSignal,
  ): Promise<ExecResult>;

  /** `observe`: looks at the world first, and writes nothing of what it sees. */
  dryRun(fleet: string, ask: { observe: boolean }, signal: AbortSignal): Promise<DryRun>;
  /** Ends early, with a refusal that nobody reads, when the signal aborts. */
  replay(
    fleet: string,
    ask: ReplayAsk,
    signal: AbortSignal,
    progress: (progress: ReplayProgress) => void,
  ): Promise<JsonObject>;
  /** The log as lines of a file (`core/log-file`), redacted; from a place on, or whole. */
  exportLog(fleet: string, from: number | string | null): Promise<AsyncIterable<string>>;
  orphans(fleet: string): Promise<readonly Orphan[]>;
  /** Kills what nobody declares, on the operator's word; refuses when more than half of what is seen is unrecognised. */
  pruneOrphans(fleet: string, expected: number, by: By): Promise<readonly Orphan[]>;

  /** Retained data volumes of the fleet, on every target in use that has any. */
  volumes(fleet: string): Promise<readonly Volume[]>;
  /** Deletes retained data, on the operator's word; nothing else ever does. */
  removeVolume(fleet: string, name: string, by: By): Promise<Volume>;

  secrets(fleet: string): Promise<readonly SecretInfo[]>;
  /** Stores a new version; the fleet is made if it is not there. */
  putSecret(fleet: string, name: string, value: string, by: By): Promise<SecretResult>;
  /** Refused while an instance is declared with it. */
  deleteSecret(fleet: string, name: string, by: By): Promise<void>;

  ready(): Promise<Readiness>;
  /** Not ready: only a new start of this process would help. */
  alive(): Promise<Readiness>;
  metrics(): Promise<string>;
  logLevel(): Promise<LogLevelView>;
  /** Until the next start, which begins as configured. */
  setLogLevel(level: LogLevel): Promise<LogLevelView>;

  tokens(): Promise<readonly TokenView[]>;
  /** The token itself is in this answer and nowhere else. */
  createToken(ask: {
    name: string;
    scope: TokenView['scope'];
    fleets: readonly string[] | null;
    expiresInMs: number | null;
  }): Promise<TokenView & { token: string }>;
  dropToken(name: string): Promise<void>;
  /** One heartbeat; `read` is asked for it once the agent's token has proved good. Changes nothing if it is not. */
  heartbeat(token: string, read: ReadBeat): Promise<HeartbeatResult>;
  /** A new token for an agent that runs elsewhere; the ones before are void. */
  renewAgentToken(fleet: string, name: string, by: By): Promise<AgentToken>;
  /** Who a presented token is; null if it is none of ours or expired. Constant-time. */
  identify(token: string): Promise<TokenView | null>;
}
