/** The log and the agents' output, as streams: bounded, resumable, ended by their reader's signal. */
import type { StoredEvent } from '../../core/events.ts';
import { iso } from '../../core/time.ts';
import { Refusal, type EventView, type Page } from '../api.ts';
import { WATCH_PAGE_EVENTS } from '../limits.ts';
import type { World } from '../world.ts';
import { fleetOf, instanceOf } from './fleets.ts';

export const eventView = (event: StoredEvent): EventView => ({
  seq: event.seq,
  at: iso(event.at),
  type: event.type,
  ...(event.instance !== undefined && { instance: event.instance }),
  ...(event.uid !== undefined && { uid: event.uid }),
  data: event.data as unknown as EventView['data'],
  ...(event.by !== undefined && { by: event.by }),
});

export async function events(
  world: World,
  fleetName: string,
  ask: { after: number; to: number | null; instance: string | null; limit: number },
): Promise<Page<EventView>> {
  const fleet = fleetOf(world, fleetName);
  const uid = ask.instance === null ? undefined : instanceOf(fleet, ask.instance).uid;
  const found = await world.store.read(fleetName, {
    after: ask.after,
    limit: ask.limit,
    ...(ask.to !== null && { to: ask.to }),
    ...(uid !== undefined && { uid }),
  });
  const last = found[found.length - 1];
  return {
    items: found.map(eventView),
    next: found.length === ask.limit && last !== undefined ? String(last.seq) : null,
  };
}

/**
 * Reads the log after `after`, page by page, and then each event as it is written. What a slow reader has not taken is not
 * kept for it: it is read from the store when it asks again.
 */
export async function* watch(
  world: World,
  fleetName: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<StoredEvent> {
  const fleet = fleetOf(world, fleetName);
  let seq = after;
  let wake: () => void = () => undefined;
  const unlisten = fleet.listen(() => wake());
  const onAbort = (): void => wake();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    while (!signal.aborted) {
      const page = await world.store.read(fleetName, { after: seq, limit: WATCH_PAGE_EVENTS });
      for (const event of page) {
        yield event;
        seq = event.seq;
        if (signal.aborted) return;
      }
      if (page.length > 0) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
        // Written between the read and this line: do not sleep over it.
        if (signal.aborted || fleet.loop.state.seq > seq) resolve();
      });
      wake = () => undefined;
    }
  } finally {
    unlisten();
    signal.removeEventListener('abort', onAbort);
  }
}

export function logs(
  world: World,
  fleetName: string,
  name: string,
  ask: { follow: boolean; tail: number; previous: boolean },
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const fleet = fleetOf(world, fleetName);
  const inst = instanceOf(fleet, name);
  const ability = world.targets.observer(inst.spec.target)?.target.logs;
  if (ability === undefined) {
    throw new Refusal(
      'conflict',
      'no-logs',
      `target "${inst.spec.target}" (${inst.spec.targetType}) keeps no logs that Holdfast can read`,
    );
  }
  return ability(fleet.subject(inst), ask, signal);
}
