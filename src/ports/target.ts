/**
 * A target is a named place where resources live: a host's processes, a Docker engine, a cloud account. It is a handful of
 * idempotent verbs, each under an abort signal; optional abilities are small interfaces of their own.
 *
 * Promises every implementation keeps (`test/contract/target` holds them to it):
 *  1. It answers `running`, `stopped`, `missing` or `changing` only when it knows; otherwise it throws `TargetError`.
 *  2. Names are deterministic and creates conditional: repeating a verb after a crash finds what the first try made.
 *  3. A verb ends soon after its signal aborts, by rejecting; it may have taken effect, and the next look tells.
 *  4. It touches only what carries this deployment's label and the asked uid.
 */
import type { InstalledPlugin, JsonObject, Look, OperationKind, Spec } from '../core/model.ts';
import type { FailureDetail } from '../core/events.ts';
import type { PluginTree } from './plugin-source.ts';

export class TargetError extends Error {
  override readonly name = 'TargetError';
  readonly detail: FailureDetail;
  /** What is known of the resource in spite of the failure. */
  readonly saw: Look | null;
  constructor(detail: FailureDetail, saw: Look | null = null, options?: { cause?: unknown }) {
    super(detail.message, options);
    this.detail = detail;
    this.saw = saw;
  }
}

/** The instance as a target needs to know it. */
export interface Subject {
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
  readonly generation: number;
  readonly spec: Spec;
  readonly infraHash: string;
  /** Of the manifest that is in force: what a target looks up once per apply, it looks up once per revision. */
  readonly revision?: string | null;
  /** Declared config; null where none is declared. */
  readonly configHash: string | null;
  /** Added to the agent's environment by the runtime (its URL and token, for example). Never logged. */
  readonly env: { readonly [name: string]: string };
}

export interface Listing {
  /** Who answered: host, engine or account id. Another identity is another world. */
  readonly identity: string;
  /** Everything with this deployment's label, whatever the fleet. A partial answer is a `TargetError`, never a listing. */
  readonly items: readonly ListedResource[];
}

export interface ListedResource {
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
  readonly look: Look;
}

/** What the authority reported by itself, between two listings. */
export type TargetNotice =
  | {
      readonly kind: 'changed';
      readonly fleet: string;
      readonly uid: string;
      readonly look: Look;
      /** What it is by now, where the authority was faster: told together, so that nobody acts on what is past. */
      readonly next?: Look;
    }
  /** What a name in a spec means from now on, for everybody of that revision. */
  | { readonly kind: 'image-resolved'; readonly fleet: string; readonly image: string; readonly digest: string }
  /** Something happened that a listing must clear up (a removal, a broken stream). */
  | { readonly kind: 'look-again'; readonly reason: string };

export interface TargetTraits {
  readonly type: string;
  /** Deadline of each operation, ms. The stuck threshold is derived from it: deadline + grace. */
  readonly deadlinesMs: { readonly [K in OperationKind]?: number };
  readonly graceMs: number;
  readonly maxInFlight: number;
  /** Time between two full listings. */
  readonly sweepEveryMs: number;
  readonly sweepDeadlineMs: number;
  /** Names of the optional abilities it has; `restarts`: the authority restarts things by itself. */
  readonly abilities: readonly string[];
}

export interface Target {
  readonly traits: TargetTraits;

  /** Everything that is ours, complete, or an error. */
  list(signal: AbortSignal): Promise<Listing>;
  /** One resource, asked of the authority itself. */
  inspect(subject: Subject, signal: AbortSignal): Promise<Look>;

  /** Makes it exist as declared; started unless `unstarted`. Finds its own earlier try. */
  provision(subject: Subject, how: { unstarted: boolean }, signal: AbortSignal): Promise<Look>;
  start(subject: Subject, signal: AbortSignal): Promise<Look>;
  /** Stops it, keeping resource and data. */
  stop(subject: Subject, signal: AbortSignal): Promise<Look>;
  /** Brings an existing one to the declared infra, data kept; runs afterwards unless `unstarted`. */
  update(subject: Subject, how: { unstarted: boolean }, signal: AbortSignal): Promise<Look>;
  /** Removes it and proves it gone (`missing`), deleting its data only if told to. */
  destroy(subject: Subject, how: { data: 'keep' | 'delete' }, signal: AbortSignal): Promise<Look>;

  readonly watch?: WatchAbility;
  readonly logs?: LogsAbility;
  readonly config?: ConfigAbility;
  readonly plugins?: PluginAbility;
  readonly volumes?: VolumesAbility;
  readonly health?: HealthAbility;
  readonly stats?: StatsAbility;
  readonly exec?: ExecAbility;

  /** Releases what it holds here. What runs, runs on. */
  close(): Promise<void>;
}

