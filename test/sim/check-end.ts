/** What must hold at the end of a history: all is as declared, and the log reads again as it was written. */
import { createHash } from 'node:crypto';
import { logChecker } from '../../src/core/audit.ts';
import type { StoredEvent } from '../../src/core/events.ts';
import { emptyState } from '../../src/core/evolve.ts';
import type { FleetState, Instance } from '../../src/core/model.ts';
import { Replay } from '../../src/core/replay.ts';
import { freeze, thaw } from '../../src/core/snapshot.ts';
import type { Snapshot } from '../../src/ports/store.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import { Violated } from './violated.ts';
import type { SimWorld } from './world.ts';

/** Every instance is at rest as declared, and the world agrees; nothing is left over that nobody knows why. */
export function checkConverged(fleet: Fleet, world: SimWorld, log: readonly StoredEvent[]): void {
  const { state } = fleet.loop;
  if (state.dirty.size > 0) throw new Violated(`${state.dirty.size} instances are still dirty`);
  for (const inst of state.instances.values()) {
    const problem = inst.spec.targetType === 'external' ? unheard(inst) : unsettled(inst, world);
    if (problem !== null) {
      const { name, uid, phase, hold, concerns, resource } = inst;
      throw new Violated(
        `${name} (${uid}) did not converge: ${problem}; ${JSON.stringify({ phase, hold, concerns, resource })}`,
      );
    }
  }
  const forgotten = new Set(
    log.flatMap((event) => (event.type === 'spec.deleted' && event.data.forget ? [event.uid ?? ''] : [])),
  );
  for (const { resource } of world.all()) {
    const { uid, instance } = resource;
    // Forgotten on the operator's word: an orphan, and never touched. Made by a call that nobody could take back: likewise.
    if (state.instances.has(uid) || forgotten.has(uid) || world.truth.lateMade.has(uid)) continue;
    throw new Violated(`${instance} (${uid}) is left on its target, and nobody knows it`);
  }
}

function unheard(inst: Instance): string | null {
  if (inst.desired === 'stopped') return inst.phase === 'STOPPED' ? null : 'it should be STOPPED';
  return inst.phase === 'RUNNING' ? null : 'it is heard, and should be RUNNING';
}

function unsettled(inst: Instance, world: SimWorld): string | null {
  const resource = world.find(inst.uid)?.resource;
  if (inst.desired === 'deleted') return 'it is still being deleted';
  if (inst.operation !== null) return `${inst.operation.kind} is still in flight`;
  if (inst.desired === 'stopped')
    return resource?.state === 'running'
      ? 'it should be stopped, and runs'
      : inst.phase === 'STOPPED'
        ? null
        : 'it should be STOPPED';
  if (inst.completed) return inst.phase === 'STOPPED' ? null : 'it completed, and should be STOPPED';
  if (resource === undefined) return 'it should exist, and does not';
  if (resource.infra !== inst.hashes.infra) return 'it was made from another spec';
  if (inst.hashes.config !== null && resource.disk.config.hash !== inst.hashes.config)
    return `another config is on its disk: ${resource.disk.config.hash}`;
  const plugins = [...resource.disk.plugins.values()].map(({ source, ref }) => `${source}#${ref}`).sort();
  const declared = inst.spec.plugins.map(({ source, ref }) => `${source}#${ref}`).sort();
  if (plugins.join() !== declared.join())
    return `its plugins are ${plugins.join() || 'none'}, and should be ${declared.join() || 'none'}`;
  if (inst.spec.lifecycle === 'lazy' && inst.phase === 'SLEEPING')
    return resource.state === 'stopped' ? null : 'it should sleep, and runs';
  if (inst.phase !== 'RUNNING') return 'it should be RUNNING';
  if (inst.hashes.config !== null && resource.inForce !== inst.hashes.config) return 'another config is in force';
  return resource.state === 'running' ? null : 'it is shown RUNNING, and does not run';
}

/** Read again, the log decides what it decided (invariant 12), has no hole (11), and gives what its owner believes. */
export function checkReplay(log: readonly StoredEvent[], believed: FleetState): void {
  const check = logChecker();
  for (const event of log) {
    const broken = check(event)[0];
    if (broken !== undefined) throw new Violated(`invariant ${broken.invariant}: ${broken.message}`);
  }
  const run = new Replay(emptyState('sim'));
  for (const event of log) run.feed(event);
  const result = run.result();
  if (result.kind === 'refused') throw new Violated(`the log cannot be replayed: ${result.because}`);
  const first = result.differences[0];
  if (first !== undefined)
    throw new Violated(
      `the replay differs in ${result.counts.differences} places, first: ${JSON.stringify(first).slice(0, 800)}`,
    );
  if (freeze(run.state) !== freeze(believed)) throw new Violated('what the owner believes is not what the log says');
}

/** From each snapshot to the next: the same decisions, and the very same state. So each can stand for the log before it. */
export function checkSnapshots(log: readonly StoredEvent[], snapshots: readonly Snapshot[]): void {
  snapshots.forEach((snapshot, i) => {
    const next = snapshots[i + 1];
    const run = new Replay(thaw(snapshot.body, snapshot.logic));
    for (const event of log.slice(snapshot.seq, next?.seq ?? snapshot.seq)) run.feed(event);
    const result = run.result();
    if (result.kind === 'refused')
      throw new Violated(`the log cannot be replayed from the snapshot at ${snapshot.seq}: ${result.because}`);
    const first = result.differences[0];
    if (first !== undefined)
      throw new Violated(
        `the replay from the snapshot at ${snapshot.seq} differs: ${JSON.stringify(first).slice(0, 800)}`,
      );
    if (next !== undefined && freeze(run.state) !== next.body)
      throw new Violated(`folding on from the snapshot at ${snapshot.seq} does not give the one at ${next.seq}`);
  });
}

/** Two histories are the same if this is. */
export const digestOf = (log: readonly StoredEvent[]): string => {
  const hash = createHash('sha256');
  for (const event of log) hash.update(JSON.stringify(event));
  return hash.digest('hex').slice(0, 16);
};
