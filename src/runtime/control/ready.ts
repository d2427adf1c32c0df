/**
 * Does Holdfast do its work? A reconciler that is wedged under a green status page is what operators fear most (L09). Every
 * reason is a sentence, and asking ends in time, whatever hangs.
 *
 *  - `ready`: everything that keeps it from its work, its surroundings included.
 *  - `alive`: only what would end by starting it anew: a loop that is stuck though nothing outside is at fault. While a store
 *    is down, a restart helps nobody.
 */
import type { Readiness } from '../api.ts';
import { withDeadline } from '../deadline.ts';
import type { Fleet } from '../fleet.ts';
import { BLOCKED_MS, READY_ASK_MS, WEDGED_AFTER_MS } from '../limits.ts';
import { wordsOf } from '../../core/error-words.ts';
import type { World } from '../world.ts';

export async function ready(world: World): Promise<Readiness> {
  const because = world.runtime.fleets().flatMap((fleet) => [...failing(fleet), ...stuck(world, fleet)]);
  const { worstMs } = world.lag();
  if (worstMs >= BLOCKED_MS)
    because.push(
      `the event loop stood still for ${seconds(worstMs)} within the last minute; nothing was decided or answered meanwhile`,
    );
  because.push(...(await unowned(world)));
  return { ready: because.length === 0, because };
}

export async function alive(world: World): Promise<Readiness> {
  const wedged = world.runtime
    .fleets()
    .filter(({ loop }) => loop.failure === null)
    .flatMap((fleet) => stuck(world, fleet));
  // Just awake again: what is overdue gets its turn before it is called stuck.
  if (wedged.length === 0 || world.lag().worstMs >= BLOCKED_MS) return { ready: true, because: [] };
  try {
    await stored(world);
  } catch {
    // Its store hangs or fails: that is not its fault, and `ready` says it.
    return { ready: true, because: [] };
  }
  return { ready: false, because: wedged };
}

const failing = ({ name, loop }: Fleet): readonly string[] =>
  loop.failure === null ? [] : [`fleet "${name}": the last tick failed: ${loop.failure}`];

function stuck(world: World, { loop, name }: Fleet): readonly string[] {
  const because: string[] = [];
  const mono = world.clock.mono();
  const running = loop.tickingSinceMono === null ? 0 : mono - loop.tickingSinceMono;
  if (running > WEDGED_AFTER_MS) because.push(`fleet "${name}": a tick has been running for ${seconds(running)}`);
  const age = mono - loop.lastTickMono;
  if (age > WEDGED_AFTER_MS) because.push(`fleet "${name}": the last good tick was ${seconds(age)} ago`);
  return because;
}

async function unowned(world: World): Promise<readonly string[]> {
  const owned = new Set(world.runtime.fleets().map((fleet) => fleet.name));
  try {
    return (await stored(world))
      .filter(({ fleet }) => !owned.has(fleet))
      .map(({ fleet }) => `fleet "${fleet}" is not owned by this process`);
  } catch (error) {
    return [`the store does not answer: ${wordsOf(error)}`];
  }
}

const stored = (world: World): ReturnType<World['store']['fleets']> =>
  withDeadline(world.clock, READY_ASK_MS, 'asking the store for its fleets', () => world.store.fleets());

const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`;
