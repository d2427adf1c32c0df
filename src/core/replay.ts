/**
 * History again, on a fresh state of its own: folds the recorded facts and the recorded decisions, and at each recorded tick
 * asks the present table, at the recorded time, what it would have decided (DESIGN §15).
 *
 *  1. Recorded decisions are folded whatever is computed, so one difference does not cascade.
 *  2. Ticks that decided nothing were never written. By the equivalence of deciding what is dirty or due and deciding
 *     everything, leaving them out changes nothing (invariant 12).
 *  3. With `policy` or `edits` it is a what-if: open loop (the world did not answer to what is only computed), and called so.
 *  4. The counts are whole; the lists are a page of them (`skip`, `keep`), the same page for the same events.
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
import { Tally, type Counts, type Sides } from './tally.ts';
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
  /** Items left out at the beginning of each list: those of the pages before. */
  readonly skip?: number;
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

export interface Replayed {
  readonly kind: 'replay' | 'what-if';
  /** A what-if is open loop: the recorded world answered to the recorded decisions, not to the computed ones. */
  readonly openLoop: boolean;
  readonly events: number;
  readonly ticks: number;
  /** Versions of the decision logic that the ticks were recorded by, oldest first. */
  readonly logics: readonly number[];
  /** Rows that could not be read. */
  readonly quarantined: number;
  /** Where the replay ended. */
  readonly seq: number;
  readonly at: number;
  readonly actions: readonly ReplayedAction[];
  readonly recorded: readonly ReplayedAction[];
  readonly differences: readonly Difference[];
  /** The `skip` of the next page; null: the lists end here. */
  readonly next: number | null;
  readonly counts: {
    readonly computed: Counts<ActionType>;
    readonly recorded: Counts<ActionType>;
    readonly transitions: Sides<Phase>;
    readonly differences: number;
    readonly unintended: number;
  };
  /** As recorded, at the end. */
  readonly phases: Counts<Phase>;
  /** What would be decided at the end, whether or not there was a tick. */
  readonly decidedAtEnd: {
    readonly actions: readonly DecidedAction[];
    readonly transitions: readonly DecidedTransition[];
    /** The phases that everybody would be in. */
    readonly phases: Counts<Phase>;
  };
}

export type ReplayResult = Replayed | { readonly kind: 'refused'; readonly because: string };

/**
 * Rows that decide otherwise than an older logic version did, on purpose: logic version of the record → row ids. `verify`
 * lets differences pass that are about these rows alone. Version 1 is the first.
 *
 * Since 2: what an attempt without a good end may have changed is in doubt (config, plugins); only what an operator named has
 * the budget for stops (deleting, idle, gave-up); an end that nobody can know about is no crash (start, asleep).
 */
