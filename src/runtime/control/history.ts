/**
 * The past, in a state of its own: folded from the log into fresh memory, never into the living state (L62). A time that the
 * log no longer reaches is refused, with the earliest that it does.
 */
import { emptyState, evolve } from '../../core/evolve.ts';
import type { FleetState } from '../../core/model.ts';
import { thaw } from '../../core/snapshot.ts';
import { iso } from '../../core/time.ts';
import { Refusal } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import { READ_PAGE_EVENTS } from '../limits.ts';
import type { World } from '../world.ts';

/** A place in the log, from what a person wrote: a seq, an ISO time, or nothing for the given default. */
export async function placeOf(
  world: World,
  fleet: string,
  asked: number | string | null,
  otherwise: number,
): Promise<number> {
  if (asked === null) return otherwise;
  if (typeof asked === 'number') return asked;
  if (/^\d+$/.test(asked)) return Number(asked);
  const at = Date.parse(asked);
  if (Number.isNaN(at))
    throw new Refusal(
      'invalid',
      'time',
      `"${asked}" is neither a place in the log (a number) nor a time such as 2026-01-31T10:00:00Z`,
    );
  return world.store.seqAt(fleet, at);
}

/** The state just before `seq` was written, from the newest snapshot below it. */
export async function stateBefore(
  world: World,
  fleet: string,
  seq: number,
): Promise<{ state: FleetState; snapshotSeq: number }> {
  const snapshot = await world.store.snapshot(fleet, seq - 1);
  const state = snapshot === null ? emptyState(fleet) : thaw(snapshot.body, snapshot.logic);
  const oldest = await world.store.oldest(fleet);
  if (oldest !== null && oldest.seq > state.seq + 1 && seq > state.seq + 1) {
    throw new Refusal(
      'gone',
      'retention',
      `the log of fleet "${fleet}" reaches back to event ${oldest.seq} (${iso(oldest.at)}); what was before is no longer kept`,
    );
  }
  const snapshotSeq = state.seq;
  await foldUpTo(world, fleet, state, seq - 1);
  return { state, snapshotSeq };
}

async function foldUpTo(world: World, fleet: string, state: FleetState, to: number): Promise<void> {
  while (state.seq < to) {
    const page = await world.store.read(fleet, { after: state.seq, to, limit: READ_PAGE_EVENTS });
    if (page.length === 0) return;
    for (const event of page) evolve(state, event);
  }
}

/** The fleet as it was at a time (ISO) or place in the log. */
export async function stateAt(world: World, fleet: Fleet, asked: string): Promise<{ state: FleetState; at: number }> {
  const seq = await placeOf(world, fleet.name, asked, fleet.loop.state.seq);
  if (seq < 1)
    throw new Refusal('not-found', 'before-the-log', `the log of fleet "${fleet.name}" begins after ${asked}`);
  const { state } = await stateBefore(world, fleet.name, Math.min(seq, fleet.loop.state.seq) + 1);
  const said = Date.parse(asked);
  return { state, at: Number.isNaN(said) ? state.at : Math.min(Math.max(said, state.at), fleet.loop.time()) };
}
