/** What must hold after every tick, at the end of a history, and when it is read again. */
import { decide } from '../../src/core/decide.ts';
import type { StoredEvent } from '../../src/core/events.ts';
import { emptyState } from '../../src/core/evolve.ts';
import type { FleetState, Instance } from '../../src/core/model.ts';
import { replay } from '../../src/core/replay.ts';
import { toEvents } from '../../src/core/tick.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import type { TickReport } from '../../src/runtime/loop.ts';
import type { SimWorld } from './world.ts';

export class Violated extends Error {
  override readonly name = 'Violated';
}

let ticksChecked = 0;

export function checkTick(fleet: Fleet, report: TickReport): void {
  const { state } = fleet.loop;
  for (const { uid, type, instance } of report.decision.actions) {
    const inst = state.instances.get(uid);
    if (inst === undefined || (type !== 'provision' && type !== 'start' && type !== 'restart')) continue;
    if (inst.desired !== 'running') throw new Violated(`${instance}: ${type} was decided though it is desired ${inst.desired} (seq ${state.seq})`);
  }
  const first = report.violations[0];
  if (first !== undefined) throw new Violated(`invariant ${first.invariant}: ${first.instance ?? 'fleet'}: ${first.message} (seq ${state.seq})`);
  ticksChecked += 1;
  // Deciding everybody must decide nothing that deciding the dirty and the due did not.
  if (ticksChecked % 20 === 0 && state.dirty.size === 0) {
    const missed = toEvents(decide(state, report.decision.now, state.instances.keys()))[0];
    if (missed?.type === 'tick.decided') throw new Violated(`a look at everybody finds what the tick missed: ${JSON.stringify(missed.data).slice(0, 600)} (seq ${state.seq})`);
  }
}

/** Every instance is at rest as declared, and the world agrees. */
export function checkConverged(fleet: Fleet, world: SimWorld): void {
  const { state } = fleet.loop;
  if (state.dirty.size > 0) throw new Violated(`${state.dirty.size} instances are still dirty`);
  if (world.doubles.length > 0) throw new Violated(`two lives at once: ${world.doubles.join(', ')}`);
  for (const inst of state.instances.values()) {
    const problem = unsettled(state, inst, world);
    if (problem !== null) throw new Violated(`${inst.name} (${inst.uid}) did not converge: ${problem}; phase ${inst.phase}, hold ${JSON.stringify(inst.hold)}, concerns ${JSON.stringify(inst.concerns)}`);
  }
  for (const { uid, instance } of world.resources.values()) {
    const inst = state.instances.get(uid);
    // Forgotten on the operator's word: an orphan, and never touched.
    if (inst === undefined && !fleet.loop.agenda) throw new Violated(`${instance} (${uid}) runs on though it was deleted`);
  }
}

function unsettled(state: FleetState, inst: Instance, world: SimWorld): string | null {
  const resource = world.resources.get(inst.uid);
  if (inst.desired === 'deleted') return 'it is still being deleted';
  if (inst.operation !== null) return `${inst.operation.kind} is still in flight`;
  if (inst.desired === 'stopped') return resource?.state === 'running' ? 'it should be stopped, and runs' : inst.phase === 'STOPPED' ? null : 'it should be STOPPED';
  if (inst.completed) return inst.phase === 'STOPPED' ? null : 'it completed, and should be STOPPED';
  if (resource === undefined) return 'it should exist, and does not';
  if (resource.infra !== inst.hashes.infra) return 'it was made from another spec';
  if (inst.spec.lifecycle === 'lazy' && inst.phase === 'SLEEPING') return resource.state === 'stopped' ? null : 'it should sleep, and runs';
  if (inst.phase !== 'RUNNING') return 'it should be RUNNING';
  void state;
  return resource.state === 'running' ? null : 'it is shown RUNNING, and does not run';
}

/** Read again, the log decides what it decided (invariant 12). */
export function checkReplay(log: readonly StoredEvent[]): void {
  const result = replay(emptyState('sim'), log);
  if (result.kind === 'refused') throw new Violated(`the log cannot be replayed: ${result.because}`);
  const first = result.differences[0];
  if (first !== undefined) throw new Violated(`the replay differs in ${result.counts.differences} places, first: ${JSON.stringify(first).slice(0, 800)}`);
}
