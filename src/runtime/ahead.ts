/** What comes into a tick: sources of facts, and, for those who look ahead, everything that the next one finds. */
import type { Agenda } from '../core/agenda.ts';
import type { NewEvent } from '../core/events.ts';
import type { FleetState } from '../core/model.ts';

/**
 * A fact, or what makes facts of the state as it is when they are drained. Cheap. A `draft` is only to be shown: it looks
 * nowhere else and leaves everything as it is, so that the real one says the same afterwards.
 */
export type FactSource = (state: FleetState, draft: boolean) => readonly NewEvent[];

/** What the next tick finds: its state, who is to be looked at, when, and what of it is not in the log yet. */
export interface Ahead {
  readonly state: FleetState;
  readonly agenda: Agenda;
  readonly now: number;
  /** Facts that the loop had not folded when it was asked, in the log or not. */
  readonly pendingFacts: number;
  /** Those of them that are not in the log, and what was seen besides. */
  readonly drafts: readonly NewEvent[];
}
