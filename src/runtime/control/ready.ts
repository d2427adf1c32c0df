/**
 * Readiness tells of the loop itself: a reconciler that is wedged under a green status page is what operators fear most
 * (L09). Every reason is a sentence.
 */
import type { Readiness } from '../api.ts';
import { WEDGED_AFTER_MS } from '../limits.ts';
import type { World } from '../world.ts';

export async function ready(world: World): Promise<Readiness> {
  const because: string[] = [];
  const mono = world.clock.mono();
  const owned = new Set(world.runtime.fleets().map((fleet) => fleet.name));
  for (const { loop, name } of world.runtime.fleets()) {
    if (loop.failure !== null) because.push(`fleet "${name}": the last tick failed: ${loop.failure}`);
    const running = loop.tickingSinceMono === null ? 0 : mono - loop.tickingSinceMono;
    if (running > WEDGED_AFTER_MS) because.push(`fleet "${name}": a tick has been running for ${seconds(running)}`);
    const age = mono - loop.lastTickMono;
    if (age > WEDGED_AFTER_MS) because.push(`fleet "${name}": the last good tick was ${seconds(age)} ago`);
  }
  try {
    for (const { fleet } of await world.store.fleets()) {
      if (!owned.has(fleet)) because.push(`fleet "${fleet}" is not owned by this process`);
    }
  } catch (error) {
    because.push(`the store does not answer: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { ready: because.length === 0, because };
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
