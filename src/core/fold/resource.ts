/**
 * Folds what authorities say of resources, and finds the flaps: lives that ended though nobody asked.
 *
 * Each life is known by its incarnation. A life that ended is never seen running again (L77), its end is said once, and
 * an end that an operation of ours was sent to bring about is no flap, even when that operation was given up. A stop without
 * an exit that nobody reported as an end may be a pause: the same life may go on after it.
 */
import { recordFailure } from '../concern.ts';
import type { StoredEvent } from '../events.ts';
import { classifyExit, exitText, flapKind } from '../exits.ts';
import { CRASH_LOOP_STREAK, MAX_ENDED_LIVES, MAX_PENDING_FLAPS, QUICK_FAILURE_MS } from '../limits.ts';
import { oneCopy } from '../interning.ts';
import type { Exit, FleetState, Instance, Look, Resource } from '../model.ts';
import { rolloutFailed } from './rollout.ts';
import { recordLoss, recordRecovery, targetOf } from './target.ts';

const alive = <L extends Look>(look: L | null): look is L =>
  look !== null && (look.state === 'running' || look.state === 'changing');
const exists = (look: Look | null): boolean => look !== null && look.state !== 'missing';

/** True when the look began before the last operation of this instance was decided or ended (L77). */
export const isStaleLook = (inst: Instance, began: number): boolean => began < inst.operationSeq;

/** A look from a listing or an event stream. */
export function resourceObserved(
  state: FleetState,
  inst: Instance,
  look: Look,
  how: { began: number; eventful: boolean },
  event: StoredEvent,
): void {
  const ended = how.eventful && look.state === 'stopped' && look.incarnation !== null;
  if (!ended && isStaleLook(inst, how.began)) return;
  if (ended && inst.resource?.incarnation !== look.incarnation) {
    // Told again, late: what came after it is known already.
    if (hasEnded(inst, look.incarnation)) return;
    // The end of another life than the one we know: an older one told late, one that nobody saw begin, or a new one
    // that ended before its start was reported. It counts; what we know of the present life stands.
    const present = !alive(inst.resource);
    endLife(state, inst, { incarnation: look.incarnation, exit: look.exit, quick: true, proved: true, present }, event);
    if (!present || inst.operation !== null) return;
  }
  applyLook(state, inst, look, event, how.eventful || look.exit !== null);
  if (inst.operation === null) inst.removing = false;
}

/** What is now known of the resource, from whatever trustworthy source. `proved`: a stop seen in it is an end, not a pause. */
export function applyLook(state: FleetState, inst: Instance, seen: Look, event: StoredEvent, proved: boolean): void {
  const old = inst.resource;
  const over = hasEnded(inst, seen.incarnation);
  const look = over && seen.state === 'running' ? stoppedNow(seen, old) : seen;
  if (alive(old)) {
    const replaced =
      alive(look) && look.incarnation !== null && old.incarnation !== null && look.incarnation !== old.incarnation;
    if (look.state === 'stopped' || replaced) {
      const other = look.incarnation !== null && old.incarnation !== null && look.incarnation !== old.incarnation;
      // Another life has ended since: so has the one we knew, though nobody told how.
      if (look.state === 'stopped' && other)
        endLife(
          state,
          inst,
          { incarnation: old.incarnation, exit: null, quick: quickLife(inst, event), proved: true, present: false },
          event,
        );
      const incarnation = look.state === 'stopped' ? (look.incarnation ?? old.incarnation) : old.incarnation;
      endLife(
        state,
        inst,
        { incarnation, exit: look.exit, quick: quickLife(inst, event), proved: proved || replaced, present: true },
        event,
      );
      const unseenRestarts = Math.max(0, look.restarts - old.restarts - 1);
      if (unseenRestarts > 0) inst.restarts = { ...inst.restarts, crashes: inst.restarts.crashes + unseenRestarts };
    }
  }
  if (cameAndWent(inst, look))
    endLife(
      state,
      inst,
      { incarnation: look.incarnation, exit: look.exit, quick: true, proved: true, present: true },
      event,
    );
  if (exists(old) && look.state === 'missing') vanish(state, inst, event);
  const same = old !== null && old.state === look.state && old.incarnation === look.incarnation;
  // What its authority is about to restart shows the life that ended, until the next one begins.
  const newLife =
    alive(look) && !over && (!alive(old) || (old.incarnation !== look.incarnation && look.incarnation !== null));
  const target = targetOf(state, inst.spec.target);
  target.existing += (look.state !== 'missing' ? 1 : 0) - (exists(old) ? 1 : 0);
  claimRef(state, inst, look);
  inst.resource = {
    ...look,
    infra: oneCopy(look.infra, inst.hashes.infra),
    exit: look.exit ?? (look.state === 'stopped' ? (old?.exit ?? null) : null),
    since: same ? old.since : event.at,
    seq: same ? old.seq : event.seq,
  };
  if (look.state !== 'missing') inst.existed = true;
  if (newLife) beginLife(inst, event);
  if (look.state === 'running') {
    if (newLife || inst.runningSince === null) inst.runningSince = event.at;
    // That it runs is no news of one lost to silence: only a new life or its own voice is.
    if (newLife || target.losses.get(inst.uid)?.kind !== 'silent') recordRecovery(state, inst);
  } else inst.runningSince = null;
}

