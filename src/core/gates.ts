/**
 * The gates between a row and its action, in their order. The first that refuses is the hold, and says what lifts it.
 *
 * target seen · quarantine, shared resource, predecessor · operator hold · breaker · blast radius · backoff · busy · rollout · budget.
 */
import type { Case } from './case.ts';
import { budgetOf } from './fold/operation.ts';
import type { FleetState, Hold, HoldReason, Instance } from './model.ts';
import type { Priority, Proposal } from './table.ts';

/** Something that there is only so much of: operations of a kind on a target, or instances down for the rollout. */
export type Room = string;
export const ROLLOUT_ROOM: Room = 'rollout';
export const budgetRoom = (target: string, budget: 'run' | 'stop'): Room => `${budget}\0${target}`;

/** Whose turn it is when room is given out: by priority, then who waits longest, then by name. */
export interface Turn {
  readonly inst: Instance;
  readonly priority: Priority;
  /** `phaseSeq` when it asked. */
  readonly since: number;
}

export const byTurn = (a: Turn, b: Turn): number =>
  a.priority - b.priority || a.since - b.since || byName(a.inst, b.inst);

/** By name, then uid, by code unit. */
export const byName = (a: Instance, b: Instance): number => order(a.name, b.name) || order(a.uid, b.uid);

export const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Room that one tick gives away: what is free at its start, less what it has handed out. */
export class Slots {
  private readonly state: FleetState;
  /** null until something is taken: most decisions give nothing away. */
  private taken: Map<Room, number> | null = null;
  /** Who took the last of it: nobody after that turn finds any. */
  private lastTurn: Map<Room, Turn> | null = null;

  constructor(state: FleetState) {
    this.state = state;
  }

  static capacity(state: FleetState, target: string): number {
    return state.policy.maxInFlight ?? state.targets.get(target)?.maxInFlight ?? 1;
  }

  free(room: Room): number {
    return this.freeAtStart(room) - (this.taken?.get(room) ?? 0);
  }

  private freeAtStart(room: Room): number {
    if (room === ROLLOUT_ROOM) return this.rolloutFree();
    const at = room.indexOf('\0');
    const target = room.slice(at + 1);
    const budget = room.slice(0, at) === 'stop' ? 'stop' : 'run';
    return Slots.capacity(this.state, target) - (this.state.targets.get(target)?.inFlight[budget] ?? 0);
  }

  private rolloutFree(): number {
    const rollout = this.state.rollout;
    if (rollout === null) return Number.POSITIVE_INFINITY;
    const { maxUnavailable } = this.state.policy.rollout;
    const share = Math.max(1, Math.floor(maxUnavailable * this.state.instances.size));
    // The first one goes alone: what breaks it breaks nothing else (L79).
    return (rollout.proved === 0 ? 1 : share) - rollout.active.size;
  }

  take(rooms: readonly Room[], turn: Turn): void {
    this.taken ??= new Map();
    for (const room of rooms) {
      this.taken.set(room, (this.taken.get(room) ?? 0) + 1);
      if (this.free(room) <= 0) (this.lastTurn ??= new Map()).set(room, turn);
    }
  }

  /** Was there any of this left when it would have been that one's turn? */
  hadRoom(rooms: readonly Room[], turn: Turn): boolean {
    return rooms.every((room) => {
      if (this.freeAtStart(room) <= 0) return false;
      const last = this.lastTurn?.get(room);
      return last === undefined || byTurn(turn, last) < 0;
    });
  }
}

/** The room that a proposal needs all of. */
export function roomsOf(c: Case, p: Proposal): readonly Room[] {
  if (p.type === 'forget') return [];
  const budget = budgetRoom(c.target.name, budgetOf(p));
  return byRollout(c, p) ? [budget, ROLLOUT_ROOM] : [budget];
}

/** Does it run well enough to be disturbed? What is down already is not taken down by a rollout (L74, L89). */
const isUp = (c: Case): boolean => c.running && c.liveness() !== 'silent' && !c.gaveUp('run');

/** Would this proposal count against the rollout? Sleepers do: the recorded update is their proof. */
export const byRollout = (c: Case, proposal: Proposal): boolean =>
  (proposal.disrupts ?? false) &&
  c.state.rollout !== null &&
  !c.state.rollout.active.has(c.inst.uid) &&
  (isUp(c) || c.asleep);

