/**
 * Facts that parts of the runtime bring which this simulation has no other part for: work through the wake proxy, leases,
 * and what is seen of config at the agents. They come in by the same road as those, `loop.report`.
 */
import type { NewEvent } from '../../src/core/events.ts';
import type { FleetState, Instance } from '../../src/core/model.ts';
import type { Planes } from './planes.ts';
import type { Chance } from './prng.ts';
import { isAlive, type SimResource } from './resource.ts';
import type { SimWorld } from './world.ts';

const LOOK_EVERY_MS = 60_000;

/** Tells what differs at the agents, as a channel's watcher does. */
export function watchDrift(world: SimWorld, planes: Planes): void {
  const look = (): void => {
    const loop = planes.fleet?.loop;
    if (loop !== undefined && [...drift(world, loop.state)].length > 0)
      loop.report((state) => [...drift(world, state)]);
    world.clock.after(LOOK_EVERY_MS, look);
  };
  world.clock.after(LOOK_EVERY_MS, look);
}

function* drift(world: SimWorld, state: FleetState): Iterable<NewEvent> {
  for (const inst of state.instances.values()) {
    const resource = world.find(inst.uid)?.resource;
    // What an operation is changing just now is looked at when it is done.
    if (resource === undefined || inst.operation !== null || inst.desired === 'deleted') continue;
    const head = { instance: inst.name, uid: inst.uid };
    const inForce = configDrift(inst, resource);
    if (inForce !== null) yield { type: 'config.observed', ...head, data: { hash: inForce } };
  }
}

function configDrift({ config, resource: seen }: Instance, resource: SimResource): string | null {
  if (config === null || config.applied === null || !isAlive(resource) || seen?.incarnation !== resource.incarnation)
    return null;
  return resource.inForce !== null && resource.inForce !== (config.observed ?? config.applied)
    ? resource.inForce
    : null;
}

/** A request through the proxy: work begins, and ends some time later; if its owner died, nobody says so. */
export function work(world: SimWorld, planes: Planes, chance: Chance): void {
  const fleet = planes.fleet;
  if (fleet === null) return;
  const lazy = [...fleet.loop.state.instances.values()].filter(
    ({ spec, desired }) => spec.lifecycle === 'lazy' && desired === 'running',
  );
  if (lazy.length === 0) return;
  const { name, uid } = chance.pick(lazy);
  const fact =
    (type: 'work.began' | 'work.ended', open: boolean) =>
    (state: FleetState): readonly NewEvent[] => {
      const inst = state.instances.get(uid);
      return inst === undefined || inst.work.open === open ? [] : [{ type, instance: name, uid, data: {} }];
    };
  world.visited.add(uid);
  fleet.loop.report(fact('work.began', true));
  world.clock.after(chance.int(500, 180_000), () => {
    world.visited.delete(uid);
    planes.fleet?.loop.report(fact('work.ended', false));
  });
}

/** Work that has no request: leased for some minutes. */
export function lease(planes: Planes, chance: Chance): void {
  const fleet = planes.fleet;
  const all = [...(fleet?.loop.state.instances.values() ?? [])].filter(
    ({ desired, spec }) => desired === 'running' && spec.targetType !== 'external',
  );
  if (fleet === null || all.length === 0) return;
  const { name, uid } = chance.pick(all);
  const leaseUntil = fleet.loop.time() + chance.int(10_000, 1_200_000);
  fleet.loop.report((state) =>
    state.instances.has(uid) ? [{ type: 'work.began', instance: name, uid, data: { leaseUntil } }] : [],
  );
}
