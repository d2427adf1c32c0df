/**
 * History again, on a fresh state of its own: folds the recorded facts and the recorded decisions, and at each recorded tick
 * asks the present table, at the recorded time, what it would have decided (DESIGN §15).
 *
 *  1. Recorded decisions are folded whatever is computed, so one difference does not cascade.
 *  2. Ticks that decided nothing were never written. By the equivalence of deciding what is dirty or due and deciding
 *     everything, leaving them out changes nothing (invariant 12).
 *  3. With `policy` or `edits` it is a what-if: open loop (the world did not answer to what is only computed), and called so.
 *
 * Touches nothing but the state it is given (L62): thaw a snapshot for it, or begin with an empty one.
 */
import { Agenda } from './agenda.ts';
import { sameDecided, sameFlap, type Decided, type RecordedFlap } from './compare.ts';
import type { Decision } from './decide.ts';
import type { DecidedAction, DecidedHold, DecidedTransition, StoredEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { LOGIC_VERSION, REPLAY_ITEMS } from './limits.ts';
import type { ActionType, FlapKind, FleetState, Phase, Policy } from './model.ts';
import type { RowId } from './table.ts';
import { conclude, plan } from './tick.ts';
import { phaseCounts } from './view.ts';
import { editedSeq, editRefusal, refusal, triedPolicy, type Edit } from './what-if.ts';

export interface ReplayOptions {
  readonly policy?: Partial<Policy>;
  readonly edits?: readonly Edit[];
  /** Only what concerns this name is compared, listed and counted; everything is folded. */
  readonly instance?: string;
  /** Items per list; the counts are always whole. */
  readonly keep?: number;
}

/** What a tick decided for one instance. */
export interface Part {
  readonly actions: readonly DecidedAction[];
  readonly transitions: readonly DecidedTransition[];
  readonly holds: readonly DecidedHold[];
  readonly flaps: readonly FlapKind[];
}

export interface Difference {
  /** Of the tick. */
  readonly seq: number;
  readonly instance: string;
  readonly uid: string;
  readonly recorded: Part;
  readonly computed: Part;
  /** Declared in `INTENDED` for the logic version that recorded it. */
  readonly intended: boolean;
}

export interface ReplayedAction {
  readonly seq: number;
  readonly at: number;
  readonly instance: string;
  readonly type: ActionType;
  readonly rule: string;
}

export type Counts = { readonly [A in ActionType]?: number };

export interface Replayed {
  readonly kind: 'replay' | 'what-if';
  /** A what-if is open loop: the recorded world answered to the recorded decisions, not to the computed ones. */
  readonly openLoop: boolean;
  readonly events: number;
  readonly ticks: number;
  /** Where the replay ended. */
  readonly seq: number;
  readonly at: number;
  readonly actions: readonly ReplayedAction[];
  readonly recorded: readonly ReplayedAction[];
  readonly differences: readonly Difference[];
  readonly counts: {
    readonly computed: Counts;
    readonly recorded: Counts;
    readonly differences: number;
    readonly unintended: number;
  };
  readonly phases: { readonly [P in Phase]?: number };
}

export type ReplayResult = Replayed | { readonly kind: 'refused'; readonly because: string };

/**
 * Rows that decide otherwise than an older logic version did, on purpose: logic version of the record → row ids. `verify`
 * lets differences pass that are about these rows alone. Version 1 is the first.
 */
const INTENDED: ReadonlyMap<number, ReadonlySet<RowId>> = new Map();

/** Replays all of `events` on `state`, which is the replay's own from here on. */
export function replay(state: FleetState, events: Iterable<StoredEvent>, options: ReplayOptions = {}): ReplayResult {
  const run = new Replay(state, options);
  for (const event of events) if (!run.feed(event)) break;
  return run.result();
}

/** A replay fed piece by piece, for logs that are read in pages. */
export class Replay {
  readonly state: FleetState;
  readonly agenda = new Agenda();
  private readonly tried: Partial<Policy> | null;
  private readonly edits: ReadonlyMap<number, Edit>;
  private readonly only: string | null;
  private readonly keep: number;
  private refused: string | null;
  private open: Transaction | null = null;
  private events = 0;
  private ticks = 0;
  private differing = 0;
  private unintended = 0;
  private readonly actions: ReplayedAction[] = [];
  private readonly recorded: ReplayedAction[] = [];
  private readonly differences: Difference[] = [];
  private readonly computedCounts = new Map<ActionType, number>();
  private readonly recordedCounts = new Map<ActionType, number>();

  constructor(state: FleetState, options: ReplayOptions = {}) {
    const { policy, edits = [] } = options;
    this.state = state;
    this.tried = policy === undefined || Object.keys(policy).length === 0 ? null : policy;
    this.edits = new Map(edits.map((edit) => [editedSeq(edit), edit]));
    this.only = options.instance ?? null;
    this.keep = options.keep ?? REPLAY_ITEMS;
    this.refused = refusal(policy ?? {}, edits, state.seq);
    this.tryPolicy();
  }

  /** Takes the next event of the log; false once the replay is refused. */
  feed(event: StoredEvent): boolean {
    if (this.refused !== null) return false;
    this.events += 1;
    if (event.type === 'flap.observed') this.open?.flaps.push(event);
    else this.close();
    if (event.type === 'tick.decided') this.tick(event);
    else this.fact(event);
    return this.refused === null;
  }

  result(): ReplayResult {
    if (this.refused !== null) return { kind: 'refused', because: this.refused };
    this.close();
    const openLoop = this.tried !== null || this.edits.size > 0;
    return {
      kind: openLoop ? 'what-if' : 'replay',
      openLoop,
      events: this.events,
      ticks: this.ticks,
      seq: this.state.seq,
      at: this.state.at,
      actions: this.actions,
      recorded: this.recorded,
      differences: this.differences,
      counts: {
        computed: counts(this.computedCounts),
        recorded: counts(this.recordedCounts),
        differences: this.differing,
        unintended: this.unintended,
      },
      phases: phaseCounts(this.state),
    };
  }

  private fact(event: StoredEvent): void {
    const edit = this.edits.size === 0 ? undefined : this.edits.get(event.seq);
    if (edit === undefined) evolve(this.state, event);
    else this.edited(event, edit);
    if (event.type === 'policy.changed') this.tryPolicy();
  }

  private edited(event: StoredEvent, edit: Edit): void {
    this.refused = editRefusal(event, edit);
    if (this.refused !== null) return;
    if ('drop' in edit) {
      this.state.seq = event.seq;
      this.state.at = event.at;
    } else evolve(this.state, { ...event, data: edit.data } as unknown as StoredEvent);
  }

  private tryPolicy(): void {
    if (this.tried !== null && this.refused === null) this.state.policy = triedPolicy(this.state.policy, this.tried);
  }

  private tick(event: Tick): void {
    const edit = this.edits.get(event.seq);
    if (edit !== undefined) {
      this.refused = editRefusal(event, edit);
      return;
    }
    this.ticks += 1;
    const planned = plan(this.state, this.agenda, event.data.now);
    const { decision } = planned;
    this.open = { tick: event, decision, same: sameDecided(decision, event.data), flaps: [] };
    conclude(this.state, this.agenda, planned, [event]);
    for (const action of event.data.actions) this.recordedActs(event, action);
    for (const action of decision.actions) this.computedActs(event, action);
  }

  private recordedActs(event: Tick, action: DecidedAction): void {
    // Computed otherwise, it would stand in the agenda for ever.
    if (action.type === 'forget')
      this.agenda.done(this.state, [{ uid: action.uid, wakeAt: Number.POSITIVE_INFINITY, waitsFor: null }]);
    this.note(this.recorded, this.recordedCounts, event, action);
  }

  private computedActs(event: Tick, action: DecidedAction): void {
    this.note(this.actions, this.computedCounts, event, action);
  }

  private note(
    list: ReplayedAction[],
    tally: Map<ActionType, number>,
    event: Tick,
    { instance, type, rule }: DecidedAction,
  ): void {
    if (this.only !== null && instance !== this.only) return;
    tally.set(type, (tally.get(type) ?? 0) + 1);
    if (list.length < this.keep) list.push({ seq: event.seq, at: event.data.now, instance, type, rule });
  }

  /** The tick and all its flaps are known: what differs is told, instance by instance. */
  private close(): void {
    const { open } = this;
    if (open === null) return;
    this.open = null;
    const { tick, decision, same, flaps } = open;
    if (same && decision.flaps.length === flaps.length && flaps.every((flap, at) => sameFlap(decision.flaps[at], flap)))
      return;
    for (const difference of differencesOf(tick, decision, flaps)) {
      if (this.only !== null && difference.instance !== this.only) continue;
      this.differing += 1;
      if (!difference.intended) this.unintended += 1;
      if (this.differences.length < this.keep) this.differences.push(difference);
    }
  }
}

// ── differences ─────────────────────────────────────────────────────────────────────────────────────────────────────

type Tick = StoredEvent & { readonly type: 'tick.decided' };

interface Transaction {
  readonly tick: Tick;
  readonly decision: Decision;
  readonly same: boolean;
  readonly flaps: RecordedFlap[];
}

const counts = (tally: ReadonlyMap<ActionType, number>): Counts =>
  Object.fromEntries([...tally].sort(([a], [b]) => (a < b ? -1 : 1)));

function differencesOf(tick: Tick, decision: Decision, flaps: readonly RecordedFlap[]): readonly Difference[] {
  const uids = new Set<string>();
  for (const decided of [tick.data, decision]) {
    for (const one of [...decided.actions, ...decided.transitions, ...decided.holds]) uids.add(one.uid);
  }
  for (const { inst } of decision.flaps) uids.add(inst.uid);
  for (const { uid } of flaps) if (uid !== undefined) uids.add(uid);
  const found: Difference[] = [];
  for (const uid of [...uids].sort()) {
    const mine = decision.flaps.filter(({ inst }) => inst.uid === uid);
    const theirs = flaps.filter((flap) => flap.uid === uid);
    const computed = partOf(
      decision,
      uid,
      mine.map(({ flap }) => flap.kind),
    );
    const recorded = partOf(
      tick.data,
      uid,
      theirs.map(({ data }) => data.kind),
    );
    const sameFlaps = mine.length === theirs.length && theirs.every((flap, at) => sameFlap(mine[at], flap));
    if (sameFlaps && sameDecided(computed, recorded)) continue;
    const instance = nameIn(computed) ?? nameIn(recorded) ?? mine[0]?.inst.name ?? theirs[0]?.instance ?? '';
    found.push({
      seq: tick.seq,
      instance,
      uid,
      recorded,
      computed,
      intended: isIntended(tick.data.logic, recorded, computed),
    });
  }
  return found;
}

function partOf(decided: Decided, uid: string, flaps: readonly FlapKind[]): Part {
  const of = <T extends { readonly uid: string }>(all: readonly T[]): readonly T[] =>
    all.filter((one) => one.uid === uid);
  return { actions: of(decided.actions), transitions: of(decided.transitions), holds: of(decided.holds), flaps };
}

const nameIn = ({ actions, transitions, holds }: Part): string | undefined =>
  [...actions, ...transitions, ...holds][0]?.instance;

/** An older version, and every row that either side acted by is declared to decide otherwise now. */
function isIntended(logic: number, recorded: Part, computed: Part): boolean {
  if (logic >= LOGIC_VERSION) return false;
  const declared = INTENDED.get(logic);
  const rules = [recorded, computed].flatMap((part) => [...part.actions, ...part.transitions].map(({ rule }) => rule));
  return declared !== undefined && rules.length > 0 && rules.every((rule) => declared.has(rule as RowId));
}
