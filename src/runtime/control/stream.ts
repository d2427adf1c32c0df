/** The log and the agents' output, as streams: bounded, resumable, ended by their reader's signal. */
import { concerns } from '../../core/concerning.ts';
import type { StoredEvent } from '../../core/events.ts';
import { iso } from '../../core/time.ts';
import { Refusal, type EventView, type Page } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import { EVENTS_SEARCHED, OWNER_AGAIN_MS, READ_PAGE_EVENTS, WATCH_PAGE_EVENTS } from '../limits.ts';
import type { World } from '../world.ts';
import { fleetOf, instanceOf } from './fleets.ts';
import { Turns } from './turns.ts';

const eventView = (event: StoredEvent): EventView => ({
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
  fleetOf(world, fleetName);
  await checkKept(world, fleetName, ask.after);
  if (ask.instance !== null) return concerning(world, fleetName, { ...ask, instance: ask.instance });
  const found = await world.store.read(fleetName, {
    after: ask.after,
    limit: ask.limit,
    ...(ask.to !== null && { to: ask.to }),
  });
  const last = found[found.length - 1];
  return {
    items: found.map(eventView),
    next: found.length === ask.limit && last !== undefined ? String(last.seq) : null,
  };
}

/**
 * Those of one name, whether or not it is still declared. A tick has no instance of its own, so the log is read and chosen
 * from: a page ends when it is full, or when so much was read for it, with however few were found.
 */
async function concerning(
  world: World,
  fleet: string,
  ask: { after: number; to: number | null; instance: string; limit: number },
): Promise<Page<EventView>> {
  const items: EventView[] = [];
  const turns = new Turns(world.clock, null);
  for (let seq = ask.after, read = 0; ;) {
    const page = await world.store.read(fleet, {
      after: seq,
      limit: READ_PAGE_EVENTS,
      ...(ask.to !== null && { to: ask.to }),
    });
    for (const event of page) {
      seq = event.seq;
      if (concerns(event, ask.instance)) items.push(eventView(event));
      if (items.length === ask.limit) return { items, next: String(seq) };
    }
    read += page.length;
    if (page.length < READ_PAGE_EVENTS) return { items, next: null };
    if (read >= EVENTS_SEARCHED) return { items, next: String(seq) };
    if (turns.isDue()) await turns.take();
  }
}

/** What was asked for has been dropped by retention: to go on behind it as if nothing were missing would be a lie. */
async function checkKept(world: World, fleet: string, after: number): Promise<void> {
  if (after < 1) return;
  const oldest = await world.store.oldest(fleet);
  if (oldest === null || oldest.seq <= after + 1) return;
  throw new Refusal(
    'gone',
    'retention',
    `the log of fleet "${fleet}" reaches back to event ${oldest.seq} (${iso(oldest.at)}); what came after event ${after} is no longer kept`,
  );
}

/**
 * Reads the log after `after`, page by page, and then each event as it is written. What a slow reader has not taken is not
 * kept for it: it is read from the store when it asks again. It outlasts a change of owner, and ends with the fleet.
 */
export async function* watch(
  world: World,
  fleetName: string,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<StoredEvent> {
  fleetOf(world, fleetName);
  let seq = after;
  while (!signal.aborted) {
    const fleet = world.runtime.fleet(fleetName);
    if (fleet === null) {
      if (!world.runtime.isAwaited(fleetName)) return;
      await pause(world, signal);
      continue;
    }
    const page = await world.store.read(fleetName, { after: seq, limit: WATCH_PAGE_EVENTS });
    for (const event of page) {
      yield event;
      seq = event.seq;
      if (signal.aborted) return;
    }
    if (page.length === 0) await more(fleet, seq, signal);
  }
}

/** Resolves when there may be more than `seq`, the fleet has ended, or nobody reads any more. */
function more(fleet: Fleet, seq: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      unlisten();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const unlisten = fleet.listen(done);
    signal.addEventListener('abort', done, { once: true });
    // Written between the read and this line: do not sleep over it.
    if (signal.aborted || fleet.ended || fleet.loop.state.seq > seq) done();
  });
}

function pause(world: World, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = world.clock.after(OWNER_AGAIN_MS, done);
    signal.addEventListener('abort', done, { once: true });
  });
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
