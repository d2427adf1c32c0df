/**
 * Folds what agents say of themselves, and what is seen of their config and plugins.
 */
import { relent } from '../concern.ts';
import type { EventData, StoredEvent } from '../events.ts';
import { MESSAGE_CHARS } from '../limits.ts';
import type { Agent, FleetState, Instance } from '../model.ts';
import { recordLoss, recordRecovery, targetOf } from './target.ts';

const UNHEARD: Agent = {
  heard: 'never',
  heardSeq: 0,
  heardAt: 0,
  health: 'unasked',
  healthSeq: 0,
  healthAt: 0,
  degraded: null,
  busy: false,
  version: null,
};

export function agentReported(
  state: FleetState,
  inst: Instance,
  data: EventData['agent.reported'],
  event: StoredEvent,
): void {
  const agent = inst.agent ?? UNHEARD;
  switch (data.report) {
    case 'first':
    case 'recovered':
      inst.agent = { ...agent, heard: 'heard', heardSeq: event.seq, heardAt: event.at };
      if (data.report === 'first') inst.activeAt = event.at;
      heard(state, inst);
      break;
    case 'silent':
      inst.agent = { ...agent, heard: 'silent', heardSeq: event.seq, heardAt: event.at, busy: false };
      silenced(state, inst, event);
      break;
    case 'degraded':
      inst.agent = {
        ...agent,
        degraded: { message: data.message.slice(0, MESSAGE_CHARS), seq: event.seq, at: event.at },
      };
      break;
    case 'well':
      inst.agent = { ...agent, degraded: null };
      break;
    case 'busy':
      inst.agent = { ...agent, busy: true };
      work(inst, event);
      break;
    case 'idle':
      inst.agent = { ...agent, busy: false };
      inst.activeAt = event.at;
      break;
    case 'version':
      inst.agent = { ...agent, version: data.version };
      break;
  }
}

export function probeAnswered(inst: Instance, data: { ok: boolean; message: string }, event: StoredEvent): void {
  const agent = inst.agent ?? UNHEARD;
  inst.agent = { ...agent, health: data.ok ? 'ok' : 'failing', healthSeq: event.seq, healthAt: event.at };
  if (data.ok && agent.health === 'unasked') inst.activeAt = event.at;
}

/** An answer of the health watch: an edge, like a first beat or a silence. */
export function healthChanged(
  state: FleetState,
  inst: Instance,
  data: { ok: boolean; message: string },
  event: StoredEvent,
): void {
  probeAnswered(inst, data, event);
  if (data.ok) heard(state, inst);
  else silenced(state, inst, event);
}

/** Given up for silence, and heard again: it may go on. What failed before still counts, or one beat per life resets it (L90). */
function heard(state: FleetState, inst: Instance): void {
  // A voice answers silence alone: what was seen stopped or proved missing is not there again because a late beat arrives.
  if (targetOf(state, inst.spec.target).losses.get(inst.uid)?.kind === 'silent') recordRecovery(state, inst);
  if (inst.concerns.run?.cause === 'silence') relent(inst, 'run');
}

export function silenced(state: FleetState, inst: Instance, event: StoredEvent): void {
  if (inst.desired === 'running' && inst.spec.targetType !== 'external' && inst.resource?.state === 'running')
    recordLoss(state, inst, 'silent', event);
}

function work(inst: Instance, event: StoredEvent): void {
  inst.activeAt = event.at;
  inst.sleepAskedSeq = null;
}

/** Work wakes a lazy one: a request is a reason to be awake. */
export function workBegan(inst: Instance, data: EventData['work.began'], event: StoredEvent): void {
  inst.work =
    data.leaseUntil === undefined ? { ...inst.work, open: true } : { ...inst.work, leaseUntil: data.leaseUntil };
  work(inst, event);
  if (inst.spec.lifecycle === 'lazy' && inst.desired === 'running') {
    inst.awake = true;
    inst.wakeSeq = event.seq;
  }
}

export function workEnded(inst: Instance, data: EventData['work.ended'], event: StoredEvent): void {
  inst.work = { open: false, leaseUntil: data.leaseUntil ?? inst.work.leaseUntil };
  inst.activeAt = event.at;
}
