/** Finding fleets and instances, or saying that they are not there; and writing facts of operators. */
import { wordsOf } from '../../core/error-words.ts';
import type { NewEvent, StoredEvent } from '../../core/events.ts';
import type { Instance } from '../../core/model.ts';
import { StoreError } from '../../ports/store.ts';
import { Refusal } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import type { World } from '../world.ts';

export function fleetOf(world: World, name: string): Fleet {
  const fleet = world.runtime.fleet(name);
  if (fleet !== null) return fleet;
  if (world.runtime.isAwaited(name)) {
    throw new Refusal('unavailable', 'not-owned', `fleet "${name}" is being taken over; ask again in a few seconds`);
  }
  const known = world.runtime.fleets().map((one) => one.name);
  const hint = known.length === 0 ? 'there is none yet; apply a manifest' : `there are: ${known.join(', ')}`;
  throw new Refusal('not-found', 'no-fleet', `no fleet is called "${name}" here (${hint})`);
}

export function instanceOf(fleet: Fleet, name: string): Instance {
  const uid = fleet.loop.state.names.get(name);
  const inst = uid === undefined ? undefined : fleet.loop.state.instances.get(uid);
  if (inst === undefined)
    throw new Refusal('not-found', 'no-instance', `fleet "${fleet.name}" has no instance called "${name}"`);
  return inst;
}

/** Durable when it resolves; the loop is told. */
export async function append(
  world: World,
  fleet: Fleet,
  events: readonly NewEvent[],
  expect?: number,
): Promise<readonly StoredEvent[]> {
  try {
    const written = await world.store.append(fleet.name, events, () => fleet.loop.time(), expect);
    fleet.loop.poke();
    return written;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'conflict') throw error;
    throw new Refusal('unavailable', 'log-not-writable', `nothing was done: ${wordsOf(error)}`);
  }
}

/** Everything durable is folded and decided: what is read now is not older than what was asked. */
export async function upToDate(fleet: Fleet, seq: number): Promise<void> {
  try {
    await fleet.loop.decidedUpTo(seq);
  } catch (error) {
    const message = wordsOf(error);
    throw new Refusal('unavailable', 'loop-not-ready', message);
  }
}

/**
 * After a fact is durable, waits for the loop to have decided on it; but a loop that cannot just now takes nothing back. To
 * refuse what is in the log already would have it asked a second time (L30).
 */
export async function taken(fleet: Fleet, seq: number): Promise<void> {
  await fleet.loop.decidedUpTo(seq).catch(() => undefined);
}
