/**
 * Turns what a target answers into facts, and only what changed: a steady fleet writes nothing.
 *
 *  1. An error or a partial answer says nothing about any resource (L02).
 *  2. Absence needs proof: two complete listings, the second begun after the first ended, with no operation of the instance
 *     between (L51, L77).
 *  3. The answer of another identity says nothing about what we know (L72).
 *  4. What carries our label and no living uid is only remembered as an orphan; another fleet's is none of ours.
 */
import type { NewEvent } from '../core/events.ts';
import { isStaleLook } from '../core/fold/resource.ts';
import type { FleetState, Instance, Look } from '../core/model.ts';
import type { ListedResource, Listing, TargetTraits } from '../ports/target.ts';

/** A complete listing and when it was taken, in the fleet's own log and time. */
export interface Sweep {
  readonly target: string;
  readonly traits: TargetTraits;
  readonly listing: Listing;
  /** Head of the log when the listing began. */
  readonly began: number;
  /** Fleet time when it ended. */
  readonly endedAt: number;
}

export interface SweepFacts {
  readonly facts: readonly NewEvent[];
  /** Something was seen that an operation in between made uncertain: look again at once. */
  readonly lookAgain: boolean;
  /** Something was lacking for the first time: the second look of the proof may begin at once. */
  readonly halfProved: boolean;
  readonly orphans: readonly ListedResource[];
  /** How many of this fleet's were seen whom somebody declares. */
  readonly recognised: number;
}

/** What one fleet remembers between two sweeps of one target. Lost at a restart; then absence is proved anew. */
export interface AbsenceMemory {
  /** uid → `operationSeq` at the first complete listing that lacked it. */
  readonly absent: Map<string, number>;
}

export function sweepFacts(state: FleetState, memory: AbsenceMemory, sweep: Sweep): SweepFacts {
  const target = state.targets.get(sweep.target);
  const identity = sweep.listing.identity;
  if (target === undefined) return NOTHING_SEEN;
  if (target.identity !== null && target.identity !== identity) {
    memory.absent.clear();
    const known = target.refused?.identity === identity;
    return { ...NOTHING_SEEN, facts: known ? [] : [refusal(sweep, target.identity)] };
  }
  const facts: NewEvent[] = [];
  if (!target.synced || target.stale !== null || target.refused !== null) facts.push(synced(sweep));
  if (target.breaker !== null && sweep.endedAt >= target.breaker.notBefore && sweep.began >= target.breaker.seq) {
    facts.push({ type: 'target.cleared', data: { target: sweep.target } });
  }
  const items = new Map(
    sweep.listing.items.filter((item) => item.fleet === state.fleet).map((item) => [item.uid, item]),
  );
  const ours = items.size;
  let lookAgain = false;
  let halfProved = false;
  for (const inst of instancesOn(state, sweep.target)) {
    const item = items.get(inst.uid);
    items.delete(inst.uid);
    const fact = item === undefined ? absence(inst, memory, sweep) : presence(inst, memory, item.look, sweep.began);
    if (fact === 'half-proved') halfProved = lookAgain = true;
    else if (fact === 'look-again') lookAgain = true;
    else if (fact !== null) facts.push(fact);
  }
  // Only while a hold waits for it: what is missing or silent, a sweep does not lift (L49).
  const awaited = target.blast !== null && [...target.losses.values()].some((loss) => loss.kind === 'stopped');
  if (awaited && sweep.began >= (target.blast?.seq ?? 0)) {
    facts.push({ type: 'sweep.completed', data: { target: sweep.target, began: sweep.began } });
  }
  // A living uid of another target is no orphan here: two names may lead to one authority.
  const orphans = [...items.values()].filter((item) => !state.instances.has(item.uid));
  return { facts, lookAgain, halfProved, orphans, recognised: ours - orphans.length };
}

const NOTHING_SEEN: SweepFacts = { facts: [], lookAgain: false, halfProved: false, orphans: [], recognised: 0 };

function instancesOn(state: FleetState, target: string): Instance[] {
  const found: Instance[] = [];
  for (const inst of state.instances.values())
    if (inst.spec.target === target && inst.spec.targetType !== 'external') found.push(inst);
  return found;
}

function synced(sweep: Sweep): NewEvent {
  const { traits } = sweep;
  const deadlinesMs: { [kind: string]: number } = {};
  for (const [kind, ms] of Object.entries(traits.deadlinesMs)) if (ms !== undefined) deadlinesMs[kind] = ms;
  return {
    type: 'target.synced',
    data: {
      target: sweep.target,
      identity: sweep.listing.identity,
      abilities: traits.abilities,
      deadlinesMs,
      graceMs: traits.graceMs,
      maxInFlight: traits.maxInFlight,
    },
  };
}

function refusal(sweep: Sweep, known: string): NewEvent {
  const identity = sweep.listing.identity;
  const message = `target "${sweep.target}" now answers as ${identity}; this fleet knows it as ${known}. If that is intended: override --target ${sweep.target} --identity ${identity}`;
  return { type: 'target.refused', data: { target: sweep.target, message, identity } };
}

function presence(inst: Instance, memory: AbsenceMemory, look: Look, began: number): NewEvent | 'look-again' | null {
  memory.absent.delete(inst.uid);
  if (sameLook(inst.resource, look)) return null;
  if (isStaleLook(inst, began)) return 'look-again';
  return { type: 'resource.observed', instance: inst.name, uid: inst.uid, data: { ...look, began } };
}

function absence(inst: Instance, memory: AbsenceMemory, sweep: Sweep): NewEvent | 'look-again' | 'half-proved' | null {
  if (inst.resource === null || inst.resource.state === 'missing') {
    memory.absent.delete(inst.uid);
    return null;
  }
  if (isStaleLook(inst, sweep.began)) {
    memory.absent.delete(inst.uid);
    return 'look-again';
  }
  const first = memory.absent.get(inst.uid);
  if (first !== inst.operationSeq) {
    memory.absent.set(inst.uid, inst.operationSeq);
    return 'half-proved';
  }
  memory.absent.delete(inst.uid);
  const { ref } = inst.resource;
  const data = {
    state: 'missing',
    ref,
    incarnation: null,
    infra: null,
    exit: null,
    restarts: 0,
    attrs: {},
    began: sweep.began,
  } as const;
  return { type: 'resource.observed', instance: inst.name, uid: inst.uid, data };
}

/** Nothing that anybody decides on, or is shown, differs. */
function sameLook(known: Look | null, seen: Look): boolean {
  return (
    known !== null &&
    known.state === seen.state &&
    known.incarnation === seen.incarnation &&
    known.ref === seen.ref &&
    known.infra === seen.infra &&
    known.restarts === seen.restarts &&
    (seen.exit === null || known.exit !== null) &&
    (known.attrs === seen.attrs || JSON.stringify(known.attrs) === JSON.stringify(seen.attrs))
  );
}
