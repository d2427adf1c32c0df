/**
 * `decide(state, now, uids)`: what is to be done now. Pure; the state is only read.
 *
 * Each instance goes down the table (`core/table`): the first matching row is its phase, the first whose gates are open acts.
 * Room that must be shared (budgets, rollout) is given out afterwards, in order of priority, so that the order in which
 * instances became dirty decides nothing. Deciding only what is dirty or due equals deciding everything: whatever asks the
 * time is woken for it (`Case.past`), whoever lacks room waits in line (`Agenda`).
 */
import { Case } from './case.ts';
import type { DecidedAction, DecidedHold, DecidedTransition } from './events.ts';
import { faultOf } from './fault.ts';
import { byName, byRollout, byTurn, gate, order, roomsOf, Slots, type Room, type Turn } from './gates.ts';
import { FORGIVE_AFTER_MS } from './limits.ts';
import { startGraceMs } from './liveness.ts';
import type {
  ConcernName,
  Fault,
  FleetState,
  Flap,
  Hold,
  HoldReason,
  Instance,
  Operation,
  OperationKind,
  Phase,
} from './model.ts';
import { isToBeHealed } from './plugin-row.ts';
import { PENDING_WHILE_HELD, rowById, TABLE, type Priority, type Proposal, type Row, type RowId } from './table.ts';

/** What one look at one instance found besides actions: when to look again, and which line it waits in. */
export interface NextLook {
  readonly uid: string;
  /** Infinity: only a fact can change anything. */
  readonly wakeAt: number;
  readonly waitsFor: Waiting | null;
}

/** It would act if there were room: any of these, each of which it needs all of. */
export interface Waiting {
  readonly lines: readonly (readonly Room[])[];
  readonly priority: Priority;
}

export interface Decision {
  readonly now: number;
  readonly actions: readonly DecidedAction[];
  readonly transitions: readonly DecidedTransition[];
  readonly holds: readonly DecidedHold[];
  readonly flaps: readonly { readonly inst: Instance; readonly flap: Flap }[];
  readonly looks: readonly NextLook[];
  /** What was given out, and to whose turn. */
  readonly slots: Slots;
  /** Instances about which nothing could be decided: a fault of ours, each held by itself. Not part of the log. */
  readonly faults: readonly Fault[];
}

export function decide(state: FleetState, now: number, uids: Iterable<string>): Decision {
  const slots = new Slots(state);
  const out: Draft = { now, actions: [], transitions: [], holds: [], flaps: [], looks: [], slots, faults: [] };
  const claims: Claim[] = [];
  for (const uid of uids) {
    const inst = state.instances.get(uid);
    if (inst === undefined) continue;
    const c = new Case(state, inst, now);
    const verdict = judge(c, null);
    if (verdict.proposal === null) settle(out, c, verdict);
    else claims.push({ inst, priority: verdict.proposal.priority, since: inst.phaseSeq, c, verdict });
  }
  if (claims.length > 1) claims.sort(byTurn);
  for (const claim of claims) {
    // Room is the last gate: where there is some, looking again would find the same.
    if (take(slots, claim.c, claim.verdict, claim)) {
      settle(out, claim.c, claim.verdict);
      continue;
    }
    const c = new Case(state, claim.inst, now);
    const verdict = judge(c, slots);
    take(slots, c, verdict, claim);
    settle(out, c, verdict);
  }
  return inOrder(out);
}

/** What an instance would do if there were room for all. */
interface Claim extends Turn {
  readonly c: Case;
  readonly verdict: Verdict;
}

/** Takes the room that it needs all of; false if there is not enough, or nothing to take it for. */
function take(slots: Slots, c: Case, { proposal }: Verdict, turn: Turn): boolean {
  if (proposal === null) return false;
  const rooms = roomsOf(c, proposal);
  for (const room of rooms) if (slots.free(room) <= 0) return false;
  slots.take(rooms, turn);
  return true;
}

const UNCLASSIFIED = TABLE[TABLE.length - 1] as Row;

// ── one instance ────────────────────────────────────────────────────────────────────────────────────────────────────

export interface Verdict {
  readonly row: Row;
  readonly phase: Phase;
  readonly hold: Hold | null;
  readonly proposal: Proposal | null;
  readonly waitsFor: Waiting | null;
  /** The table itself broke over it. */
  readonly fault?: Fault;
}

