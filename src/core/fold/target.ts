/**
 * Folds what is known of targets: whether they can be seen, who they are, their breaker, and how much was lost at once.
 */
import type { EventData, StoredEvent } from '../events.ts';
import {
  BLAST_FLOOR,
  BLAST_SHARE,
  BLAST_WINDOW_MS,
  BREAKER_BASE_MS,
  BREAKER_CAP_MS,
  DEFAULT_GRACE_MS,
  MESSAGE_CHARS,
} from '../limits.ts';
import type { FleetState, Instance, TargetState } from '../model.ts';

export function targetOf(state: FleetState, name: string): TargetState {
  let target = state.targets.get(name);
  if (target === undefined) {
    target = {
      name,
      identity: null,
      synced: false,
      stale: null,
      refused: null,
      abilities: [],
      deadlinesMs: {},
      graceMs: DEFAULT_GRACE_MS,
      maxInFlight: 8,
      breaker: null,
      breakerRepeats: 0,
      losses: new Map(),
      oldestLossAt: 0,
      blast: null,
      existing: 0,
      inFlight: { run: 0, stop: 0 },
    };
    state.targets.set(name, target);
  }
  return target;
}

function dirtyTarget(state: FleetState, name: string): void {
  for (const inst of state.instances.values()) if (inst.spec.target === name) state.dirty.add(inst.uid);
}

export function targetSynced(state: FleetState, data: EventData['target.synced'], event: StoredEvent): void {
  const target = targetOf(state, data.target);
  target.abilities = data.abilities;
  target.deadlinesMs = data.deadlinesMs;
  target.graceMs = data.graceMs;
  target.maxInFlight = data.maxInFlight;
  if (target.identity !== null && target.identity !== data.identity) {
    // The name answers, but it is another world: believing its listing would re-create everything (L72).
    target.refused = {
      since: event.at,
      seq: event.seq,
      identity: data.identity,
      message: `target "${data.target}" now answers as ${data.identity}; this fleet knows it as ${target.identity}`,
    };
    target.synced = false;
  } else {
    target.identity = data.identity;
    target.synced = true;
    target.refused = null;
  }
  target.stale = null;
  // Syncing is a complete listing: it clears the breaker as any other (a new owner may hear of no other).
  clearBreaker(target, event);
  dirtyTarget(state, data.target);
}

export function targetStale(state: FleetState, data: EventData['target.stale'], event: StoredEvent): void {
  targetOf(state, data.target).stale = {
    since: event.at,
    seq: event.seq,
    message: data.message.slice(0, MESSAGE_CHARS),
  };
  dirtyTarget(state, data.target);
}

export function targetRefused(state: FleetState, data: EventData['target.refused'], event: StoredEvent): void {
  const target = targetOf(state, data.target);
  target.refused = {
    since: event.at,
    seq: event.seq,
    message: data.message.slice(0, MESSAGE_CHARS),
    identity: data.identity,
  };
  target.synced = false;
  dirtyTarget(state, data.target);
}

/** A complete listing succeeded again: the breaker closes once its wait is over (the gate asks the clock). */
export function targetCleared(state: FleetState, data: EventData['target.cleared'], event: StoredEvent): void {
  clearBreaker(targetOf(state, data.target), event);
  dirtyTarget(state, data.target);
}

function clearBreaker(target: TargetState, event: StoredEvent): void {
  const { breaker } = target;
  if (breaker !== null) target.breaker = event.at >= breaker.notBefore ? null : { ...breaker, cleared: true };
}

const isOpen = ({ breaker }: TargetState, at: number): boolean =>
  breaker !== null && !(breaker.cleared && at >= breaker.notBefore);

