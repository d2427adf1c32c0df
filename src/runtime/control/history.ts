/**
 * The past, in a state of its own: folded from the log into fresh memory, never into the living state (L62). A time that the
 * log no longer reaches is refused, with the earliest that it does.
 */
import { emptyState, evolve } from '../../core/evolve.ts';
import { LOGIC_VERSION } from '../../core/limits.ts';
import type { FleetState } from '../../core/model.ts';
import { thaw } from '../../core/snapshot.ts';
import { iso } from '../../core/time.ts';
import { Refusal } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import { READ_PAGE_EVENTS } from '../limits.ts';
import type { World } from '../world.ts';
import { Turns } from './turns.ts';

/** A place in the log: a seq, or a time as ISO text. */
export type Place = number | string;

/** ms since the epoch, of a place that is a time; null for a seq. */
export function timeIn(asked: Place): number | null {
  if (typeof asked === 'number' || /^\d+$/.test(asked)) return null;
  const at = Date.parse(asked);
  if (Number.isNaN(at))
    throw new Refusal(
      'invalid',
      'time',
      `"${asked}" is neither a place in the log (a number) nor a time such as 2026-01-31T10:00:00Z`,
    );
  return at;
}

/**
 * The first event that can be reached with a state before it: the log's first, or the one behind the oldest snapshot that
 * retention has left the log of. Null while the log is empty.
 */
export async function earliestReachable(world: World, fleet: string): Promise<{ seq: number; at: number } | null> {
  const { store } = world;
  const oldest = await store.oldest(fleet);
  if (oldest === null || oldest.seq === 1) return oldest;
  let earliest: { seq: number; at: number } | null = null;
  let snapshot = await store.snapshot(fleet);
  while (snapshot !== null && snapshot.seq + 1 >= oldest.seq) {
    earliest = { seq: snapshot.seq + 1, at: snapshot.at };
    snapshot = await store.snapshot(fleet, snapshot.seq - 1);
  }
  return earliest;
}

/** What was asked for is no longer kept. Names the earliest that is. */
export function beyondRetention(
  fleet: string,
  what: string,
  earliest: { readonly seq: number; readonly at: number } | null,
): Refusal {
  const reach =
    earliest === null
      ? 'the log has no snapshot to begin from yet; the next one makes it reachable again'
      : `the earliest that can be reached is event ${earliest.seq}, at ${iso(earliest.at)}`;
  return new Refusal('gone', 'retention', `${what} of fleet "${fleet}" is no longer kept; ${reach}`);
}

/** The state just before `seq` was written, from the newest snapshot below it that this build can read. */
export async function stateBefore(
  world: World,
  fleet: string,
  seq: number,
  turns: Turns = new Turns(world.clock, null),
): Promise<{ state: FleetState; snapshotSeq: number }> {
  const oldest = await world.store.oldest(fleet);
  const state = await startingPoint(world, fleet, seq - 1, oldest?.seq ?? 1);
  if (state === null)
    throw beyondRetention(fleet, `what was before event ${seq}`, await earliestReachable(world, fleet));
  const snapshotSeq = state.seq;
  for await (const page of pages(world, fleet, state.seq, seq - 1)) {
    for (const event of page) {
      evolve(state, event);
      if (turns.isDue()) await turns.take();
    }
  }
  return { state, snapshotSeq };
}

/** A state at or before `seq` from which the log goes on without a hole; null if there is none. */
async function startingPoint(world: World, fleet: string, seq: number, oldest: number): Promise<FleetState | null> {
  let unreadable: number | null = null;
  let snapshot = await world.store.snapshot(fleet, seq);
  while (snapshot !== null && (snapshot.seq + 1 >= oldest || snapshot.seq === seq)) {
    try {
      return thaw(snapshot.body, snapshot.logic);
    } catch (error) {
      // A snapshot of a logic that this build knows no way from; what was before it may still lead here.
      if (snapshot.logic === LOGIC_VERSION) throw error;
      unreadable = snapshot.logic;
    }
    snapshot = await world.store.snapshot(fleet, snapshot.seq - 1);
  }
  if (oldest <= 1 || seq === 0) return emptyState(fleet);
  if (unreadable === null) return null;
  throw new Refusal(
    'conflict',
    'logic',
    `the snapshot before event ${seq + 1} of fleet "${fleet}" was made by logic version ${unreadable}, from which this build (${LOGIC_VERSION}) knows no way`,
  );
}

/** The log from behind `after` up to `to`, page by page. Rejects when retention is faster than the reader. */
export async function* pages(world: World, fleet: string, after: number, to: number) {
  let seq = after;
  while (seq < to) {
    const page = await world.store.read(fleet, { after: seq, to, limit: READ_PAGE_EVENTS });
    const first = page[0];
    if (first === undefined) return;
    if (first.seq !== seq + 1) throw beyondRetention(fleet, `event ${seq + 1}`, await earliestReachable(world, fleet));
    yield page;
    seq += page.length;
  }
}

/** The fleet as it was at a time (ISO) or place in the log. */
export async function stateAt(world: World, fleet: Fleet, asked: string): Promise<{ state: FleetState; at: number }> {
  const { loop, name } = fleet;
  const time = timeIn(asked);
  if (time !== null && time > loop.time())
    throw new Refusal('invalid', 'range', `${asked} lies in the future; for the fleet it is ${iso(loop.time())} now`);
  const seq = time === null ? Number(asked) : await world.store.seqAt(name, time);
  if (seq > loop.state.seq)
    throw new Refusal(
      'invalid',
      'range',
      `there is no event ${seq} yet: the log of fleet "${name}" ends at ${loop.state.seq}`,
    );
  const oldest = await world.store.oldest(name);
  if (seq < 1 && oldest !== null) {
    if (oldest.seq > 1) throw beyondRetention(name, `what was at ${asked}`, await earliestReachable(world, name));
    throw new Refusal(
      'not-found',
      'before-the-log',
      `the log of fleet "${name}" begins at ${iso(oldest.at)}, after ${asked}`,
    );
  }
  const { state } = await stateBefore(world, name, seq + 1);
  return { state, at: time === null ? state.at : Math.max(time, state.at) };
}
