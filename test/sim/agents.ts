/** The agents inside the simulated resources: they beat while they run and are not wedged, through whatever plane lives. */
import type { FleetState } from '../../src/core/model.ts';
import type { Beat } from '../../src/runtime/liveness.ts';
import type { SimClock } from './clock.ts';
import type { Chance } from './prng.ts';
import type { SimWorld } from './world.ts';

const EVERY_MS = 20_000;

export function beatForever(
  clock: SimClock,
  chance: Chance,
  world: SimWorld,
  to: () => { state: FleetState; beat: (uid: string, beat: Beat) => void } | null,
): void {
  const round = (): void => {
    const plane = to();
    if (plane !== null) {
      for (const resource of world.resources.values()) {
        if (resource.state !== 'running' || resource.wedged) continue;
        if (!world.mood.calm && chance.is(0.02)) continue;
        const busy = !world.mood.calm && chance.is(0.1);
        plane.beat(resource.uid, { status: !world.mood.calm && chance.is(0.005) ? 'degraded' : 'ready', activeTasks: busy ? 1 : 0 });
      }
    }
    clock.after(EVERY_MS, round);
  };
  clock.after(EVERY_MS, round);
}
