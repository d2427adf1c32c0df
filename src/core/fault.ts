/**
 * What is kept of a fault of Holdfast itself until it is counted. The words are for people: they never enter the log, for
 * another build of the same logic may word them otherwise (invariant 12).
 */
import { wordsOf } from './error-words.ts';
import { MAX_FAULTS, MESSAGE_CHARS } from './limits.ts';
import type { Fault, FleetState } from './model.ts';

export function faultOf(uid: string | null, doing: string, error: unknown): Fault {
  const words = wordsOf(error);
  return { uid, message: `${doing} failed in an unforeseen way: ${words}`.slice(0, MESSAGE_CHARS) };
}

/** Notes it beside the state. Beyond the bound the oldest stay: they are the cause more often than what follows. */
export function recordFault(state: FleetState, uid: string | null, doing: string, error: unknown): void {
  if (state.faults.length < MAX_FAULTS) state.faults.push(faultOf(uid, doing, error));
}
