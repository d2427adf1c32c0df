/** Drops what is older than both bounds of the server file, never above the newest snapshot. A failure is logged and tried again. */
import { wordsOf } from '../core/error-words.ts';
import type { World } from './world.ts';

const EVERY_MS = 60 * 60_000;
const DAY_MS = 24 * 60 * 60_000;

export function keepRetention(world: World, keep: { days: number; events: number }): { stop(): void } {
  let cancel: () => void = () => undefined;
  let stopped = false;
  const schedule = (): void => {
    if (stopped) return;
    cancel = world.clock.after(EVERY_MS, () => void run().finally(schedule));
  };
  const run = async (): Promise<void> => {
    for (const { loop, name } of world.runtime.fleets()) {
      try {
        await world.store.retain(name, { sinceAt: loop.time() - keep.days * DAY_MS, events: keep.events });
      } catch (error) {
        world.log.warn(
          { fleet: name, error: wordsOf(error) },
          'old events could not be dropped; it is tried again in an hour',
        );
      }
    }
  };
  schedule();
  return {
    stop() {
      stopped = true;
      cancel();
    },
  };
}
