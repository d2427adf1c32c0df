/**
 * Waiting for what was asked to be so: not for the request to be over, but for the instance to be at rest as desired, to
 * have failed, or to be held by something that only a person or another fact can lift (L13).
 */
import { Case } from '../../core/case.ts';
import type { HoldReason, Instance } from '../../core/model.ts';
import type { WaitResult } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import { MAX_WAIT_MS } from '../limits.ts';
import type { World } from '../world.ts';
import { fleetOf } from './fleets.ts';
import { viewOf } from './reads.ts';

/** Holds that end by themselves before long; behind the others it is no use to wait. */
const PASSING: ReadonlySet<HoldReason> = new Set(['unsynced', 'backoff', 'rollout', 'budget', 'busy', 'predecessor']);

export async function settled(
  world: World,
  fleetName: string,
  name: string,
  seq: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<WaitResult> {
  const fleet = fleetOf(world, fleetName);
  let uid: string | undefined;
  const look = (): WaitResult | null => {
    // What was asked is not folded yet: neither is the name, perhaps.
    if (fleet.loop.state.seq < seq) return null;
    uid ??= fleet.loop.state.names.get(name);
    return uid === undefined ? gone : outcome(fleet, uid);
  };
  return new Promise((resolve) => {
    let done = false;
    const finish = (result: WaitResult): void => {
      if (done) return;
      done = true;
      unlisten();
      cancel();
      signal.removeEventListener('abort', giveUp);
      resolve(result);
    };
    const check = (): void => {
      const result = look();
      if (result !== null) finish(result);
      // It is ours no more, and will never speak again: nobody knows yet what becomes of what was asked.
      else if (fleet.ended || signal.aborted) giveUp();
    };
    const giveUp = (): void => finish(unsettled(fleet, uid));
    const unlisten = fleet.listen(check);
    const cancel = world.clock.after(Math.min(timeoutMs, MAX_WAIT_MS), giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    check();
  });
}

const gone: WaitResult = { outcome: 'succeeded', phase: null, lastError: null, hold: null };

/** null: not yet. */
function outcome(fleet: Fleet, uid: string): WaitResult | null {
  const { state } = fleet.loop;
  if (state.dirty.has(uid)) return null;
  const inst = state.instances.get(uid);
  if (inst === undefined) return gone;
  const verdict = unlooked(fleet, inst) ? null : verdictOf(fleet, inst);
  return verdict === null ? null : { outcome: verdict, ...told(fleet, inst) };
}

/** Since we started, nobody has looked at its target: what is folded is what was so when the last owner wrote it (L13). */
function unlooked(fleet: Fleet, inst: Instance): boolean {
  const target = fleet.loop.state.targets.get(inst.spec.target);
  return (
    inst.spec.targetType !== 'external' &&
    target !== undefined &&
    !target.synced &&
    target.stale === null &&
    target.refused === null
  );
}

function verdictOf(fleet: Fleet, inst: Instance): 'succeeded' | 'failed' | 'held' | null {
  if (inst.operation !== null) return null;
  const hold = inst.hold;
  if (hold !== null && !PASSING.has(hold.reason)) return hold.reason === 'gave-up' ? 'failed' : 'held';
  switch (inst.phase) {
    case 'RUNNING':
    case 'STOPPED':
      return 'succeeded';
    case 'SLEEPING':
      // A sleeper is brought up to date without a change of phase (L83); until then what was asked has not come about.
      if (asDeclared(fleet, inst)) return 'succeeded';
      return repairFailed(inst) ? 'failed' : null;
    case 'ERROR':
      return 'failed';
    case 'DEGRADED':
      return hold === null && repairFailed(inst) ? 'failed' : null;
    case 'CREATING':
      // External: all that can be done is done; what is awaited is its own first heartbeat.
      return inst.spec.targetType === 'external' ? 'succeeded' : null;
    default:
      return null;
  }
}

function asDeclared(fleet: Fleet, inst: Instance): boolean {
  const c = new Case(fleet.loop.state, inst, fleet.loop.time());
  return !c.infraDrift() && !c.configUnpersisted() && !c.pluginsDiffer() && !c.restartDue();
}

const repairFailed = (inst: Instance): boolean =>
  Object.values(inst.concerns).some((concern) => concern.error !== null);

function unsettled(fleet: Fleet, uid: string | undefined): WaitResult {
  const inst = uid === undefined ? undefined : fleet.loop.state.instances.get(uid);
  if (inst === undefined) return uid === undefined ? { ...gone, outcome: 'timeout' } : gone;
  return { outcome: inst.hold !== null ? 'held' : 'timeout', ...told(fleet, inst) };
}

function told(fleet: Fleet, inst: Instance): Omit<WaitResult, 'outcome'> {
  const view = viewOf(fleet, inst);
  return { phase: view.phase, lastError: view.lastError, hold: view.hold };
}
