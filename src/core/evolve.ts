/**
 * `evolve(state, event)`: folds one event of the log into the fleet's state. Pure but for the state itself, which the caller
 * owns and which is updated in place (copying 100,000 instances per event helps nobody); it looks nowhere else, and the same
 * log always gives the same state.
 *
 * Every event marks what it touches dirty. Facts never act: what follows from them follows from the table (`core/table`).
 *
 * A fold that throws is a fault of ours, and costs nobody but those whom its event is about: they are held as by a row that
 * cannot be read (L46). The same log breaks at the same place, so that this, too, replays.
 */
import { pardon } from './concern.ts';
import type { EventData, StoredEvent } from './events.ts';
import { recordFault } from './fault.ts';
import { agentReported, healthChanged, workBegan, workEnded } from './fold/agent.ts';
import { configObserved, mergeConfig, pluginsObserved } from './fold/delivered.ts';
import { closeOperation, operationEnded } from './fold/operation.ts';
import { resourceObserved } from './fold/resource.ts';
import { rolloutBegins, rolloutGoesOn } from './fold/rollout.ts';
import {
  fleetCommanded,
  instanceCommanded,
  secretDeleted,
  secretRotated,
  specApplied,
  specDeleted,
  tokenRotated,
} from './fold/spec.ts';
import { sweepCompleted, targetCleared, targetRefused, targetStale, targetSynced } from './fold/target.ts';
import { recoverFrom } from './fold/recovery.ts';
import { flapSaid, tickDecided } from './fold/tick.ts';
import { DEFAULT_POLICY, type FleetState, type Instance } from './model.ts';

export function emptyState(fleet: string): FleetState {
  return {
    fleet,
    seq: 0,
    at: 0,
    epoch: 0,
    ownerAt: 0,
    ownerSeq: 0,
    policy: DEFAULT_POLICY,
    revision: null,
    manifest: null,
    instances: new Map(),
    names: new Map(),
    predecessors: new Map(),
    targets: new Map(),
    refs: new Map(),
    contested: new Set(),
    holds: [],
    lost: new Map(),
    rollout: null,
    secrets: new Map(),
    secretFloor: 0,
    dirty: new Set(),
    faults: [],
  };
}

export function evolve(state: FleetState, event: StoredEvent): FleetState {
  if (event.seq !== state.seq + 1) {
    throw new Error(
      `fleet ${state.fleet}: event ${event.seq} cannot follow ${state.seq}; the log must be gapless (invariant 11)`,
    );
  }
  state.seq = event.seq;
  state.at = event.at;
  const inst = event.uid === undefined ? undefined : state.instances.get(event.uid);
  if (inst !== undefined) state.dirty.add(inst.uid);
  try {
    fold(state, inst, event);
  } catch (error) {
    broken(state, inst, event, error);
  }
  return state;
}

function fold(state: FleetState, inst: Instance | undefined, event: StoredEvent): void {
  switch (event.type) {
    case 'owner.started':
      ownerStarted(state, event.data.epoch, event);
      return;
    case 'owner.stopped':
      if (event.data.agents) endingAll(state);
      return;
    case 'manifest.applied':
      state.revision = event.data.revision;
      state.manifest = event.data.manifest;
      rolloutBegins(state, event.data.revision, event.at);
      dirtyAll(state);
      return;
    case 'policy.changed':
      state.policy = event.data.policy;
      dirtyAll(state);
      return;
    case 'spec.applied':
      if (event.uid === undefined || event.instance === undefined) return;
      specApplied(state, event.uid, event.instance, event.data, event);
      state.dirty.add(event.uid);
      return;
    case 'secret.rotated':
      secretRotated(state, event.data, event);
      return;
    case 'secret.deleted':
      secretDeleted(state, event.data);
      return;
    case 'target.synced':
      targetSynced(state, event.data, event);
      return;
    case 'target.stale':
      targetStale(state, event.data, event);
      return;
    case 'target.refused':
      targetRefused(state, event.data, event);
      return;
    case 'target.cleared':
      targetCleared(state, event.data, event);
      return;
    case 'sweep.completed':
      sweepCompleted(state, event.data);
      return;
    case 'tick.decided':
      tickDecided(state, event.data, event);
      return;
    case 'event.quarantined':
      quarantine(state, inst, event);
      return;
    case 'command.issued':
      if (inst === undefined) fleetCommanded(state, event.data, event);
      else instanceCommanded(state, inst, event.data, event);
      return;
    case 'plugin.ref-moved':
      // A source is watched once for all who track it.
      for (const one of inst === undefined ? state.instances.values() : [inst]) refMoved(state, one, event.data);
      return;
    case 'image.resolved':
    case 'orphan.removed':
    case 'volume.removed':
    case 'exec.asked':
    case 'channel.up':
    case 'channel.down':
      return;
    default:
      // The rest is about one instance; of one that is gone, nothing can be said any more (L18).
      if (inst !== undefined) foldInstance(state, inst, event);
  }
}

