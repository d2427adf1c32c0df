/**
 * Data that outlived its instances. It is listed, and deleted only one by one, by name, on the operator's word: no prune
 * and no clean-up ever takes it along; nor does a new instance inherit it by having the old name (L80).
 */
import { wordsOf } from '../../core/error-words.ts';
import type { By } from '../../core/events.ts';
import type { Manifest } from '../../core/manifest/read.ts';
import type { FleetState } from '../../core/model.ts';
import type { RetainedVolume } from '../../ports/target.ts';
import { Refusal, type Volume } from '../api.ts';
import { withDeadline } from '../deadline.ts';
import { RETAINED_MS, VOLUMES_MS } from '../limits.ts';
import type { TargetObserver } from '../observer.ts';
import type { World } from '../world.ts';
import { append, fleetOf } from './fleets.ts';

interface Found {
  readonly observer: TargetObserver;
  readonly volume: Volume;
}

export async function volumes(world: World, fleet: string): Promise<readonly Volume[]> {
  return (await found(world, fleet)).map(({ volume }) => volume);
}

/** A target that cannot be asked is an error: a list without its volumes would look complete. */
async function found(world: World, fleet: string): Promise<readonly Found[]> {
  const { state } = fleetOf(world, fleet).loop;
  const all: Found[] = [];
  for (const observer of world.targets.all()) {
    const ability = observer.target.volumes;
    if (ability === undefined) continue;
    const what = `asking target "${observer.name}" for its volumes`;
    const retained = await withDeadline(world.clock, VOLUMES_MS, what, (signal) =>
      ability.retained(signal, { sizes: true }),
    );
    for (const volume of retained)
      if (volume.fleet === fleet && !isInUse(state, volume))
        all.push({ observer, volume: { target: observer.name, ...volume } });
  }
  return all;
}

/** No container holds it just now, but an instance that lives has its data in it. */
function isInUse(state: FleetState, { instance, uid }: RetainedVolume): boolean {
  const heir = state.instances.get(state.names.get(instance) ?? '');
  return heir !== undefined && (heir.uid === uid || heir.spec.reuseData === true);
}

/**
 * Data that earlier instances of these names left where the new ones are to live. A target that cannot be asked just now keeps
 * nobody from declaring: it looks again itself before it makes anything.
 */
export async function retainedFor(
  world: World,
  state: FleetState,
  { fleet, specs }: Manifest,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const wanted = new Map<string, Set<string>>();
  for (const [name, { spec }] of specs) {
    const living = state.instances.get(state.names.get(name) ?? '');
    const stays = living !== undefined && living.desired !== 'deleted' && living.spec.target === spec.target;
    if (stays || spec.reuseData === true || spec.targetType === 'external') continue;
    wanted.set(spec.target, (wanted.get(spec.target) ?? new Set()).add(name));
  }
  const found = new Map<string, string[]>();
  for (const [target, names] of wanted) {
    for (const { instance, name, uid, fleet: whose, plugins } of await retainedOn(world, target)) {
      if (plugins === true) continue;
      const goes = state.instances.get(uid)?.deletion?.data === 'delete';
      if (whose === fleet && names.has(instance) && !goes) found.set(instance, [...(found.get(instance) ?? []), name]);
    }
  }
  return found;
}

async function retainedOn(world: World, target: string): Promise<readonly RetainedVolume[]> {
  const ability = world.targets.observer(target)?.target.volumes;
  if (ability === undefined) return [];
  const what = `asking target "${target}" for its volumes`;
  try {
    return await withDeadline(world.clock, RETAINED_MS, what, (signal) => ability.retained(signal));
  } catch (error) {
    world.log.warn({ target, error: wordsOf(error) }, 'a target could not say what data it keeps');
    return [];
  }
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
  const data = { target: observer.name, volume: name, instance: volume.instance };
  await append(world, fleetOf(world, fleet), [{ type: 'volume.removed', data, by }]);
  return volume;
}
