/**
 * Why an instance is as it is: the row that speaks, the facts it rests on, the rows that were rejected before it, the hold
 * and what lifts it, what would change it, and when it is looked at next (DESIGN §15). The table's own code, only read.
 */
import type { Agenda } from './agenda.ts';
import { Case } from './case.ts';
import { applies, judge } from './decide.ts';
import type { StoredEvent } from './events.ts';
import { factText, foldedFact } from './fact-text.ts';
import { Slots } from './gates.ts';
import type { FleetState, Hold, Phase } from './model.ts';
import { TABLE } from './table.ts';
import { iso } from './time.ts';
import { holdView, type HoldView } from './view.ts';
import { awaits, holdWords } from './words.ts';

export { factText } from './fact-text.ts';
export { holdText, phaseText, reasonText } from './words.ts';

export interface Why {
  readonly instance: string;
  readonly phase: Phase;
  readonly rule: string;
  readonly text: string;
  readonly facts: readonly FactView[];
  readonly rejected: readonly { readonly rule: string; readonly because: string }[];
  readonly hold: HoldView | null;
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
    phase,
    rule: row.id,
    text: row.sentence,
    facts: row.facts(c).map((seq) => {
      const event = events.get(seq);
      const fact =
        event === undefined ? foldedFact(state, inst, seq) : { type: event.type, at: event.at, text: factText(event) };
      return { seq, type: fact.type, ageMs: Math.max(0, now - fact.at), text: fact.text };
    }),
    rejected: rejectedBefore(c, row.id),
    hold: holdView(hold),
    action: proposal && { type: proposal.type, rule: proposal.rule },
    wouldChange: wouldChange(c, row.id, hold, alarm),
    nextLookAt: alarm === null ? null : iso(alarm),
  };
}

/** The rows above the one that speaks, each with why it did not. */
function rejectedBefore(c: Case, rule: string): readonly { rule: string; because: string }[] {
  const rejected: { rule: string; because: string }[] = [];
  for (const row of TABLE) {
    if (row.id === rule) break;
    if (!applies(row, c)) continue;
    const because = row.matches(c)
      ? 'it matches, but changes nothing of what runs: the rows below give the phase'
      : row.unless(c);
    rejected.push({ rule: row.id, because });
  }
  return rejected;
}

function wouldChange(c: Case, rule: string, hold: Hold | null, alarm: number | null): readonly string[] {
  const lifts = hold === null ? [] : [holdWords(hold).lifts];
  const next = alarm === null ? [] : [`time: it is looked at again at ${iso(alarm)}`];
  return [...lifts, ...awaits(rule, c), ...next];
}