export const applies = (row: Row, c: Case): boolean => row.on === 'both' || (row.on === 'external') === c.external;
const MANAGED_ROWS = TABLE.filter((row) => row.on !== 'external');
const EXTERNAL_ROWS = TABLE.filter((row) => row.on !== 'managed');

/**
 * Goes down the table. With `slots` null, shared room counts as free. A rule that throws is a fault of ours, and holds
 * nobody but this one (L46): it is decided as a row of its own, so that it replays.
 */
export function judge(c: Case, slots: Slots | null): Verdict {
  try {
    return descend(c, slots);
  } catch (error) {
    return faulty(c, error);
  }
}

const faulty = (c: Case, error: unknown): Verdict => ({
  row: UNCLASSIFIED,
  phase: 'DEGRADED',
  hold: { reason: 'fault', rule: UNCLASSIFIED.id, until: null, detail: null },
  proposal: null,
  waitsFor: null,
  fault: faultOf(c.inst.uid, 'deciding about it', error),
});

function descend(c: Case, slots: Slots | null): Verdict {
  let shown: Row | null = null;
  let phase: Phase | null = null;
  let hold: Hold | null = null;
  let waitsFor: Waiting | null = null;
  const operating = c.inst.operation !== null;
  for (const row of c.external ? EXTERNAL_ROWS : MANAGED_ROWS) {
    if (!row.matches(c)) continue;
    phase ??= row.phase(c);
    if (shown === null && phase !== null) shown = row;
    if (operating) {
      // Row 1 has the action; the rows below it only lend the phase.
      if (phase !== null) break;
      continue;
    }
    const tried = tryRow(c, row, slots);
    if (tried.proposal !== null) {
      return {
        row: shown ?? row,
        phase: phaseOf(shown ?? row, phase, hold),
        hold,
        proposal: tried.proposal,
        waitsFor: null,
      };
    }
    if (row === shown) hold = tried.hold;
    waitsFor = inAll(waitsFor, tried.waitsFor);
    if (row.final) break;
  }
  const row = shown ?? UNCLASSIFIED;
  return { row, phase: phaseOf(row, phase, hold), hold, proposal: null, waitsFor };
}

/** What is held is not being done, whatever else is done meanwhile. */
const phaseOf = (row: Row, phase: Phase | null, hold: Hold | null): Phase =>
  hold !== null && PENDING_WHILE_HELD.has(row.id) ? 'PENDING' : (phase ?? 'DEGRADED');

interface Tried {
  readonly proposal: Proposal | null;
  readonly hold: Hold | null;
  readonly waitsFor: Waiting | null;
}

const NOTHING_TO_DO: Tried = { proposal: null, hold: null, waitsFor: null };

/** The first of the row's proposals whose gates are open; else the hold of its last, which is what the row is about. */
function tryRow(c: Case, row: Row, slots: Slots | null): Tried {
  const proposals = row.proposals(c);
  if (proposals.length === 0) return NOTHING_TO_DO;
  let hold: Hold | null = null;
  let waitsFor: Waiting | null = null;
  for (const proposal of proposals) {
    hold = gate(c, proposal, slots);
    if (hold === null) return { proposal, hold, waitsFor: null };
    if (WAITING.has(hold.reason))
      waitsFor = inAll(waitsFor, { lines: [roomsOf(c, proposal)], priority: proposal.priority });
  }
  return { proposal: null, hold, waitsFor };
}

/** Holds that room lifts. */
const WAITING: ReadonlySet<HoldReason> = new Set(['rollout', 'budget']);

/** It stands in every line that can help it, at the priority of what it would rather do. */
function inAll(first: Waiting | null, then: Waiting | null): Waiting | null {
  if (first === null || then === null) return first ?? then;
  return { lines: [...first.lines, ...then.lines], priority: first.priority };
}

// ── what comes of it ────────────────────────────────────────────────────────────────────────────────────────────────

interface Draft {
  now: number;
  actions: DecidedAction[];
  transitions: DecidedTransition[];
  holds: DecidedHold[];
  flaps: { inst: Instance; flap: Flap }[];
  looks: NextLook[];
  slots: Slots;
  faults: Fault[];
}

