/**
 * Folds the life of operations: begun by a decision, ended by a result.
 *
 * At most one per instance. A result is believed only under the id of the operation in flight; a late one changes nothing
 * but asks for another look (L27, L29): what it created is found by that look, and adopted or removed by the table.
 */
import { concernOf, forgive, recordFailure, recordSuccess } from '../concern.ts';
import type { DecidedAction, EventData, FailureDetail, StoredEvent } from '../events.ts';
import { QUICK_FAILURE_MS } from '../limits.ts';
import { livenessOf } from '../liveness.ts';
import type { FleetState, Instance, Operation, OperationKind } from '../model.ts';
import { probeAnswered } from './agent.ts';
import { leaveInDoubt, mergeConfig, pluginChanged, pluginsObserved } from './delivered.ts';
import { applyLook, awaited } from './resource.ts';
import { rolloutFailed } from './rollout.ts';
import { openBreaker, targetOf } from './target.ts';

/** Operations that end the present life, so that its end is no flap. */
const ENDS_LIFE: ReadonlySet<OperationKind> = new Set(['stop', 'sleep', 'restart', 'update', 'destroy']);

/**
 * A stop or delete of what an operator named has a budget of its own: a fleet that is busy, with creating as with pruning,
 * can still stop a runaway (L84).
 */
export const budgetOf = ({ named }: { readonly named?: boolean | undefined }): 'run' | 'stop' =>
  named === true ? 'stop' : 'run';

export function beginOperation(
  state: FleetState,
  inst: Instance,
  action: DecidedAction,
  kind: OperationKind,
  event: StoredEvent,
  now: number,
): void {
  const operation: Operation = {
    id: action.operation ?? '',
    kind,
    concern: action.concern ?? 'run',
    attempt: action.attempt ?? 1,
    generation: inst.generation,
    epoch: state.epoch,
    unstarted: action.unstarted ?? false,
    subject: action.subject ?? null,
    rule: action.rule,
    startedAt: now,
    seq: event.seq,
    deadlineAt: action.deadlineAt ?? now,
    graceMs: action.graceMs ?? 0,
    abort: null,
    counted: action.counted ?? false,
    ...(action.named === true && { named: true }),
  };
  inst.operation = operation;
  inst.operations += 1;
  inst.operationSeq = event.seq;
  targetOf(state, inst.spec.target).inFlight[budgetOf(operation)] += 1;
  const life = inst.resource;
  if (ENDS_LIFE.has(kind) && life !== null && life.state !== 'missing' && life.state !== 'stopped') {
    // An earlier operation, given up but perhaps not over, may have been sent to end the same life.
    inst.operation = { ...operation, endsLife: inst.endingIncarnation !== life.incarnation };
    inst.endingIncarnation = life.incarnation;
  }
  if (kind === 'update' || kind === 'destroy') inst.removing = true;
  if (kind === 'provision' || kind === 'update') tokenGivenOut(inst);
  if (operation.counted) countCause(state, inst, operation, event);
}

/**
 * What is made now gets a token of its own. A try after one that did not succeed gives out the same one again: the first try
 * may have taken effect, and the second may find and keep what it made.
 */
function tokenGivenOut(inst: Instance): void {
  const { serial, next } = inst.token;
  if (next === null) inst.token = { serial, next: Math.max(serial + 1, inst.operations) };
}

/** It was made with the new one: older ones are void. Until then both are good, or a failed update would lock out what still runs. */
function tokenInUse(inst: Instance): void {
  if (inst.token.next !== null) inst.token = { serial: inst.token.next, next: null };
}

/** A restart for silence and the like is itself a failure of `run`: the agent was found wanting. */
function countCause(state: FleetState, inst: Instance, operation: Operation, event: StoredEvent): void {
  const causes = {
    silent: { cause: 'silence', code: 'silent', message: 'the agent fell silent and was restarted' },
    'agent-degraded': {
      cause: 'degraded',
      code: 'degraded',
      message: 'the agent reported itself degraded and was restarted',
    },
    changing: {
      cause: 'changing',
      code: 'stuck-changing',
      message: 'its target kept changing it past the deadline, and it was restarted',
    },
  } as const;
  const why = causes[operation.rule as keyof typeof causes] ?? causes.changing;
  const life = inst.runningSince;
  recordFailure(
    inst,
    {
      concern: 'run',
      class: 'transient',
      ...why,
      at: event.at,
      seq: event.seq,
      // Quick, too, if the restart for the last one did not even begin a life.
      quick: Math.min(event.at - (life ?? event.at), event.at - concernOf(inst, 'run').failedAt) < QUICK_FAILURE_MS,
      operation: operation.id,
      attempt: operation.attempt,
      counted: false,
    },
    state.policy.giveUpAfter,
  );
}