/** A life that began and ended between two looks: it was not seen running, and its end is no less an end. */
function cameAndWent(inst: Instance, look: Look): boolean {
  const { resource, operation } = inst;
  if (resource?.state === 'running' || resource?.state === 'changing') return false;
  if (
    look.state !== 'stopped' ||
    look.exit === null ||
    look.incarnation === null ||
    look.incarnation === resource?.incarnation
  )
    return false;
  return exists(resource) || (operation !== null && !operation.unstarted);
}

const hasEnded = (inst: Instance, incarnation: string | null): boolean =>
  incarnation !== null && inst.endedIncarnations.includes(incarnation);

const stoppedNow = (seen: Look, old: Resource | null): Look => ({
  ...seen,
  state: 'stopped',
  exit: old?.incarnation === seen.incarnation ? (old?.exit ?? null) : null,
});

const quickLife = (inst: Instance, event: StoredEvent): boolean =>
  event.at - (inst.runningSince ?? inst.resource?.since ?? event.at) < QUICK_FAILURE_MS;

function beginLife(inst: Instance, event: StoredEvent): void {
  if (inst.spec.heartbeat !== null || inst.spec.health !== null || inst.agent !== null) {
    inst.agent = {
      heard: 'never',
      heardSeq: event.seq,
      heardAt: event.at,
      health: 'unasked',
      healthSeq: event.seq,
      healthAt: event.at,
      degraded: null,
      busy: false,
      version: inst.agent?.version ?? null,
    };
  }
  // It starts from its backing store; what it was told before is gone (L36).
  if (inst.config !== null) inst.config = { ...inst.config, applied: inst.config.persisted, observed: null };
  inst.activeAt = event.at;
  inst.completed = false;
  // It found every plugin as it is now.
  inst.restartDueSeq = null;
  // A lazy one found running is adopted as awake, whoever woke it.
  if (inst.spec.lifecycle === 'lazy' && inst.desired === 'running') inst.awake = true;
  // It answers every restart asked so far; one asked while an operation is at work, only the next start answers (L30).
  if (inst.operation === null || (inst.restartAskedSeq ?? 0) < inst.operation.seq) inst.restartAskedSeq = null;
}

interface End {
  readonly incarnation: string | null;
  readonly exit: Exit | null;
  readonly quick: boolean;
  /** It cannot go on: it has an exit, was reported as an end, or another life took its place. */
  readonly proved: boolean;
  /** The newest life there is; another may run by now. */
  readonly present: boolean;
}

/** One life is over. Says who is to blame, once. */
function endLife(state: FleetState, inst: Instance, end: End, event: StoredEvent): void {
  const { incarnation, exit, quick, proved, present } = end;
  if (hasEnded(inst, incarnation)) return;
  if (proved && incarnation !== null)
    inst.endedIncarnations = [...inst.endedIncarnations.slice(1 - MAX_ENDED_LIVES), incarnation];
  const planned =
    inst.desired !== 'running' ||
    (incarnation !== null && incarnation === inst.endingIncarnation) ||
    endedByUs(inst, end);
  const exitClass = classifyExit(exit, planned);
  if (exitClass === 'planned') return;
  if (exitClass === 'completed' && inst.spec.lifecycle === 'lazy' && !awaited(inst, event.at)) {
    if (present) restsNow(inst);
    return;
  }
  if (exitClass === 'completed' && inst.spec.lifecycle === 'hot' && inst.spec.onComplete === 'stop') {
    if (present) inst.completed = true;
    return;
  }
  flap(inst, { kind: flapKind(inst.spec.targetType, 'stopped'), seq: event.seq, at: event.at, incarnation, exit });
  recordLoss(state, inst, 'stopped', event);
  // Perhaps it was done and went to sleep, perhaps it crashed. Nobody waits for it, and the next wake starts it in either case.
  if (
    exitClass === 'unknown' &&
    inst.spec.lifecycle === 'lazy' &&
    !awaited(inst, event.at) &&
    inst.agent?.busy !== true
  ) {
    if (present) restsNow(inst);
    return;
  }
  inst.restarts = { ...inst.restarts, crashes: inst.restarts.crashes + 1 };
  // Perhaps it completed what must not be done twice: that is for somebody to say.
  const doubtful = exitClass === 'unknown' && inst.spec.onComplete === 'stop' && present;
  recordFailure(
    inst,
    {
      concern: 'run',
      cause: 'exit',
      class: exitClass === 'config-invalid' || doubtful ? 'terminal' : 'transient',
      code: exitClass === 'unknown' ? 'exit-unknown' : exitClass,
      message: `the agent stopped though nobody asked: ${exitText(exit)}${doubtful ? DOUBT : ''}`,
      at: event.at,
      seq: event.seq,
      quick,
      operation: null,
      attempt: null,
      counted: false,
    },
    state.policy.giveUpAfter,
  );
  // What the rollout took down comes up and falls again: no need to wait for the proof's deadline (L79).
  if ((inst.concerns.run?.streak ?? 0) >= CRASH_LOOP_STREAK) rolloutFailed(state, inst.uid);
}

