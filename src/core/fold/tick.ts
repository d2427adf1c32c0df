/**
 * Folds decisions: what a tick decided is what is so, from its place in the log on.
 */
import { forgive, recordFailure } from '../concern.ts';
import type { DecidedAction, EventData, StoredEvent } from '../events.ts';
import { recordFault } from '../fault.ts';
import type { FleetState, Instance } from '../model.ts';
import { silenced } from './agent.ts';
import { beginOperation, closeOperation } from './operation.ts';
import { releaseRef } from './resource.ts';
import { rolloutFailed, rolloutLeft, rolloutProved, rolloutTakesDown } from './rollout.ts';
import { recordRecovery, targetOf } from './target.ts';

export function tickDecided(state: FleetState, data: EventData['tick.decided'], event: StoredEvent): void {
  for (const change of data.transitions)
    confined(state, change.uid, event, (inst) => {
      inst.phase = change.to;
      inst.phaseSince = data.now;
      inst.phaseSeq = event.seq;
      // Never heard at all is a loss, too. Nobody reports it; that this tick says so is the fact (L88).
      if (change.rule === 'silent' && targetOf(state, inst.spec.target).losses.get(inst.uid) === undefined)
        silenced(state, inst, event);
    });
  for (const change of data.holds) {
    const inst = state.instances.get(change.uid);
    if (inst !== undefined) inst.hold = change.hold;
  }
  for (const action of data.actions) {
    confined(state, action.uid, event, (inst) => {
      state.dirty.add(action.uid);
      actionDecided(state, inst, action, event, data.now);
    });
  }
}

/** A tick is about many: what breaks over one of them is that one's alone (L46). */
function confined(state: FleetState, uid: string, event: StoredEvent, fold: (inst: Instance) => void): void {
  const inst = state.instances.get(uid);
  if (inst === undefined) return;
  try {
    fold(inst);
  } catch (error) {
    recordFault(state, uid, `folding what event ${event.seq} decided`, error);
    inst.quarantinedSeq = event.seq;
    state.dirty.add(uid);
  }
}

function actionDecided(
  state: FleetState,
  inst: Instance,
  action: DecidedAction,
  event: StoredEvent,
  now: number,
): void {
  switch (action.type) {
    case 'abort':
      if (inst.operation !== null)
        inst.operation = { ...inst.operation, abort: { at: now, reason: action.reason ?? 'superseded' } };
      break;
    case 'abandon':
      if (action.reason === 'deadline') unanswered(inst, event);
      closeOperation(state, inst, event.seq);
      break;
    case 'forget':
      forget(state, inst);
      break;
    case 'forgive':
      forgive(inst, action.concern ?? 'run');
      break;
    case 'rollout-proved':
      rolloutProved(state, inst.uid);
      break;
    case 'rollout-failed':
      rolloutFailed(state, inst.uid);
      break;
    case 'rollout-left':
      rolloutLeft(state, inst.uid);
      break;
    default:
      beginOperation(state, inst, action, action.type, event, now);
      if (action.rolloutUntil !== undefined) rolloutTakesDown(state, inst.uid, action.rolloutUntil);
  }
}

/** It counts nowhere, for nobody knows what it did; but one that hangs must not hang silently (L55). */
function unanswered(inst: Instance, event: StoredEvent): void {
  const operation = inst.operation;
  if (operation === null) return;
  const failure = {
    concern: operation.concern,
    cause: 'operation',
    class: 'transient',
    code: 'abandoned',
    message: `${operation.kind} did not end within its deadline, nor within its grace after that`,
    at: event.at,
    seq: event.seq,
    quick: true,
    operation: operation.id,
    attempt: operation.attempt,
    counted: true,
  } as const;
  recordFailure(inst, failure, Number.POSITIVE_INFINITY);
}

/** Nothing is left of it but its history in the log. */
function forget(state: FleetState, inst: Instance): void {
  closeOperation(state, inst, state.seq);
  recordRecovery(state, inst);
  rolloutLeft(state, inst.uid);
  const resource = inst.resource;
  if (resource !== null && resource.state !== 'missing') {
    targetOf(state, inst.spec.target).existing -= 1;
    if (resource.ref !== null) releaseRef(state, inst, resource.ref);
  }
  state.instances.delete(inst.uid);
  state.dirty.delete(inst.uid);
  if (state.names.get(inst.name) === inst.uid) state.names.delete(inst.name);
  const older = (state.predecessors.get(inst.name) ?? []).filter((uid) => uid !== inst.uid);
  if (older.length > 0) state.predecessors.set(inst.name, older);
  else state.predecessors.delete(inst.name);
  const successor = state.names.get(inst.name);
  if (successor !== undefined) state.dirty.add(successor);
}

/** A flap is said: it waits no longer. */
export function flapSaid(inst: Instance, data: EventData['flap.observed']): void {
  const at = inst.flaps.findIndex((flap) => flap.kind === data.kind && flap.incarnation === data.incarnation);
  if (at >= 0) inst.flaps = inst.flaps.filter((_, index) => index !== at);
}
