/**
 * What operators complain about first: a dead agent that is shown as healthy. Compares, once a minute, what is shown with
 * what is, and allows only as long as finding out may take.
 */
import type { Instance } from '../../src/core/model.ts';
import type { Planes } from './planes.ts';
import { Violated } from './violated.ts';
import type { SimWorld } from './world.ts';

const LOOK_EVERY_MS = 60_000;
/** A lost notice is found by the next listing; listings that fail for 10 s make the target stale; silence is judged after 60 s. */
const ALLOWED_LOOKS = 6;

export function watchGreen(world: SimWorld, planes: Planes, fail: (error: unknown) => void): void {
  const wrongFor = new Map<string, number>();
  const look = (): void => {
    const owner = planes.fleet;
    if (owner === null || planes.ownedForMs < LOOK_EVERY_MS) wrongFor.clear();
    for (const inst of owner?.loop.state.instances.values() ?? []) {
      const lie = inst.phase === 'RUNNING' ? wrongly(inst, world) : null;
      const looks = lie === null ? 0 : (wrongFor.get(inst.uid) ?? 0) + 1;
      wrongFor.set(inst.uid, looks);
      if (looks > ALLOWED_LOOKS)
        fail(new Violated(`${inst.name} (${inst.uid}) has been shown RUNNING for ${looks} minutes, and ${lie}`));
    }
    world.clock.after(LOOK_EVERY_MS, look);
  };
  world.clock.after(LOOK_EVERY_MS, look);
}

function wrongly(inst: Instance, world: SimWorld): string | null {
  if (inst.spec.targetType === 'external')
    return (world.mutedUntil.get(inst.uid) ?? 0) > world.clock.now ? 'it cannot be heard' : null;
  const resource = world.find(inst.uid)?.resource;
  if (resource === undefined) return 'it is gone';
  if (resource.state !== 'running' || resource.paused) return `it is ${resource.paused ? 'paused' : resource.state}`;
  const declared = inst.spec.heartbeat !== null || inst.spec.health !== null;
  return declared && resource.agent.wedged ? 'it hangs' : null;
}