export function operationEnded(
  state: FleetState,
  inst: Instance,
  data: EventData['operation.ended'],
  event: StoredEvent,
): void {
  const operation = inst.operation;
  if (operation === null || operation.id !== data.operation) return;
  if (data.saw !== undefined) {
    const before = inst.resource;
    // Folded while it is still in flight: what was asked since it began is not answered by what it began (L30).
    applyLook(state, inst, data.saw, event, data.saw.exit !== null);
    // Destroyed, and proved gone: a deletion is done with it. What listings alone say to be gone may be there yet (L54).
    inst.removing = operation.kind === 'destroy' && data.saw.state === 'missing';
    // It proved not to have touched the life it was sent to end: a later end of that life is nobody's wish.
    const untouched = data.saw.state === 'running' && before?.incarnation === data.saw.incarnation;
    if (data.outcome === 'failed' && untouched && operation.endsLife === true) inst.endingIncarnation = null;
  }
  closeOperation(state, inst, event.seq);
  switch (data.outcome) {
    case 'succeeded':
      succeeded(state, inst, operation, data, event);
      break;
    case 'failed':
    case 'timed-out':
      failed(state, inst, operation, data.error ?? timedOut(operation), event);
      break;
    case 'aborted':
      // Whatever word the effect finds for it: what was aborted for its deadline timed out. Else it never backs off (L40).
      if (operation.abort?.reason === 'deadline') failed(state, inst, operation, timedOut(operation), event);
      break;
    case 'abandoned':
      break;
  }
}

const timedOut = (operation: Operation): FailureDetail => ({
  class: 'transient',
  fault: 'instance',
  code: 'timed-out',
  message: `${operation.kind} did not end within its deadline; whether it took effect, the next look tells`,
});

/** Frees the slot. Results of this operation are late from here on. */
export function closeOperation(state: FleetState, inst: Instance, seq: number): void {
  if (inst.operation === null) return;
  const slots = targetOf(state, inst.spec.target).inFlight;
  const budget = budgetOf(inst.operation);
  slots[budget] = Math.max(0, slots[budget] - 1);
  leaveInDoubt(inst, inst.operation, seq);
  inst.operation = null;
  inst.operationSeq = seq;
}

function failed(
  state: FleetState,
  inst: Instance,
  operation: Operation,
  error: FailureDetail,
  event: StoredEvent,
): void {
  if (error.fault === 'target') {
    openBreaker(state, inst.spec.target, error.message, event);
    return;
  }
  recordFailure(
    inst,
    {
      concern: operation.concern,
      cause: 'operation',
      class: error.class,
      code: error.code,
      message: error.message,
      at: event.at,
      seq: event.seq,
      quick: true,
      operation: operation.id,
      attempt: operation.attempt,
      counted: operation.counted || countedByItsEnd(inst, operation),
    },
    state.policy.giveUpAfter,
  );
  // A plugin that cannot be had has disturbed nothing, and must not hold up the others; the rollout waits in vain for its proof.
  if (error.class !== 'conflict' && operation.subject === null) rolloutFailed(state, inst.uid);
}

/** The life that it began has ended, and that end was counted: one failure, however many tell of it. */
function countedByItsEnd(inst: Instance, operation: Operation): boolean {
  const run = inst.concerns.run;
  return operation.concern === 'run' && run?.cause === 'exit' && run.seq > operation.seq;
}

