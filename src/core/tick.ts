/**
 * One tick, without its world: who is to be looked at, what is decided, and what of it goes into the log. The fleet loop
 * commits it, the dry run shows it, replay compares it with what was recorded; all three run this very code.
 */
import type { Agenda } from './agenda.ts';
import { decide, type Decision } from './decide.ts';
import type { NewEvent, StoredEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { LOGIC_VERSION } from './limits.ts';
import type { FleetState } from './model.ts';

/** What the next tick decides at `now`, given the facts folded so far. Changes nothing. */
export function plan(
  state: FleetState,
  agenda: Agenda,
  now: number,
): { decision: Decision; looked: ReadonlySet<string> } {
  const looked = agenda.candidates(state, now);
  let decision = decide(state, now, looked);
  // Those in line for whom room was left, or who go before the one that took the last of it, are looked at too. Each round
  // adds somebody, and most ticks need none or one; should those who are called want nothing, the next calls twice as many.
  for (let generosity = 1; ; generosity *= 2) {
    const called = agenda.called(decision.slots, looked, generosity);
    if (called.length === 0) return { decision, looked };
    for (const uid of called) looked.add(uid);
    decision = decide(state, now, looked);
  }
}

/** A tick is written iff it has an action, a transition, a change of hold, or a flap. */
export function toEvents(decision: Decision): readonly NewEvent[] {
  const { now, actions, transitions, holds, flaps } = decision;
  if (actions.length + transitions.length + holds.length + flaps.length === 0) return [];
  const tick: NewEvent = { type: 'tick.decided', data: { now, logic: LOGIC_VERSION, actions, transitions, holds } };
  return [
    tick,
    ...flaps.map(({ inst, flap }): NewEvent => {
      const { kind, incarnation } = flap;
      const exit = flap.exit === null ? null : { ...flap.exit, output: null };
      return {
        type: 'flap.observed',
        instance: inst.name,
        uid: inst.uid,
        data: { kind, incarnation, exit, output: flap.exit?.output ?? null },
      };
    }),
  ];
}

/** The decision is in the log as `written` (nothing, if it decided nothing): folds it, and sets the next looks. */
export function conclude(
  state: FleetState,
  agenda: Agenda,
  planned: { decision: Decision; looked: ReadonlySet<string> },
  written: readonly StoredEvent[],
): void {
  for (const uid of planned.looked) state.dirty.delete(uid);
  for (const event of written) evolve(state, event);
  agenda.done(state, planned.decision.looks);
  // Forgotten by a decision whose acknowledgement was lost: nobody is left to be looked at, and its alarm would ring for ever.
  if (planned.decision.looks.length < planned.looked.size)
    for (const uid of planned.looked) if (!state.instances.has(uid)) agenda.forget(uid);
}
