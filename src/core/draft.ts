/**
 * The state as it would be if these facts were in the log already: folded into a copy, for those who only want to see what
 * would follow. The state itself is left as it is.
 */
import { eventProblem } from './event-shapes.ts';
import { EVENT_VERSIONS, type NewEvent } from './events.ts';
import { evolve } from './evolve.ts';
import { LOGIC_VERSION } from './limits.ts';
import type { FleetState } from './model.ts';
import { freeze, thaw } from './snapshot.ts';

/**
 * Each source makes its facts of what those before it have left, and they go through text, as through a store. What no store
 * would take is left out. Everybody is dirty in the copy: looking at everybody decides the same.
 */
export function drafted(
  state: FleetState,
  at: number,
  sources: readonly ((state: FleetState) => readonly NewEvent[])[],
): { readonly state: FleetState; readonly drafts: readonly NewEvent[] } {
  const copy = thaw(freeze(state), LOGIC_VERSION);
  const drafts: NewEvent[] = [];
  for (const source of sources) {
    for (const fact of source(copy)) {
      const text = JSON.parse(JSON.stringify(fact)) as NewEvent;
      const v = EVENT_VERSIONS[text.type];
      if (eventProblem(text.type, v, text.data) !== null) continue;
      evolve(copy, { ...text, seq: copy.seq + 1, at, v });
      drafts.push(text);
    }
  }
  return { state: copy, drafts };
}