/** Speed: told of changes as they happen. Returns how to stop watching. */
export type WatchAbility = (deployment: string, tell: (notice: TargetNotice) => void) => () => void;

/** Output of the present life, or of the one before; `tail` last lines, then whatever follows while `follow`. */
export type LogsAbility = (
  subject: Subject,
  ask: { follow: boolean; tail: number; previous: boolean },
  signal: AbortSignal,
) => AsyncIterable<Uint8Array>;

/** Delivery of declared config. `apply` reaches the running agent and reads back; `persist` reaches what it starts from. */
export interface ConfigAbility {
  apply(subject: Subject, signal: AbortSignal): Promise<{ applied: string; observed: string }>;
  persist(subject: Subject, signal: AbortSignal): Promise<{ persisted: string }>;
}

/**
 * Keeps plugins where the agent finds them, whether or not it runs. What is there is told by the box itself: a record of ours
 * is no proof (L69).
 */
export interface PluginAbility {
  /** Time between two looks at one instance, ms. */
  readonly lookEveryMs: number;
  /**
   * Stages it beside, swaps it in at once, reads it back. Until the swap, and after any failure, the version before it is
   * whole. The plugin of another source under its name is replaced if that is declared no more, and else a failure.
   */
  install(subject: Subject, tree: PluginTree, signal: AbortSignal): Promise<InstalledPlugin>;
  /** Removes just what `install` brought from that source. Done already is done. */
  uninstall(subject: Subject, source: string, signal: AbortSignal): Promise<void>;
  /** Read back: what is there whole. */
  installed(subject: Subject, signal: AbortSignal): Promise<readonly InstalledPlugin[]>;
}

/** A data volume that no resource holds: it outlived its instance, and is kept until an operator says otherwise. */
export interface RetainedVolume {
  readonly name: string;
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
  /** As the manifest calls it. */
  readonly key: string;
  /** It holds delivered plugins and nothing of the agent's: who has its name next need not be asked about it. */
  readonly plugins?: true;
  /** null: not known. */
  readonly sizeBytes: number | null;
}

export interface VolumesAbility {
  /** This deployment's, whatever the fleet. Measuring them may take long, and is left out unless asked for. */
  retained(signal: AbortSignal, how?: { sizes: boolean }): Promise<readonly RetainedVolume[]>;
  /** Removes one of them; refuses one that something holds, or that is not ours. */
  remove(name: string, signal: AbortSignal): Promise<void>;
}

/**
 * What the authority's own health check last said of what runs. Not well is also what was not checked yet since its start. An
 * authority that cannot be asked, and what does not run, is an error, and no verdict.
 */
export type HealthAbility = (subject: Subject, signal: AbortSignal) => Promise<{ ok: boolean; message: string }>;

/** What a running resource uses at that moment. For people: no fact, and nothing is decided by it. */
export interface Usage {
  /** Without what the authority would give back for the asking, such as a page cache. */
  readonly memoryBytes: number;
  /** Its own limit, or all that the host has. */
  readonly memoryLimitBytes: number;
  /** Cores in use, as 0.25, over the last second or so. */
  readonly cpus: number;
  readonly processes: number;
}

/** Rejects with a `conflict` for what does not run: it uses nothing, which is not the same as little. */
export type StatsAbility = (subject: Subject, signal: AbortSignal) => Promise<Usage>;

/** What became of a command that was run beside the agent. */
export interface Executed {
  /** null: the authority does not say how it ended. */
  readonly code: number | null;
  /** Both streams in the order they came; of much, the end. */
  readonly output: Uint8Array;
  /** The beginning of the output is missing. */
  readonly cut: boolean;
}

/**
 * Runs a program in the place of the running agent: its files, its environment, its user. No shell takes the words apart.
 * Starts and wakes nothing: rejects with a `conflict` for what does not run. An abort ends the wait, not always the program.
 */
export type ExecAbility = (subject: Subject, command: readonly string[], signal: AbortSignal) => Promise<Executed>;

/** A target type: how a named target of it is made from `holdfast.yaml`, and how its `run` section is checked. */
export interface TargetType {
  readonly type: string;
  readonly lifecycles: readonly ('hot' | 'lazy')[];
  /** Its targets check the health of what they run by themselves. */
  readonly health?: boolean;
  /** Its targets can deliver plugins. */
  readonly plugins?: boolean;
  /** Checks and freezes the `run` section: defaults filled in, or every problem with its path below `run`. */
  run(
    raw: JsonObject,
  ): { ok: true; run: JsonObject } | { ok: false; problems: readonly { path: string; message: string }[] };
  /** Keys of the frozen `run` (and of the spec) that need a re-provision when they change go into the infra hash. */
  infra(spec: Spec): JsonObject;
  create(settings: JsonObject, context: { deployment: string; dataDir: string; name: string }): Target;
}
