/**
 * Data that outlived its instances. It is listed, and deleted only one by one, by name, on the operator's word: no prune
 * and no clean-up ever takes it along (L80).
 */
import type { By } from '../../core/events.ts';
import { Refusal, type Volume } from '../api.ts';
import { withDeadline } from '../deadline.ts';
import { VOLUMES_MS } from '../limits.ts';
import type { TargetObserver } from '../observer.ts';
import type { World } from '../world.ts';
import { fleetOf } from './fleets.ts';

interface Found {
  readonly observer: TargetObserver;
  readonly volume: Volume;
}

export async function volumes(world: World, fleet: string): Promise<readonly Volume[]> {
  return (await found(world, fleet)).map(({ volume }) => volume);
}

/** A target that cannot be asked is an error: a list without its volumes would look complete. */
async function found(world: World, fleet: string): Promise<readonly Found[]> {
  fleetOf(world, fleet);
  const all: Found[] = [];
  for (const observer of world.targets.all()) {
    const ability = observer.target.volumes;
    if (ability === undefined) continue;
    const what = `asking target "${observer.name}" for its volumes`;
    const retained = await withDeadline(world.clock, VOLUMES_MS, what, (signal) => ability.retained(signal));
    for (const volume of retained)
      if (volume.fleet === fleet) all.push({ observer, volume: { target: observer.name, ...volume } });
  }
  return all;
}

export async function removeVolume(world: World, fleet: string, name: string, by: By): Promise<Volume> {
  const one = (await found(world, fleet)).find(({ volume }) => volume.name === name);
  if (one === undefined) {
    throw new Refusal(
      'not-found',
      'no-volume',
      `fleet "${fleet}" has no retained volume called "${name}"; one that an instance holds is no retained one`,
    );
  }
  const { observer, volume } = one;
  const what = `removing volume ${name} of target "${observer.name}"`;
  await withDeadline(world.clock, VOLUMES_MS, what, async (signal) => observer.target.volumes?.remove(name, signal));
  world.log.info({ fleet, volume: name, instance: volume.instance, token: by.token }, 'a retained volume was deleted');
  return volume;
}
