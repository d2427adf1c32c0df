/**
 * What clients are shown of a fleet and its instances: the shapes of DESIGN's appendix, made from folded state. Fields may be
 * added, never renamed.
 *
 * Pure and read-only. What the state does not hold (heartbeats, the owner's id, pending facts) is handed in by the runtime.
 */
import type { Agenda } from './agenda.ts';
import { Case } from './case.ts';
import { conditionsOf, type ConditionType } from './conditions.ts';
import { judge } from './decide.ts';
import { Slots } from './gates.ts';
import {
  UNSURE,
  type Desired,
  type FleetState,
  type Hold,
  type HoldReason,
  type Instance,
  type LastError,
  type Lifecycle,
  type OperationKind,
  type Phase,
  type ResourceState,
  type Spec,
} from './model.ts';
import { iso } from './time.ts';
import { holdText, reasonText } from './words.ts';

export { fleetView, phaseCounts } from './fleet-view.ts';

export interface ConditionView {
  readonly type: ConditionType;
  readonly status: 'true' | 'false' | 'unknown';
  readonly reason: string;
  readonly message: string;
  readonly since: string | null;
}

/** What the runtime knows of the last heartbeat; never logged, so never folded. */
export interface HeartbeatView {
  readonly lastAt: string;
  readonly status: string | null;
  readonly activeTasks: number | null;
  readonly errorRate: number | null;
  readonly version: string | null;
}

export interface ErrorView {
  readonly code: string;
  readonly message: string;
  readonly at: string;
  /** Null for exits, and for faults of the target. */
  readonly operation: string | null;
  readonly attempt: number | null;
}

export interface HoldView {
  readonly reason: HoldReason;
  readonly text: string;
  readonly until: string | null;
}

export interface PluginView {
  readonly source: string;
  readonly ref: string | null;
  readonly sha: string | null;
  /** Of what is installed: what `integrity` would have to say. */
  readonly treeDigest: string | null;
  readonly state: 'installed' | 'missing' | 'outdated' | 'undeclared' | 'working' | 'failed';
  readonly error: string | null;
}

/** With the target's own keys (`pid`, `containerId`, `stackName`, `instanceId`, …) beside the fixed ones. */
export interface ResourceView {
  readonly ref: string | null;
  readonly state: ResourceState;
  readonly since: string;
  readonly [attribute: string]: unknown;
}

export interface InstanceView {
  readonly fleet: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly target: string;
  readonly targetType: string;
  readonly lifecycle: Lifecycle;
  readonly labels: { readonly [key: string]: string };
  readonly desired: Desired;
  readonly phase: Phase;
  readonly since: string;
  readonly reason: { readonly rule: string; readonly text: string };
  readonly conditions: readonly ConditionView[];
  readonly resource: ResourceView | null;
  readonly endpoints: { readonly [port: string]: string };
  readonly operation: {
    readonly id: string;
    readonly kind: OperationKind;
    readonly attempt: number;
    readonly startedAt: string;
    readonly deadlineAt: string;
  } | null;
  readonly lastError: ErrorView | null;
  readonly hold: HoldView | null;
  readonly nextLookAt: string | null;
  readonly hashes: {
    readonly infra: { readonly declared: string; readonly applied: string | null };
    readonly config: {
      readonly declared: string | null;
      readonly applied: string | null;
      readonly observed: string | null;
      readonly persisted: string | null;
    };
  };
  readonly heartbeat: HeartbeatView | null;
  readonly plugins: readonly PluginView[];
  readonly restarts: { readonly crashes: number; readonly planned: number };
  /** Left out of lists. */
  readonly spec?: Spec;
}

export interface InstanceExtras {
  readonly agenda?: Agenda;
  readonly heartbeat?: HeartbeatView | null;
  /** With the spec, as for a single instance. */
  readonly spec?: boolean;
}

