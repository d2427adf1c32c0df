/**
 * Folds what operators declare and ask.
 */
import { pardonAll } from '../concern.ts';
import type { EventData, StoredEvent } from '../events.ts';
import { oneCopy } from '../interning.ts';
import { MAX_OPERATOR_HOLDS } from '../limits.ts';
import type { FleetState, Instance, OperatorHold, SpecHashes } from '../model.ts';
import { rolloutBegins, rolloutOverridden } from './rollout.ts';
import { recordRecovery, targetOf, targetOverridden } from './target.ts';

export function specApplied(
  state: FleetState,
  uid: string,
  name: string,
  data: EventData['spec.applied'],
  event: StoredEvent,
): void {
  targetOf(state, data.spec.target);
  const known = state.instances.get(uid);
  if (known === undefined) {
    declare(state, uid, name, data, event);
    return;
  }
  rolloutBegins(state, data.revision, event.at);
  known.spec = data.spec;
  known.hashes = hashesAnew(known, data.hashes);
  known.generation = data.generation;
  known.specSeq = event.seq;
  known.specAt = event.at;
  known.completed = false;
  // A fixed spec is reason to try again at once, whatever failed before (L74).
  pardonAll(known);
}

/** The texts that are applied already, where they are the same. */
const hashesAnew = ({ hashes, resource, config }: Instance, { infra, config: declared }: SpecHashes): SpecHashes => ({
  infra: oneCopy(infra, resource?.infra ?? hashes.infra),
  config: oneCopy(declared, config?.applied ?? config?.persisted ?? hashes.config),
});

function declare(
  state: FleetState,
  uid: string,
  name: string,
  data: EventData['spec.applied'],
  event: StoredEvent,
): void {
  const before = state.names.get(name);
  if (before !== undefined) state.predecessors.set(name, [...(state.predecessors.get(name) ?? []), before]);
  state.names.set(name, uid);
  const inst = newInstance(uid, name, data, event);
  inst.quarantinedSeq = state.lost.get(name) ?? null;
  state.instances.set(uid, inst);
}

function newInstance(uid: string, name: string, data: EventData['spec.applied'], event: StoredEvent): Instance {
  return {
    uid,
    name,
    spec: data.spec,
    hashes: data.hashes,
    generation: data.generation,
    specSeq: event.seq,
    specAt: event.at,
    createdAt: event.at,
    desired: 'running',
    desiredSeq: event.seq,
    deletion: null,
    existed: false,
    resource: null,
    runningSince: null,
    endingIncarnation: null,
    endedIncarnations: NO_LIVES,
    removing: false,
    completed: false,
    operation: null,
    operations: 0,
    operationSeq: 0,
    concerns: {},
    agent: null,
    awake: false,
    wakeSeq: 0,
    sleepAskedSeq: null,
    restartAskedSeq: null,
    activeAt: event.at,
    work: NO_WORK,
    config: null,
    plugins: null,
    restartDueSeq: null,
    movedRefs: null,
    flaps: NO_FLAPS,
    restarts: NO_RESTARTS,
    token: data.spec.targetType === 'external' ? FIRST_TOKEN : NO_TOKEN,
    quarantinedSeq: null,
    phase: 'CREATING',
    phaseSince: event.at,
    phaseSeq: event.seq,
    hold: null,
  };
}

const NO_WORK = { open: false, leaseUntil: null };
const NO_LIVES: readonly string[] = [];
const NO_FLAPS: Instance['flaps'] = [];
const NO_RESTARTS = { crashes: 0, planned: 0 };
/** One that we start gets its token from the operation that makes it. */
const NO_TOKEN: Instance['token'] = { serial: 0, next: null };
/** One that runs elsewhere has a token from its declaration on. */
const FIRST_TOKEN: Instance['token'] = { serial: 1, next: null };

/** An operator asked for a new token: every older one is void at once. */
export function tokenRotated(inst: Instance, data: EventData['token.rotated']): void {
  inst.token = { serial: Math.max(data.serial, inst.token.serial), next: null };
}

