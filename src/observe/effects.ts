/**
 * What became of each effect, by its real outcome (L42): attempted when its decision is committed, then succeeded or failed,
 * once. Reported done but without effect, timed out, called off, given up: all of that is failed.
 */
import type { StoredEvent } from '../core/events.ts';
import type { ActionType, FleetState, OperationKind } from '../core/model.ts';
import { OPERATIONS, type EffectOutcome } from './label-values.ts';
import { OPEN_EFFECTS } from './limits.ts';

export interface Outcome {
  readonly type: OperationKind;
  readonly outcome: EffectOutcome;
}

const isOperation = (type: ActionType): type is OperationKind => (OPERATIONS as readonly ActionType[]).includes(type);

export class EffectOutcomes {
  /** Kinds of the operations in flight, by id. */
  private readonly inFlight = new Map<string, OperationKind>();

  /** `state` has folded these events. */
  of(events: readonly StoredEvent[], state: FleetState): readonly Outcome[] {
    const outcomes: Outcome[] = [];
    const end = (operation: string, outcome: EffectOutcome): void => {
      const type = this.inFlight.get(operation);
      // A late result of one that was given up counts no more.
      if (this.inFlight.delete(operation) && type !== undefined) outcomes.push({ type, outcome });
    };
    for (const event of events) {
      if (event.type === 'operation.ended') {
        const succeeded = event.data.outcome === 'succeeded' && !isBlamed(state, event);
        end(event.data.operation, succeeded ? 'succeeded' : 'failed');
      }
      if (event.type !== 'tick.decided') continue;
      for (const { type, operation } of event.data.actions) {
        if (operation === undefined) continue;
        if (type === 'abandon') end(operation, 'failed');
        else if (isOperation(type)) {
          outcomes.push({ type, outcome: 'attempted' });
          this.begin(operation, type);
        }
      }
    }
    return outcomes;
  }

  private begin(operation: string, type: OperationKind): void {
    this.inFlight.set(operation, type);
    if (this.inFlight.size <= OPEN_EFFECTS) return;
    for (const oldest of this.inFlight.keys()) {
      this.inFlight.delete(oldest);
      return;
    }
  }
}

/** The fold found that this "done" has left undone what it was decided for, and said so in a concern. */
function isBlamed(state: FleetState, event: StoredEvent): boolean {
  const concerns = state.instances.get(event.uid ?? '')?.concerns ?? {};
  return Object.values(concerns).some(({ error }) => error?.seq === event.seq);
}