/** Writes down what this look changes. */
function settle(out: Draft, c: Case, found: Verdict): void {
  const { inst } = c;
  const { verdict, actions } = acts(c, found);
  if (verdict.fault !== undefined) out.faults.push(verdict.fault);
  for (const flap of inst.flaps) out.flaps.push({ inst, flap });
  if (verdict.phase !== inst.phase) {
    out.transitions.push({
      instance: inst.name,
      uid: inst.uid,
      from: inst.phase,
      to: verdict.phase,
      rule: verdict.row.id,
    });
  }
  if (!sameHold(verdict.hold, inst.hold)) out.holds.push({ instance: inst.name, uid: inst.uid, hold: verdict.hold });
  for (const action of actions) out.actions.push(action);
  out.looks.push({ uid: inst.uid, wakeAt: c.wakeAt, waitsFor: verdict.waitsFor });
}

/** What the verdict comes to. Should that break, it is a faulty one from the start: nothing of it is done by halves. */
function acts(c: Case, verdict: Verdict): { verdict: Verdict; actions: readonly DecidedAction[] } {
  if (verdict.fault !== undefined) return { verdict, actions: [] };
  try {
    const actions: DecidedAction[] = [];
    mark(actions, c, verdict);
    if (verdict.proposal !== null) actions.push(actionOf(c, verdict.proposal));
    return { verdict, actions };
  } catch (error) {
    return { verdict: faulty(c, error), actions: [] };
  }
}

function sameHold(a: Hold | null, b: Hold | null): boolean {
  if (a === null || b === null) return a === b;
  if (a.rule !== b.rule) return false;
  // Which room is short may change with every tick, for all in line at once; that it waits for room does not.
  if (a.reason !== b.reason) return WAITING.has(a.reason) && WAITING.has(b.reason);
  return a.until === b.until && a.detail === b.detail;
}