export function specDeleted(
  state: FleetState,
  inst: Instance,
  data: EventData['spec.deleted'],
  event: StoredEvent,
): void {
  inst.desired = 'deleted';
  inst.desiredSeq = event.seq;
  // Asking again may add `forget`, or a name to what a prune began; it never takes anything back.
  inst.deletion = {
    data: data.data,
    forget: data.forget || (inst.deletion?.forget ?? false),
    prune: data.prune && (inst.deletion?.prune ?? true),
  };
  // Whoever names it for deletion has looked at what could not be read of it.
  if (!data.prune) inst.quarantinedSeq = null;
  recordRecovery(state, inst);
}

export function secretRotated(state: FleetState, data: EventData['secret.rotated'], event: StoredEvent): void {
  state.secrets.set(data.secret, { version: data.version, at: event.at });
  const users = Object.keys(data.hashes).sort();
  // Nothing changes for anybody: no reason to end another rollout, or to lift the hold of a failed one.
  if (users.length > 0) rolloutBegins(state, `secret ${data.secret}@${data.version}`, event.at);
  for (const uid of users) {
    const inst = state.instances.get(uid);
    const hashes = data.hashes[uid];
    if (inst === undefined || hashes === undefined) continue;
    inst.hashes = hashesAnew(inst, hashes);
    pardonAll(inst);
    state.dirty.add(uid);
  }
}

export function secretDeleted(state: FleetState, data: EventData['secret.deleted']): void {
  const deleted = state.secrets.get(data.secret);
  if (deleted === undefined) return;
  state.secretFloor = Math.max(state.secretFloor, deleted.version);
  state.secrets.delete(data.secret);
}

type Command = EventData['command.issued'];

/** Commands to the fleet: holds, releases, overrides. */
export function fleetCommanded(state: FleetState, data: Command, event: StoredEvent): void {
  switch (data.verb) {
    case 'hold': {
      const hold: OperatorHold = {
        id: data.id,
        reason: data.reason,
        by: event.by?.token ?? null,
        at: event.at,
        until: data.until,
        target: data.target,
        instances: data.instances,
      };
      state.holds = [...state.holds.filter((other) => other.id !== data.id), hold].slice(-MAX_OPERATOR_HOLDS);
      break;
    }
    case 'release':
      state.holds = state.holds.filter((hold) => !covers(data, hold));
      break;
    case 'override':
      if (data.target !== null) targetOverridden(state, data.target, data.identity);
      if (data.rollout) rolloutOverridden(state);
      break;
    default:
      return;
  }
  for (const uid of state.instances.keys()) state.dirty.add(uid);
}

/** A release without a scope releases everything; with one, exactly the holds of that scope. */
function covers(release: { target: string | null; instances: readonly string[] | null }, hold: OperatorHold): boolean {
  if (release.target === null && release.instances === null) return true;
  if (release.target !== hold.target) return false;
  if (release.instances === null) return hold.instances === null;
  const released = new Set(release.instances);
  return hold.instances !== null && hold.instances.every((name) => released.has(name));
}

/** Commands to one instance. What cannot be was refused before it became a fact (`core/commands`). */
export function instanceCommanded(state: FleetState, inst: Instance, data: Command, event: StoredEvent): void {
  if (inst.desired === 'deleted') return;
  switch (data.verb) {
    case 'reconcile':
      pardonAll(inst);
      inst.quarantinedSeq = null;
      state.lost.delete(inst.name);
      break;
    case 'stop':
      desire(inst, 'stopped', event);
      inst.awake = false;
      inst.sleepAskedSeq = null;
      inst.restartAskedSeq = null;
      recordRecovery(state, inst);
      break;
    case 'resume':
      desire(inst, 'running', event);
      inst.completed = false;
      pardonAll(inst);
      break;
    case 'restart':
      inst.restartAskedSeq = event.seq;
      inst.completed = false;
      pardonAll(inst);
      break;
    case 'wake':
      inst.awake = true;
      inst.wakeSeq = event.seq;
      inst.activeAt = event.at;
      inst.sleepAskedSeq = null;
      pardonAll(inst);
      break;
    case 'sleep':
      // Asked of one that rests already it is granted: kept, it would end the first life that somebody else begins.
      if (inst.awake || inst.resource?.state === 'running' || inst.resource?.state === 'changing')
        inst.sleepAskedSeq = event.seq;
      break;
    default:
      break;
  }
}

function desire(inst: Instance, desired: 'running' | 'stopped', event: StoredEvent): void {
  if (inst.desired === desired) return;
  inst.desired = desired;
  inst.desiredSeq = event.seq;
}
