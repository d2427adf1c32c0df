/**
 * Why an instance is as it is: the row that speaks, the facts it rests on, the rows that were rejected before it, the hold
 * and what lifts it, what would change it, and when it is looked at next (DESIGN §15). The table's own code, only read.
 */
import type { Agenda } from './agenda.ts';
import { Case } from './case.ts';
import { applies, judge } from './decide.ts';
import type { StoredEvent } from './events.ts';
import { wordsOf } from './error-words.ts';
import { factText, foldedFact } from './fact-text.ts';
import { Slots } from './gates.ts';
import type { FleetState, Hold, Instance, Phase } from './model.ts';
import { TABLE, type Row } from './table.ts';
import { iso } from './time.ts';
import { errorView, holdView, lastErrorOf, type ErrorView, type HoldView } from './view.ts';
import { awaits, holdWords, phaseText } from './words.ts';

export { factText } from './fact-text.ts';
export { holdText, phaseText, reasonText } from './words.ts';

export interface Why {
  readonly instance: string;
  readonly target: string;
  readonly phase: Phase;
  /** What the phase means. */
  readonly phaseText: string;
  /** Since when it is in that phase; null while that is not in the log yet. */
  readonly since: string | null;
  readonly rule: string;
  readonly text: string;
  readonly operation: {
    readonly kind: string;
    readonly attempt: number;
    readonly startedAt: string;
    readonly deadlineAt: string;
    /** Since when it is being called off. */
    readonly abortedAt: string | null;
  } | null;
  readonly lastError: ErrorView | null;
  readonly facts: readonly FactView[];
  readonly rejected: readonly { readonly rule: string; readonly because: string }[];
  readonly hold: HoldView | null;
  /** Who holds it, and since when, where an operator does. */
  readonly heldBy: { readonly who: string | null; readonly at: string; readonly target: string | null } | null;
  /** What would be done now if this were a tick; null: nothing. */
  readonly action: { readonly type: string; readonly rule: string } | null;
  readonly wouldChange: readonly string[];
  readonly nextLookAt: string | null;
}

export interface FactView {
  readonly seq: number;
  readonly type: string;
  /** At least so old, where the event itself is no longer kept. */
  readonly ageMs: number;
  readonly text: string;
}

/** Log positions that `why` would like to read the events of: hand them in, and its facts speak for themselves. */
export function restsOn(state: FleetState, uid: string, now: number): readonly number[] {
  const inst = state.instances.get(uid);
  if (inst === undefined) return [];
  const c = new Case(state, inst, now);
  return judge(c, new Slots(state)).row.facts(c);
}

/** Null when there is no such instance. `agenda` null: nothing is known of when it is looked at (a replayed past). */
export function why(
  state: FleetState,
  agenda: Agenda | null,
  uid: string,
  now: number,
  events: ReadonlyMap<number, StoredEvent> = new Map(),
): Why | null {
  const inst = state.instances.get(uid);
  if (inst === undefined) return null;
  const c = new Case(state, inst, now);
  const { row, phase, hold, proposal } = judge(c, new Slots(state));
  const alarm = agenda?.alarm(uid) ?? null;
  return {
    instance: inst.name,
    target: inst.spec.target,
    phase,
    phaseText: phaseText(phase),
    since: phase === inst.phase ? iso(inst.phaseSince) : null,
    rule: row.id,
    text: row.sentence,
    operation: operationNow(inst),
    lastError: errorView(lastErrorOf(state, inst)),
    facts: row.facts(c).map((seq) => {
      const event = events.get(seq);
      const fact =
        event === undefined
          ? foldedFact(state, inst, seq)
          : { type: event.type, at: event.at, text: factText(event, inst.uid) };
      return { seq, type: fact.type, ageMs: Math.max(0, now - fact.at), text: fact.text };
    }),
    rejected: rejectedBefore(c, row.id),
    hold: holdView(hold),
    heldBy: hold?.reason === 'operator-hold' ? heldBy(state, inst, hold) : null,
    action: proposal && { type: proposal.type, rule: proposal.rule },
    wouldChange: wouldChange(c, row.id, hold),
    nextLookAt: alarm === null ? null : iso(alarm),
  };
}

function operationNow({ operation }: Instance): Why['operation'] {
  if (operation === null) return null;
  const { kind, attempt, startedAt, deadlineAt, abort } = operation;
  return { kind, attempt, startedAt: iso(startedAt), deadlineAt: iso(deadlineAt), abortedAt: abort && iso(abort.at) };
}

function heldBy(state: FleetState, inst: Instance, hold: Hold): Why['heldBy'] {
  const found = state.holds.find(
    ({ reason, target, instances }) =>
      reason === hold.detail &&
      (target === null || target === inst.spec.target) &&
      (instances === null || instances.includes(inst.name)),
  );
  return found === undefined ? null : { who: found.by, at: iso(found.at), target: found.target };
}

/** The rows above the one that speaks, each with why it did not. */
function rejectedBefore(c: Case, rule: string): readonly { rule: string; because: string }[] {
  const rejected: { rule: string; because: string }[] = [];
  for (const row of TABLE) {
    if (row.id === rule) break;
    if (!applies(row, c)) continue;
    rejected.push({ rule: row.id, because: rejectedFor(row, c) });
  }
  return rejected;
}

/** What the table breaks over must be told all the more: then that is the reason. */
function rejectedFor(row: Row, c: Case): string {
  try {
    return row.matches(c)
      ? 'it matches, but changes nothing of what runs: the rows below give the phase'
      : row.unless(c);
  } catch (error) {
    return `Holdfast breaks over it, which is a fault of Holdfast: ${wordsOf(error)}`;
  }
}

function wouldChange(c: Case, rule: string, hold: Hold | null): readonly string[] {
  const lifts = hold === null ? [] : [holdWords(hold).lifts];
  return [...lifts, ...awaits(rule, c)];
}