function foldInstance(state: FleetState, inst: Instance, event: StoredEvent): void {
  switch (event.type) {
    case 'spec.deleted':
      specDeleted(state, inst, event.data, event);
      return;
    case 'token.rotated':
      tokenRotated(inst, event.data);
      return;
    case 'resource.observed':
      resourceObserved(
        state,
        inst,
        event.data,
        { began: event.data.began, eventful: event.data.eventful ?? false },
        event,
      );
      return;
    case 'operation.ended':
      operationEnded(state, inst, event.data, event);
      return;
    case 'agent.reported':
      agentReported(state, inst, event.data, event);
      return;
    case 'work.began':
      workBegan(inst, event.data, event);
      return;
    case 'work.ended':
      workEnded(inst, event.data, event);
      return;
    case 'config.observed':
      configObserved(state, inst, event.data.hash, event.seq);
      return;
    case 'config.persisted':
      inst.config = mergeConfig(inst, { persisted: event.data.hash }, event.seq);
      return;
    case 'plugins.observed':
      pluginsObserved(inst, event.data.installed);
      return;
    case 'probe.answered':
      healthChanged(state, inst, event.data, event);
      return;
    case 'flap.observed':
      flapSaid(inst, event.data);
      return;
    case 'invariant.broken':
      recoverFrom(state, inst, event.data, event);
      return;
    default:
      return;
  }
}

type Moved = EventData['plugin.ref-moved'];

function refMoved(state: FleetState, inst: Instance, { source, ref, sha }: Moved): void {
  const tracked = inst.spec.plugins.find((plugin) => plugin.track && plugin.source === source);
  if (tracked === undefined || (ref !== undefined && ref !== tracked.ref)) return;
  inst.movedRefs = { ...inst.movedRefs, [source]: sha };
  // What failed before is another plugin now.
  pardon(inst, `plugin:${source}`);
  state.dirty.add(inst.uid);
}

/** A new owner knows nothing of effects in flight: it abandons them, and looks before it acts. */
function ownerStarted(state: FleetState, epoch: number, event: StoredEvent): void {
  state.epoch = epoch;
  state.ownerAt = event.at;
  state.ownerSeq = event.seq;
  for (const target of state.targets.values()) {
    // What was stale or refused stays so until it is seen: a new owner sees no more than the old one did.
    target.synced = false;
    if (target.blast === null) target.losses.clear();
  }
  for (const inst of state.instances.values()) {
    closeOperation(state, inst, event.seq);
    // Requests died with the old owner; leases did not.
    if (inst.work.open) inst.work = { ...inst.work, open: false };
    inst.activeAt = event.at;
  }
  rolloutGoesOn(state, event.at);
  dirtyAll(state);
}

/** Everything is about to be stopped by ourselves: those ends are no flaps. */
function endingAll(state: FleetState): void {
  for (const inst of state.instances.values()) {
    if (inst.resource?.incarnation != null && inst.resource.state !== 'stopped')
      inst.endingIncarnation = inst.resource.incarnation;
  }
}

/** What it did before it broke stands, and what it would have done is not known: the same as a row that cannot be read. */
function broken(state: FleetState, inst: Instance | undefined, event: StoredEvent, error: unknown): void {
  recordFault(state, event.uid ?? null, `folding event ${event.seq} (${event.type})`, error);
  quarantine(state, inst, event);
}

/** A row that cannot be read could have been a `stop`: whatever it concerned is held until an operator has looked. */
function quarantine(state: FleetState, inst: Instance | undefined, event: StoredEvent): void {
  // It declared an instance that we shall never know, and that may well run: who comes under its name must not start beside it.
  const was = event.type === 'event.quarantined' ? event.data.was : event.type;
  const declared = was === 'spec.applied';
  if (inst === undefined && declared && event.instance !== undefined) state.lost.set(event.instance, event.seq);
  const held =
    inst === undefined && event.uid === undefined ? [...state.instances.values()] : inst === undefined ? [] : [inst];
  for (const one of held) {
    one.quarantinedSeq = event.seq;
    state.dirty.add(one.uid);
  }
}

function dirtyAll(state: FleetState): void {
  for (const uid of state.instances.keys()) state.dirty.add(uid);
}