function restsNow(inst: Instance): void {
  inst.awake = false;
  inst.sleepAskedSeq = null;
}

const DOUBT =
  '. Whether it completed its work (`onComplete: stop`) is not known either, so look before you have it run again: "reconcile" does that';

/** While an operation of ours that ends lives is at work, one that ends as if told to ended by that, whichever life it was sent to end. */
function endedByUs({ operation }: Instance, { exit }: End): boolean {
  switch (operation?.kind) {
    case 'stop':
    case 'sleep':
    case 'destroy':
      return true;
    case 'restart':
    case 'update': {
      // These begin a life, too: one that crashes at once does not end as told.
      const how = exit === null ? 'killed' : classifyExit(exit, false);
      return how === 'completed' || how === 'killed';
    }
    default:
      return false;
  }
}

/** Somebody waits for an answer, or leased its time. Then the exit 0 of a lazy one is no sleep: it would be started, end, and be started without a count. */
export const awaited = ({ work }: Instance, at: number): boolean =>
  work.open || (work.leaseUntil !== null && work.leaseUntil > at);

/** It existed and is proved to exist no more. */
function vanish(state: FleetState, inst: Instance, event: StoredEvent): void {
  if (inst.desired === 'deleted' || inst.removing) return;
  const old = inst.resource;
  // Its life is not marked as ended: should two listings have lied, it is seen running again, and believed.
  flap(inst, {
    kind: flapKind(inst.spec.targetType, 'missing'),
    seq: event.seq,
    at: event.at,
    incarnation: old?.incarnation ?? null,
    exit: null,
  });
  if (inst.desired !== 'running' || inst.completed) return;
  recordLoss(state, inst, 'missing', event);
  recordFailure(
    inst,
    {
      concern: 'run',
      cause: 'exit',
      class: 'transient',
      code: 'missing',
      message: `its resource ${old?.ref ?? ''} is gone from target "${inst.spec.target}" though nobody asked`,
      at: event.at,
      seq: event.seq,
      quick: quickLife(inst, event),
      operation: null,
      attempt: null,
      counted: false,
    },
    state.policy.giveUpAfter,
  );
}

function flap(inst: Instance, one: Instance['flaps'][number]): void {
  inst.flaps = [...inst.flaps.slice(-(MAX_PENDING_FLAPS - 1)), one];
}

const refKey = (inst: Instance, ref: string): string => `${inst.spec.target}\0${ref}`;

/** Keeps the index behind invariant 3: no two instances hold one resource. */
function claimRef(state: FleetState, inst: Instance, look: Look): void {
  const oldRef = exists(inst.resource) ? (inst.resource?.ref ?? null) : null;
  const newRef = look.state === 'missing' ? null : look.ref;
  if (oldRef === newRef) return;
  if (oldRef !== null) releaseRef(state, inst, oldRef);
  if (newRef === null) return;
  const holders = state.refs.get(refKey(inst, newRef)) ?? [];
  for (const holder of holders) state.dirty.add(holder);
  hold(state, refKey(inst, newRef), [...holders, inst.uid]);
}

export function releaseRef(state: FleetState, inst: Instance, ref: string): void {
  const left = (state.refs.get(refKey(inst, ref)) ?? []).filter((uid) => uid !== inst.uid);
  for (const holder of left) state.dirty.add(holder);
  hold(state, refKey(inst, ref), left);
}

function hold(state: FleetState, key: string, uids: readonly string[]): void {
  if (uids.length === 0) state.refs.delete(key);
  else state.refs.set(key, uids);
  if (uids.length > 1) state.contested.add(key);
  else state.contested.delete(key);
}

/** Everybody who is known to hold its resource, itself included. */
export function holdersOf(state: FleetState, inst: Instance): readonly string[] {
  const ref = inst.resource?.ref;
  return ref == null ? [] : (state.refs.get(refKey(inst, ref)) ?? []);
}

/** True when another instance holds the same resource (invariant 3; both are held until one lets go). */
export function sharesResource(state: FleetState, inst: Instance): boolean {
  const ref = inst.resource?.ref;
  return state.contested.size > 0 && ref != null && exists(inst.resource) && state.contested.has(refKey(inst, ref));
}