function actionOf(c: Case, p: Proposal): DecidedAction {
  const { inst } = c;
  const row = rowById(p.rule) ?? UNCLASSIFIED;
  if (p.type === 'forget')
    return { instance: inst.name, uid: inst.uid, type: p.type, rule: p.rule, facts: row.facts(c) };
  const deadlineAt = c.now + c.deadlineMs(p.type);
  const action: Writable<DecidedAction> = {
    instance: inst.name,
    uid: inst.uid,
    type: p.type,
    rule: p.rule,
    facts: row.facts(c),
    operation: `${inst.uid}#${inst.operations + 1}`,
    concern: p.concern,
    attempt: c.concern(p.concern).failures + 1,
    deadlineAt,
    graceMs: c.target.graceMs,
  };
  // What does not apply is not in the log; one by one, since spreads of "maybe nothing" cost more than the rest of a look.
  if (p.unstarted === true) action.unstarted = true;
  if (p.subject !== undefined) action.subject = p.subject;
  if (p.counted === true) action.counted = true;
  if (p.named === true) action.named = true;
  if (byRollout(c, p)) action.rolloutUntil = deadlineAt + startGraceMs(inst) + c.state.policy.rollout.healthyForMs;
  return action;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

// ── marks: what is done once it is written ──────────────────────────────────────────────────────────────────────────

function mark(out: DecidedAction[], c: Case, verdict: Verdict): void {
  const { inst } = c;
  const { operation } = inst;
  const stop = operation === null ? null : endOf(c, operation);
  if (operation !== null && stop !== null)
    out.push({ ...markOf(inst, stop.type, 'operating', operation.seq), operation: operation.id, reason: stop.reason });
  if (forgiven(c)) out.push({ ...markOf(inst, 'forgive', 'running', inst.resource?.seq ?? 0), concern: 'run' });
  for (const concern of moot(c, verdict))
    out.push({ ...markOf(inst, 'forgive', verdict.row.id, inst.specSeq), concern });
  const proof = rolloutProof(c, verdict);
  if (proof !== null) out.push(markOf(inst, proof, verdict.row.id, inst.specSeq));
}

const markOf = (inst: Instance, type: DecidedAction['type'], rule: RowId, fact: number): DecidedAction => ({
  instance: inst.name,
  uid: inst.uid,
  type,
  rule,
  facts: [fact],
});

/** Row 1: abort what is past its deadline or superseded; give up waiting for an abort that is not answered. */
function endOf(c: Case, operation: Operation): { type: 'abort' | 'abandon'; reason: string } | null {
  if (operation.abort !== null) {
    return c.past(operation.abort.at + operation.graceMs) ? { type: 'abandon', reason: operation.abort.reason } : null;
  }
  if (c.past(operation.deadlineAt)) return { type: 'abort', reason: 'deadline' };
  const superseded = supersededBy(c, operation);
  return superseded === null ? null : { type: 'abort', reason: superseded };
}

const MAKES_RUN: ReadonlySet<OperationKind> = new Set(['provision', 'start', 'restart', 'update']);

/** Delete beats all but destroy; stop beats whatever makes it run; to heal what died beats a plugin that went in while it ran. */
function supersededBy(c: Case, operation: Operation): string | null {
  const { inst } = c;
  if (inst.deletion !== null && inst.deletion.forget) return 'forget';
  if (inst.desired === 'deleted') return operation.kind === 'destroy' ? null : 'delete';
  if (inst.desired === 'stopped' && MAKES_RUN.has(operation.kind) && !operation.unstarted) return 'stop';
  if (operation.kind === 'install-plugin' && !operation.unstarted && isToBeHealed(c)) return 'heal';
  return null;
}

/** Ten minutes running and live, whatever config and plugins do: earlier failures of `run` count no more. */
function forgiven(c: Case): boolean {
  const concern = c.inst.concerns.run;
  if (concern === undefined || !c.running || c.inst.operation !== null) return false;
  const liveness = c.liveness();
  if (liveness !== 'live' && liveness !== 'undeclared') return false;
  const live = Math.max(
    c.inst.runningSince ?? c.now,
    c.inst.agent?.heardAt ?? 0,
    c.inst.agent?.healthAt ?? 0,
    concern.failedAt,
  );
  return c.past(live + FORGIVE_AFTER_MS);
}

/**
 * Concerns with nothing left to do: all is as declared, by whatever road (a bad spec taken back, a plugin declared no more),
 * so their errors are no longer anybody's. `run` alone must prove itself by time.
 */
function moot(c: Case, verdict: Verdict): readonly ConcernName[] {
  const { id } = verdict.row;
  if (c.inst.operation !== null || verdict.proposal !== null || (id !== 'running' && id !== 'asleep')) return NONE;
  const names = othersThanRun(c.inst.concerns);
  if (names.length === 0) return NONE;
  const asDeclared = !c.infraDrift() && !c.configDiffers() && !c.pluginsDiffer();
  return id === 'running' || asDeclared ? names : NONE;
}

/** In order. Hardly any instance has one. */
function othersThanRun(concerns: Instance['concerns']): readonly ConcernName[] {
  let names: ConcernName[] | null = null;
  for (const name in concerns) if (name !== 'run') (names ??= []).push(name);
  return names === null ? NONE : names.sort();
}

const NONE: readonly ConcernName[] = [];

/** Has what this rollout took down come back, stayed away too long, or left the rollout for another reason? */
function rolloutProof(c: Case, verdict: Verdict): 'rollout-proved' | 'rollout-failed' | 'rollout-left' | null {
  const due = c.state.rollout?.active.get(c.inst.uid);
  if (due === undefined) return null;
  // One that completed its work meanwhile proves nothing, and breaks nothing.
  if (c.inst.desired !== 'running' || c.inst.completed) return 'rollout-left';
  if (c.inst.operation === null && verdict.proposal === null) {
    const settled = !c.infraDrift() && !c.configUnpersisted();
    if (verdict.phase === 'SLEEPING' && settled) return 'rollout-proved';
    if (verdict.phase === 'RUNNING') {
      const since = c.inst.phase === 'RUNNING' ? c.inst.phaseSince : c.now;
      if (c.past(since + c.state.policy.rollout.healthyForMs)) return 'rollout-proved';
    }
  }
  return c.past(due) ? 'rollout-failed' : null;
}

/** Explicit order: by name, then uid, then as decided. */
function inOrder(out: Draft): Decision {
  const byInstance = (a: { instance: string; uid: string }, b: { instance: string; uid: string }): number =>
    order(a.instance, b.instance) || order(a.uid, b.uid);
  // Most ticks are about one instance.
  if (out.looks.length === 1) return out;
  out.actions.sort(byInstance);
  out.transitions.sort(byInstance);
  out.holds.sort(byInstance);
  out.flaps.sort((a, b) => byName(a.inst, b.inst));
  return out;
}