const INTENDED: ReadonlyMap<number, ReadonlySet<RowId>> = new Map<number, ReadonlySet<RowId>>([
  [1, new Set<RowId>(['operating', 'deleting', 'gave-up', 'asleep', 'start', 'idle', 'config', 'plugins', 'running'])],
  [2, new Set<RowId>(['operating', 'start', 'plugins'])],
]);

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
  private readonly tally: Tally;
  private refused: string | null;
  private open: Transaction | null = null;
  private events = 0;
  private ticks = 0;
  private quarantined = 0;
  private unintended = 0;
  private readonly logics = new Set<number>();
  private readonly actions: Listed<ReplayedAction>;
  private readonly recorded: Listed<ReplayedAction>;
  private readonly differences: Listed<Difference>;

  constructor(state: FleetState, options: ReplayOptions = {}) {
    const { policy, edits = [] } = options;
    this.state = state;
    this.tried = policy === undefined || Object.keys(policy).length === 0 ? null : policy;
    this.edits = new Map(edits.map((edit) => [editedSeq(edit), edit]));
    this.only = options.instance ?? null;
    this.tally = new Tally(this.only);
    const { skip = 0, keep = REPLAY_ITEMS } = options;
    this.actions = new Listed(skip, keep);
    this.recorded = new Listed(skip, keep);
    this.differences = new Listed(skip, keep);
    this.refused = refusal(policy ?? {}, edits, state.seq);
    this.tryPolicy();
  }

  /** Takes the next event of the log; false once the replay is refused. */
  feed(event: StoredEvent): boolean {
    if (this.refused !== null) return false;
    this.events += 1;
    if (event.type === 'flap.observed') this.open?.flaps.push(event);
    else this.close();
    if (event.type === 'event.quarantined') this.quarantined += 1;
    if (event.type === 'tick.decided') this.tick(event);
    else this.fact(event);
    return this.refused === null;
  }

  result(): ReplayResult {
    if (this.refused !== null) return { kind: 'refused', because: this.refused };
    this.close();
    const { actions, recorded, differences } = this;
    const counted = this.tally.result();
    const { openLoop } = this;
    return {
      kind: openLoop ? 'what-if' : 'replay',
      openLoop,
      events: this.events,
      ticks: this.ticks,
      logics: [...this.logics].sort((a, b) => a - b),
      quarantined: this.quarantined,
      seq: this.state.seq,
      at: this.state.at,
      actions: actions.items,
      recorded: recorded.items,
      differences: differences.items,
      next: actions.next ?? recorded.next ?? differences.next,
      counts: {
        computed: counted.actions.computed,
        recorded: counted.actions.recorded,
        transitions: counted.transitions,
        differences: differences.total,
        unintended: this.unintended,
      },
      phases: phaseCounts(this.state),
      decidedAtEnd: this.atEnd(),
    };
  }

  private get openLoop(): boolean {
    return this.tried !== null || this.edits.size > 0;
  }

  private atEnd(): Replayed['decidedAtEnd'] {
    // Whom nothing has touched since may be in another phase under another policy, too.
    const looked = this.openLoop ? this.state.instances.keys() : [];
    for (const uid of looked) this.state.dirty.add(uid);
    const { actions, transitions } = plan(this.state, this.agenda, this.state.at).decision;
    const phases = new Map(Object.entries(phaseCounts(this.state)) as [Phase, number][]);
    for (const { from, to } of transitions) {
      phases.set(from, (phases.get(from) ?? 0) - 1);
      phases.set(to, (phases.get(to) ?? 0) + 1);
    }
    return { actions, transitions, phases: Object.fromEntries([...phases].filter(([, number]) => number > 0)) };
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
    this.logics.add(event.data.logic);
    const planned = plan(this.state, this.agenda, event.data.now);
    const { decision, looked } = planned;
    const same = sameDecided(decision, event.data);
    this.open = { tick: event, decision, same, flaps: [] };
    for (const action of this.tally.count(decision, event.data, looked, same)) this.actions.add(listed(event, action));
    conclude(this.state, this.agenda, planned, [event]);
    for (const action of event.data.actions) this.recordedActs(event, action);
  }

  private recordedActs(event: Tick, action: DecidedAction): void {
    // Computed otherwise, it would stand in the agenda for ever.
    if (action.type === 'forget')
      this.agenda.done(this.state, [{ uid: action.uid, wakeAt: Number.POSITIVE_INFINITY, waitsFor: null }]);
    if (this.only === null || action.instance === this.only) this.recorded.add(listed(event, action));
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
      if (!difference.intended) this.unintended += 1;
      this.differences.add(difference);
    }
  }
}

/** A page of all that is added. */
class Listed<T> {
  readonly items: T[] = [];
  total = 0;
  private readonly skip: number;
  private readonly keep: number;

  constructor(skip: number, keep: number) {
    this.skip = skip;
    this.keep = keep;
  }

  get next(): number | null {
    return this.total > this.skip + this.keep ? this.skip + this.keep : null;
  }

  add(item: T): void {
    if (this.total >= this.skip && this.items.length < this.keep) this.items.push(item);
    this.total += 1;
  }
}

const listed = (event: Tick, { instance, type, rule }: DecidedAction): ReplayedAction => ({
  seq: event.seq,
  at: event.data.now,
  instance,
  type,
  rule,
});

// ── differences ─────────────────────────────────────────────────────────────────────────────────────────────────────

type Tick = StoredEvent & { readonly type: 'tick.decided' };

interface Transaction {
  readonly tick: Tick;
  readonly decision: Decision;
  readonly same: boolean;
  readonly flaps: RecordedFlap[];
}

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