function succeeded(
  state: FleetState,
  inst: Instance,
  operation: Operation,
  data: EventData['operation.ended'],
  event: StoredEvent,
): void {
  targetOf(state, inst.spec.target).breakerRepeats = 0;
  const restarted = !operation.unstarted && inst.restartAskedSeq !== null && inst.restartAskedSeq < operation.seq;
  // An update in place starts no other life, and what runs on has its old environment.
  if (
    operation.kind === 'provision' ||
    (operation.kind === 'update' && !operation.unstarted && inst.resource?.incarnation !== inst.endingIncarnation)
  )
    tokenInUse(inst);
  switch (operation.kind) {
    case 'provision':
    case 'start':
      if (restarted) inst.restartAskedSeq = null;
      if (data.plugins !== undefined) pluginsObserved(inst, data.plugins);
      break;
    case 'restart':
    case 'update':
      if (restarted) inst.restartAskedSeq = null;
      if (!operation.unstarted) inst.restarts = { ...inst.restarts, planned: inst.restarts.planned + 1 };
      if (data.plugins !== undefined) pluginsObserved(inst, data.plugins);
      break;
    case 'sleep':
      if (!runs(inst)) fellAsleep(inst, operation);
      break;
    case 'stop':
      break;
    case 'destroy':
      break;
    case 'apply-config':
      // What was observed before says nothing about what is in force now.
      inst.config = mergeConfig(inst, { observed: null, ...data.config }, event.seq);
      break;
    case 'persist-config':
      inst.config = mergeConfig(inst, data.config ?? {}, event.seq);
      break;
    case 'install-plugin':
    case 'uninstall-plugin':
      if (data.plugin !== undefined) pluginChanged(inst, data.plugin, { runs: runs(inst), seq: event.seq });
      if (operation.subject !== null && inst.movedRefs !== null) {
        const { [operation.subject]: _moved, ...rest } = inst.movedRefs;
        inst.movedRefs = Object.keys(rest).length === 0 ? null : rest;
      }
      break;
    case 'probe':
      if (data.probe !== undefined) probeAnswered(inst, data.probe, event);
      break;
  }
  const undone = leftUndone(inst, operation, data, event.at);
  if (undone === null) recordSuccess(inst, operation.concern);
  else noEffect(state, inst, operation, undone, event);
}

const runs = (inst: Instance): boolean => inst.resource?.state === 'running' || inst.resource?.state === 'changing';

/** "Done", and what it was decided for stands as before: a failure, or it would be decided again without end (L42). */
function noEffect(state: FleetState, inst: Instance, operation: Operation, undone: string, event: StoredEvent): void {
  recordFailure(
    inst,
    {
      concern: operation.concern,
      cause: 'operation',
      class: 'transient',
      code: 'no-effect',
      message: `${operation.kind} is reported done, but ${undone}`,
      at: event.at,
      seq: event.seq,
      quick: true,
      operation: operation.id,
      attempt: operation.attempt,
      counted: operation.counted || countedByItsEnd(inst, operation),
    },
    state.policy.giveUpAfter,
  );
}

/** What a reported success left undone; null if nothing, or if something else is wanted by now. */
function leftUndone(
  inst: Instance,
  operation: Operation,
  data: EventData['operation.ended'],
  at: number,
): string | null {
  const { resource, config, hashes, spec } = inst;
  if (inst.specSeq > operation.seq) return null;
  const gone = resource === null || resource.state === 'missing';
  const mayRest = spec.lifecycle === 'lazy' && !inst.awake && !awaited(inst, at);
  const ended = inst.completed || countedByItsEnd(inst, operation) || mayRest;
  switch (operation.kind) {
    case 'provision':
      return gone ? 'nothing is there' : null;
    case 'start':
    case 'restart':
      return runs(inst) || ended || inst.desired !== 'running' ? null : 'it does not run';
    case 'stop':
    case 'sleep':
      return runs(inst) ? 'it still runs' : null;
    case 'destroy':
      return gone ? null : 'it is still there';
    case 'update':
      return gone || resource.infra === hashes.infra ? null : 'what is there was made from another spec';
    case 'apply-config':
      if (config === null || config.applied !== hashes.config) return 'another config is in force';
      return config.observed === null || config.observed === config.applied
        ? null
        : 'the agent answers with another config';
    case 'persist-config':
      return config?.persisted === hashes.config ? null : 'another config is on disk';
    case 'install-plugin': {
      const declared = spec.plugins.find((one) => one.source === operation.subject);
      const installed = inst.plugins?.find((one) => one.source === operation.subject);
      return declared === undefined || installed?.ref === declared.ref
        ? null
        : 'the plugin is not installed as declared';
    }
    case 'uninstall-plugin':
      return inst.plugins?.some((one) => one.source === operation.subject) === true
        ? 'the plugin is still installed'
        : null;
    case 'probe':
      return data.probe === undefined ? 'there is no answer' : null;
  }
}

/** Work or a wake that came while it was being put to sleep wakes it again at once (L58). */
function fellAsleep(inst: Instance, operation: Operation): void {
  if (inst.wakeSeq <= operation.seq) inst.awake = false;
  if (inst.sleepAskedSeq !== null && inst.sleepAskedSeq <= operation.seq) inst.sleepAskedSeq = null;
  if (livenessOf(inst) !== 'silent') forgive(inst, 'run');
}