export function instanceView(
  state: FleetState,
  inst: Instance,
  now: number,
  extras: InstanceExtras = {},
): InstanceView {
  const c = new Case(state, inst, now);
  const rule = judge(c, new Slots(state)).row.id;
  const { spec, operation } = inst;
  return {
    fleet: state.fleet,
    name: inst.name,
    uid: inst.uid,
    generation: inst.generation,
    target: spec.target,
    targetType: spec.targetType,
    lifecycle: spec.lifecycle,
    labels: spec.labels,
    desired: inst.desired,
    phase: inst.phase,
    since: iso(inst.phaseSince),
    reason: { rule, text: reasonText(rule) },
    conditions: conditionsOf(c).map((one) => ({ ...one, since: isoOrNull(one.since) })),
    resource: resourceView(inst),
    endpoints: endpointsOf(inst),
    operation: operation && {
      id: operation.id,
      kind: operation.kind,
      attempt: operation.attempt,
      startedAt: iso(operation.startedAt),
      deadlineAt: iso(operation.deadlineAt),
    },
    lastError: errorView(lastErrorOf(state, inst)),
    hold: holdView(inst.hold),
    nextLookAt: isoOrNull(extras.agenda?.alarm(inst.uid) ?? null),
    hashes: {
      infra: { declared: inst.hashes.infra, applied: c.resource?.infra ?? null },
      config: {
        declared: inst.hashes.config,
        applied: sure(inst.config?.applied),
        observed: sure(inst.config?.observed),
        persisted: sure(inst.config?.persisted),
      },
    },
    heartbeat: extras.heartbeat ?? null,
    plugins: judgedPlugins(c),
    restarts: inst.restarts,
    ...(extras.spec === true && { spec }),
  };
}

/** What is in doubt is not known. */
const sure = (hash: string | null | undefined): string | null => (hash == null || hash === UNSURE ? null : hash);

const isoOrNull = (at: number | null): string | null => (at === null ? null : iso(at));

export const holdView = (hold: Hold | null): HoldView | null =>
  hold && { reason: hold.reason, text: holdText(hold), until: isoOrNull(hold.until) };

export const errorView = (error: LastError | null): ErrorView | null =>
  error && {
    code: error.code,
    message: error.message,
    at: iso(error.at),
    operation: error.operation,
    attempt: error.attempt,
  };

/** The newest unresolved error among its concerns and the faults of its target; in any phase (DESIGN §2). */
export function lastErrorOf(state: FleetState, inst: Instance): LastError | null {
  let newest: LastError | null = null;
  const consider = (error: LastError | null): void => {
    if (error !== null && (newest === null || error.seq > newest.seq)) newest = error;
  };
  for (const name of Object.keys(inst.concerns)) consider(inst.concerns[name]?.error ?? null);
  const target = inst.spec.targetType === 'external' ? undefined : state.targets.get(inst.spec.target);
  if (target?.breaker != null) {
    const { message, openedAt, seq } = target.breaker;
    consider({ code: 'target-breaker', message, at: openedAt, seq, operation: null, attempt: null });
  }
  if (target?.refused != null) {
    const { message, since, seq } = target.refused;
    consider({ code: 'target-refused', message, at: since, seq, operation: null, attempt: null });
  }
  return newest;
}

function resourceView(inst: Instance): ResourceView | null {
  if (inst.resource === null) return null;
  const { ref, state, since, attrs } = inst.resource;
  const { endpoints: _shownBeside, ...own } = attrs;
  return { ...own, ref, state, since: iso(since) };
}

/** What the target says clients can connect to; whatever else it put there is not shown. */
function endpointsOf(inst: Instance): { readonly [port: string]: string } {
  const said = inst.resource?.attrs.endpoints;
  if (typeof said !== 'object' || said === null || inst.resource?.state !== 'running') return {};
  return Object.fromEntries(
    Object.entries(said).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

/** Those that cannot be judged are named by their condition, and keep no other instance out of a list (L46). */
function judgedPlugins(c: Case): readonly PluginView[] {
  try {
    return pluginViews(c);
  } catch {
    return [];
  }
}

function pluginViews(c: Case): readonly PluginView[] {
  const { inst } = c;
  const { install, uninstall } = c.pluginChanges();
  const stateOf = (source: string, installed: boolean): Pick<PluginView, 'state' | 'error'> => {
    const error = inst.concerns[`plugin:${source}`]?.error?.message ?? null;
    if (inst.operation?.subject === source) return { state: 'working', error };
    if (!install.includes(source) && !uninstall.includes(source)) return { state: 'installed', error };
    if (error !== null) return { state: 'failed', error };
    return { state: uninstall.includes(source) ? 'undeclared' : installed ? 'outdated' : 'missing', error };
  };
  const found = inst.plugins ?? [];
  const declared = inst.spec.plugins.map((plugin): PluginView => {
    const there = found.find((one) => one.source === plugin.source);
    return {
      source: plugin.source,
      ref: plugin.ref,
      sha: there?.sha || null,
      treeDigest: there?.treeDigest || null,
      ...stateOf(plugin.source, there !== undefined),
    };
  });
  const leftOver = found
    .filter((one) => uninstall.includes(one.source))
    .map(({ source, ref, sha, treeDigest }): PluginView => ({
      source,
      ref: sure(ref),
      sha: sha || null,
      treeDigest: treeDigest || null,
      ...stateOf(source, true),
    }));
  return [...declared, ...leftOver];
}
