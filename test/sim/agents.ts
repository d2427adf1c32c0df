/** The agents inside the simulated resources, and those that run elsewhere: they beat, through whatever plane lives. */
import type { Beat } from '../../src/runtime/beats.ts';
import type { Planes } from './planes.ts';
import type { Chance } from './prng.ts';
import type { SimWorld } from './world.ts';

const BEAT_EVERY_MS = 20_000;

export function beatForever(world: SimWorld, chance: Chance, planes: Planes): void {
  const { clock, weather } = world;
  const deliver = (uid: string, beat: Beat): void => planes.fleet?.liveness?.beat(uid, beat);
  const send = (uid: string, beat: Beat): void => {
    if (weather.is('beat-lost')) return;
    if (weather.is('beat-late')) clock.after(chance.int(100, 60_000), () => deliver(uid, beat));
    else deliver(uid, beat);
    if (weather.is('beat-twice')) deliver(uid, beat);
  };
  const round = (): void => {
    for (const { resource } of world.all()) {
      if (!world.beats(resource)) continue;
      const { degraded, busy } = resource.agent;
      send(resource.uid, {
        status: degraded ? 'degraded' : 'ready',
        message: `my error rate is high with ${resource.key}`,
        activeTasks: busy ? 1 : 0,
        version: resource.image,
      });
    }
    for (const { uid, spec } of planes.fleet?.loop.state.instances.values() ?? []) {
      if (spec.targetType === 'external' && (world.mutedUntil.get(uid) ?? 0) <= clock.now)
        send(uid, { status: 'ready' });
    }
    clock.after(BEAT_EVERY_MS, round);
  };
  clock.after(BEAT_EVERY_MS, round);
}
