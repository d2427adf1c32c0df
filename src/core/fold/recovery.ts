/**
 * Folds that an invariant was found broken: what begins its stated recovery (DESIGN §14). As it is a fact, the decision that
 * follows is as pure as any other, and a replay agrees. Touching the instance has marked it dirty, which is the whole
 * recovery of 7.
 */
import type { EventData, StoredEvent } from '../events.ts';
import type { FleetState, Instance } from '../model.ts';
import { holdersOf } from './resource.ts';

export function recoverFrom(
  state: FleetState,
  inst: Instance,
  { recovery }: EventData['invariant.broken'],
  event: StoredEvent,
): void {
  switch (recovery) {
    case 'abort': {
      const { operation } = inst;
      // One without an end, or with an end that nobody looked at, ends now: the tick aborts what is past its deadline.
      if (operation !== null && !(operation.deadlineAt <= event.at))
        inst.operation = { ...operation, deadlineAt: event.at };
      return;
    }
    case 'hold':
      // The gate `conflict` holds all who share, once they are looked at.
      for (const uid of holdersOf(state, inst)) state.dirty.add(uid);
      return;
    case 'mark-dirty':
  }
}
