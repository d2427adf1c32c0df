/**
 * Folds the one rollout of a fleet: which instances the present revision took down, and which of them are proved again.
 */
import { DEFAULT_DEADLINE_MS } from '../limits.ts';
import { startGraceMs } from '../liveness.ts';
import type { FleetState } from '../model.ts';

/** A new revision starts a new rollout, and with it lifts the hold of a failed one. */
export function rolloutBegins(state: FleetState, revision: string, at: number): void {
  if (state.rollout?.revision === revision) return;
  state.rollout = { revision, at, proved: 0, failures: 0, active: new Map() };
  // Whoever waits for the old one, waits for another now.
  for (const uid of state.instances.keys()) state.dirty.add(uid);
}

export function rolloutTakesDown(state: FleetState, uid: string, proofDueAt: number): void {
  // In place: a copy of it for each of 100,000 that a rollout takes down would cost minutes.
  state.rollout?.active.set(uid, proofDueAt);
}

/** A new owner: nothing could be proved in its absence, and the operations of the old one are begun anew. Each has its whole time again. */
export function rolloutGoesOn(state: FleetState, at: number): void {
  const { rollout, policy } = state;
  if (rollout === null || rollout.active.size === 0) return;
  const due = [...rollout.active].map(([uid, old]): [string, number] => {
    const inst = state.instances.get(uid);
    const deadlineMs =
      inst === undefined ? 0 : (state.targets.get(inst.spec.target)?.deadlinesMs.update ?? DEFAULT_DEADLINE_MS);
    const graceMs = inst === undefined ? 0 : startGraceMs(inst);
    return [uid, Math.max(old, at + deadlineMs + graceMs + policy.rollout.healthyForMs)];
  });
  state.rollout = { ...rollout, active: new Map(due) };
}

export const rolloutProved = (state: FleetState, uid: string): void => leave(state, uid, { proved: 1, failures: 0 });
export const rolloutLeft = (state: FleetState, uid: string): void => leave(state, uid, { proved: 0, failures: 0 });
export const rolloutFailed = (state: FleetState, uid: string): void => leave(state, uid, { proved: 0, failures: 1 });

function leave(state: FleetState, uid: string, add: { proved: number; failures: number }): void {
  const rollout = state.rollout;
  if (rollout === null || !rollout.active.delete(uid)) return;
  state.rollout = { ...rollout, proved: rollout.proved + add.proved, failures: rollout.failures + add.failures };
  // A failure may halt everybody who waits; who that is, only the next decision knows.
  if (add.failures > 0) for (const other of state.instances.keys()) state.dirty.add(other);
}

/** An operator takes the failed revision on: it goes on as if nothing had failed. */
export function rolloutOverridden(state: FleetState): void {
  if (state.rollout !== null) state.rollout = { ...state.rollout, failures: 0 };
}