/** The first gate that refuses, or null if all are open. Without `slots`, rollout and budget count as open. */
export function gate(c: Case, proposal: Proposal, slots: Slots | null): Hold | null {
  if (proposal.type === 'forget') return operatorHold(c, proposal);
  return (
    unseen(c, proposal) ??
    entangled(c, proposal) ??
    operatorHold(c, proposal) ??
    breaker(c, proposal) ??
    blastRadius(c, proposal) ??
    backoff(c, proposal) ??
    busy(c, proposal) ??
    rollout(c, proposal, slots) ??
    budget(c, proposal, slots)
  );
}

const hold = (
  reason: HoldReason,
  proposal: Proposal,
  until: number | null = null,
  detail: string | null = null,
): Hold => ({
  reason,
  rule: proposal.rule,
  until,
  detail,
});

function unseen(c: Case, p: Proposal): Hold | null {
  if (c.external) return null;
  if (c.target.stale !== null) return hold('target-stale', p, null, c.target.name);
  if (c.target.refused !== null) return hold('target-refused', p, null, c.target.name);
  return c.target.synced ? null : hold('unsynced', p, null, c.target.name);
}

function entangled(c: Case, p: Proposal): Hold | null {
  if (c.inst.quarantinedSeq !== null) return hold('quarantined', p, null, `event ${c.inst.quarantinedSeq}`);
  if (c.sharesResource()) return hold('conflict', p, null, c.inst.resource?.ref ?? null);
  return p.type === 'provision' && c.hasPredecessor() ? hold('predecessor', p) : null;
}

function operatorHold(c: Case, p: Proposal): Hold | null {
  if (p.named === true) return null;
  for (const held of c.state.holds) {
    if (held.target !== null && held.target !== c.target.name) continue;
    if (held.instances !== null && !held.instances.includes(c.inst.name)) continue;
    if (held.until !== null && c.past(held.until)) continue;
    return hold('operator-hold', p, held.until, held.reason);
  }
  return null;
}

function breaker(c: Case, p: Proposal): Hold | null {
  const open = c.target.breaker;
  if (open === null) return null;
  // A complete listing lifts it, but not before its wait: a target that lists well and works badly is left alone longer each time.
  if (!open.cleared) return hold('breaker', p, null, open.message);
  return c.past(open.notBefore) ? null : hold('breaker', p, open.notBefore, open.message);
}

function blastRadius(c: Case, p: Proposal): Hold | null {
  if (p.heals !== true || c.target.blast === null) return null;
  const loss = c.target.losses.get(c.inst.uid);
  if (loss !== undefined) return hold('blast-radius', p, null, loss.kind);
  // A complaint is no loss of its own, but what took so many others is the likelier cause of it (L88).
  return p.rule === 'agent-degraded' ? hold('blast-radius', p, null, 'degraded') : null;
}

function backoff(c: Case, p: Proposal): Hold | null {
  const concern = c.concern(p.concern);
  if (c.gaveUp(p.concern))
    return hold('gave-up', p, (concern.gaveUpAt ?? 0) + c.state.policy.retryErrorEveryMs, p.concern);
  return c.past(concern.notBefore) ? null : hold('backoff', p, concern.notBefore, p.concern);
}

/** A sleep waits for the end of work, however long; a rollout waits for it only so long. */
function busy(c: Case, p: Proposal): Hold | null {
  if (p.waitsForIdle !== true || !c.busy()) return null;
  if (p.type === 'sleep') return hold('busy', p);
  const until = (c.state.rollout?.at ?? c.inst.specAt) + c.state.policy.rollout.waitIdleMs;
  return c.past(until) ? null : hold('busy', p, until);
}

function rollout(c: Case, p: Proposal, slots: Slots | null): Hold | null {
  if (!byRollout(c, p)) return rolloutHalted(c, p);
  const halted = rolloutHalted(c, p);
  if (halted !== null) return halted;
  return slots !== null && slots.free(ROLLOUT_ROOM) <= 0 ? hold('rollout', p) : null;
}

/** A failed rollout goes no further; what is down already may still be repaired. */
function rolloutHalted(c: Case, p: Proposal): Hold | null {
  const running = c.state.rollout;
  if (p.disrupts !== true || running === null || running.failures < c.state.policy.rollout.maxFailures) return null;
  return isUp(c) || c.asleep ? hold('rollout-failed', p, null, running.revision) : null;
}

function budget(c: Case, p: Proposal, slots: Slots | null): Hold | null {
  if (slots === null || p.type === 'forget' || slots.free(budgetRoom(c.target.name, budgetOf(p))) > 0) return null;
  return hold('budget', p, null, c.target.name);
}
