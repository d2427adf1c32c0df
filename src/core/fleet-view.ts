/**
 * The fleet as clients are shown it (DESIGN's appendix): its phases, what holds it, its targets, its rollout.
 */
import { order, Slots } from './gates.ts';
import { PHASES, type FleetState, type Instance, type Phase, type TargetState } from './model.ts';
import { iso } from './time.ts';

export interface FleetView {
  readonly fleet: string;
  readonly revision: string | null;
  readonly head: number;
  /** Facts that are not folded yet. */
  readonly pending: number;
  readonly instances: number;
  /** Phases without instances are left out. */
  readonly phases: { readonly [P in Phase]?: number };
  /** Instances with an unresolved `lastError`, in any phase. */
  readonly errors: number;
  readonly holds: readonly OperatorHoldView[];
  readonly targets: readonly TargetView[];
  readonly rollout: RolloutView | null;
  readonly lastTickAt: string | null;
  readonly owner: { readonly id: string; readonly epoch: number } | null;
}

export interface OperatorHoldView {
  readonly id: string;
  readonly reason: string;
  readonly by: string | null;
  readonly at: string;
  readonly until: string | null;
  readonly target: string | null;
  readonly instances: readonly string[] | null;
}

export interface TargetView {
  readonly name: string;
  readonly identity: string | null;
  readonly state: 'seen' | 'unsynced' | 'stale' | 'refused';
  /** The target's own words, while it is stale or refused. */
  readonly message: string | null;
  readonly breaker: { readonly openedAt: string; readonly message: string } | null;
  readonly blastRadius: { readonly at: string; readonly lost: number } | null;
  readonly existing: number;
  readonly inFlight: { readonly run: number; readonly stop: number };
  readonly maxInFlight: number;
}

export interface RolloutView {
  readonly revision: string;
  readonly at: string;
  readonly state: 'under-way' | 'failed' | 'done';
  readonly proved: number;
  readonly failures: number;
  readonly active: number;
}

/** What only the runtime knows. */
export interface FleetExtras {
  readonly pending: number;
  readonly lastTickAt: number | null;
  readonly owner: { readonly id: string; readonly epoch: number } | null;
}

export function fleetView(state: FleetState, now: number, extras: FleetExtras): FleetView {
  return {
    fleet: state.fleet,
    revision: state.revision,
    head: state.seq,
    pending: extras.pending,
    instances: state.instances.size,
    phases: phaseCounts(state),
    errors: errorCount(state),
    holds: state.holds
      .filter((hold) => hold.until === null || hold.until > now)
      .map((hold) => ({ ...hold, at: iso(hold.at), until: hold.until === null ? null : iso(hold.until) })),
    targets: [...state.targets.values()]
      .sort((a, b) => order(a.name, b.name))
      .map((target) => targetView(state, target)),
    rollout: rolloutView(state),
    lastTickAt: extras.lastTickAt === null ? null : iso(extras.lastTickAt),
    owner: extras.owner,
  };
}

/** How many instances are in each phase, in the order of PHASES; phases without any are left out. */
export function phaseCounts(state: FleetState): { readonly [P in Phase]?: number } {
  const counts = new Map<Phase, number>();
  for (const inst of state.instances.values()) counts.set(inst.phase, (counts.get(inst.phase) ?? 0) + 1);
  return Object.fromEntries(PHASES.flatMap((phase) => (counts.has(phase) ? [[phase, counts.get(phase)]] : [])));
}

/** How many have a `lastError`: as `lastErrorOf` finds it, without making it. */
export function errorCount(state: FleetState): number {
  const faulty = new Set<string>();
  for (const { name, breaker, refused } of state.targets.values())
    if (breaker !== null || refused !== null) faulty.add(name);
  let errors = 0;
  for (const inst of state.instances.values()) if (hasError(inst, faulty)) errors += 1;
  return errors;
}

function hasError({ concerns, spec }: Instance, faulty: ReadonlySet<string>): boolean {
  for (const name in concerns) if (concerns[name]?.error != null) return true;
  return faulty.size > 0 && spec.targetType !== 'external' && faulty.has(spec.target);
}

function targetView(state: FleetState, target: TargetState): TargetView {
  const { name, identity, breaker, blast, existing, inFlight } = target;
  const trouble = target.refused ?? target.stale;
  return {
    name,
    identity,
    state: target.refused !== null ? 'refused' : target.stale !== null ? 'stale' : target.synced ? 'seen' : 'unsynced',
    message: trouble?.message ?? null,
    breaker: breaker && { openedAt: iso(breaker.openedAt), message: breaker.message },
    blastRadius: blast && { at: iso(blast.at), lost: target.losses.size },
    existing,
    inFlight: { ...inFlight },
    maxInFlight: Slots.capacity(state, name),
  };
}

function rolloutView({ rollout, policy, instances }: FleetState): RolloutView | null {
  if (rollout === null) return null;
  const { revision, at, proved, failures, active } = rollout;
  const failed = failures >= policy.rollout.maxFailures;
  const underWay = active.size > 0 || [...instances.values()].some(({ hold }) => hold?.reason === 'rollout');
  return {
    revision,
    at: iso(at),
    state: failed ? 'failed' : underWay ? 'under-way' : 'done',
    proved,
    failures,
    active: active.size,
  };
}