/** An operation failed for a reason that is the target's own. */
export function openBreaker(state: FleetState, name: string, message: string, event: StoredEvent): void {
  const target = targetOf(state, name);
  if (isOpen(target, event.at)) return;
  const wait = Math.min(BREAKER_CAP_MS, BREAKER_BASE_MS * 2 ** Math.min(target.breakerRepeats, 20));
  target.breakerRepeats += 1;
  target.breaker = {
    openedAt: event.at,
    seq: event.seq,
    repeats: target.breakerRepeats,
    notBefore: event.at + wait,
    message: message.slice(0, MESSAGE_CHARS),
    cleared: false,
  };
  dirtyTarget(state, name);
}

// ── blast radius ────────────────────────────────────────────────────────────────────────────────────────────────────

const blastThreshold = (existing: number): number => Math.max(BLAST_FLOOR, BLAST_SHARE * existing);

/** Something was lost unasked. More of it within the window than the threshold: healing waits for a second look. */
export function recordLoss(
  state: FleetState,
  inst: Instance,
  kind: 'stopped' | 'missing' | 'silent',
  event: StoredEvent,
): void {
  const target = targetOf(state, inst.spec.target);
  if (target.blast === null) dropOldLosses(target, event.at - BLAST_WINDOW_MS);
  if (target.losses.size === 0) target.oldestLossAt = event.at;
  target.losses.set(inst.uid, { kind, at: event.at, seq: event.seq });
  if (target.blast === null && exceedsBlast(target, inst.uid)) {
    target.blast = { at: event.at, seq: event.seq };
    dirtyTarget(state, target.name);
  }
}

/** Looks through them only if there is an old one to find: a thousand losses at once would else look at each other. */
function dropOldLosses(target: TargetState, since: number): void {
  if (target.oldestLossAt >= since) return;
  let oldest = Number.POSITIVE_INFINITY;
  for (const [uid, loss] of target.losses) {
    if (loss.at < since) target.losses.delete(uid);
    else oldest = Math.min(oldest, loss.at);
  }
  target.oldestLossAt = Number.isFinite(oldest) ? oldest : since;
}

/** The share is of what existed before it was lost; the newest one is still counted in `existing`. */
function exceedsBlast({ losses, existing }: TargetState, newest: string): boolean {
  if (losses.size <= blastThreshold(existing)) return false;
  let gone = 0;
  for (const [uid, { kind }] of losses) if (kind === 'missing' && uid !== newest) gone += 1;
  return losses.size > blastThreshold(existing + gone);
}

/** It runs again, was heard, or is wanted no more. Once few enough are left, all but the missing are healed. */
export function recordRecovery(state: FleetState, inst: Instance): void {
  const target = state.targets.get(inst.spec.target);
  if (target === undefined || !target.losses.delete(inst.uid) || target.blast === null) return;
  if (target.losses.size > blastThreshold(target.existing)) return;
  for (const [uid, loss] of target.losses) {
    // That much was gone at once: only an operator can say that it is true (L51, L72).
    if (loss.kind === 'missing') continue;
    target.losses.delete(uid);
    state.dirty.add(uid);
  }
  if (target.losses.size === 0) liftBlast(state, target);
}

/** A second complete look confirms what was seen stopped; what is missing or silent it cannot confirm. */
export function sweepCompleted(state: FleetState, data: EventData['sweep.completed']): void {
  const target = state.targets.get(data.target);
  if (target === undefined || target.blast === null || data.began < target.blast.seq) return;
  for (const [uid, loss] of target.losses) {
    if (loss.kind !== 'stopped' || loss.seq > data.began) continue;
    target.losses.delete(uid);
    state.dirty.add(uid);
  }
  if (target.losses.size === 0) liftBlast(state, target);
}

function liftBlast(state: FleetState, target: TargetState): void {
  if (target.blast !== null) dirtyTarget(state, target.name);
  target.blast = null;
  target.losses.clear();
}

export function targetOverridden(state: FleetState, name: string, identity: string | null): void {
  const target = targetOf(state, name);
  if (identity !== null) {
    target.identity = identity;
    target.refused = null;
    target.synced = false;
  }
  liftBlast(state, target);
  dirtyTarget(state, name);
}
