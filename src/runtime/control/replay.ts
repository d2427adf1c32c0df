/**
 * Decides a stretch of history again, in a fresh state from the snapshot before it. The log is read page by page, in slices
 * between which everybody else has a turn; what is answered is a page of each list, its counts are whole.
 */
import type { DecidedAction } from '../../core/events.ts';
import type { JsonObject } from '../../core/model.ts';
import { Replay, type ReplayedAction } from '../../core/replay.ts';
import { iso } from '../../core/time.ts';
import { Refusal, type ReplayAsk, type ReplayProgress } from '../api.ts';
import { REPLAY_ITEMS, REPLAYS_AT_ONCE } from '../limits.ts';
import type { World } from '../world.ts';
import { fleetOf } from './fleets.ts';
import { pages, stateBefore } from './history.ts';
import { rangeOf } from './range.ts';
import { Turns } from './turns.ts';

export interface ReplayHow {
  readonly signal: AbortSignal | null;
  readonly progress: (progress: ReplayProgress) => void;
}

/** Each holds a state of the whole fleet: so many at once, in this process. */
let running = 0;

export async function replayed(world: World, fleetName: string, ask: ReplayAsk, how: ReplayHow): Promise<JsonObject> {
  if (running >= REPLAYS_AT_ONCE)
    throw new Refusal(
      'unavailable',
      'replays',
      `${running} replays run already, as many as may; ask again when one has ended`,
    );
  running += 1;
  try {
    return await replay(world, fleetName, ask, how);
  } finally {
    running -= 1;
  }
}

async function replay(world: World, name: string, ask: ReplayAsk, how: ReplayHow): Promise<JsonObject> {
  const fleet = fleetOf(world, name);
  const { from, to } = await rangeOf(world, fleet, ask);
  const folding = new Turns(world.clock, how.signal, () =>
    how.progress({ doing: 'folding', events: 0, of: to - from + 1 }),
  );
  const { state, snapshotSeq } = await stateBefore(world, name, from, folding);
  const fromAt = (await eventTime(world, name, from)) ?? state.at;
  const run = new Replay(state, {
    keep: ask.limit ?? REPLAY_ITEMS,
    skip: ask.skip ?? 0,
    ...(ask.instance !== null && { instance: ask.instance }),
    ...(ask.policy !== null && { policy: ask.policy }),
    ...(ask.edits.length > 0 && { edits: ask.edits }),
  });
  const turns = new Turns(world.clock, how.signal, () =>
    how.progress({ doing: 'replaying', events: run.state.seq - from + 1, of: to - from + 1 }),
  );
  const missing = new Set(ask.edits.map((edit) => ('drop' in edit ? edit.drop : edit.seq)).filter((seq) => seq > to));
  if (missing.size > 0)
    throw new Refusal(
      'conflict',
      'what-if',
      `event ${[...missing][0]} cannot be edited: the replay ends at event ${to}`,
    );
  reading: for await (const page of pages(world, name, from - 1, to)) {
    for (const event of page) {
      if (!run.feed(event)) break reading;
      if (turns.isDue()) await turns.take();
    }
  }
  const result = run.result();
  if (result.kind === 'refused') throw new Refusal('conflict', 'what-if', result.because);
  const { actions, recorded, decidedAtEnd, at, ...rest } = result;
  return {
    ...rest,
    from: iso(fromAt),
    to: iso(at),
    fromSeq: from,
    toSeq: to,
    snapshotSeq,
    actions: actions.map(listed),
    recorded: recorded.map(listed),
    decidedAtEnd: {
      ...decidedAtEnd,
      actions: decidedAtEnd.actions.map(({ instance, type, rule }: DecidedAction) => ({ instance, type, rule })),
      transitions: decidedAtEnd.transitions.map(({ uid: _uid, ...change }) => change),
    },
  } as unknown as JsonObject;
}

const listed = ({ at, ...action }: ReplayedAction): object => ({ ...action, at: iso(at) });

async function eventTime(world: World, fleet: string, seq: number): Promise<number | null> {
  const [event] = await world.store.read(fleet, { after: seq - 1, to: seq, limit: 1 });
  return event?.at ?? null;
}
