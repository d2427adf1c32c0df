/** Looking without touching: what the next tick would do, and what earlier ticks did when they are run again. */
import { plan } from '../../core/tick.ts';
import { holdText, reasonText } from '../../core/explain.ts';
import type { JsonObject } from '../../core/model.ts';
import { Replay, type ReplayedAction } from '../../core/replay.ts';
import { iso } from '../../core/time.ts';
import { Refusal, type DryRun, type ReplayAsk } from '../api.ts';
import { READ_PAGE_EVENTS, REPLAY_ITEMS } from '../limits.ts';
import type { World } from '../world.ts';
import { fleetOf } from './fleets.ts';
import { placeOf, stateBefore } from './history.ts';

/**
 * The very code of the tick, stopped before its commit (L63). What is durable but not folded yet is folded first, as the
 * tick would; nothing is decided, written or done.
 */
export async function dryRun(world: World, fleetName: string): Promise<DryRun> {
  const { loop } = fleetOf(world, fleetName);
  return loop.peek((state, agenda, now, pendingFacts) => {
    const { decision } = plan(state, agenda, now);
    return {
      now: iso(now),
      head: state.seq,
      pendingFacts,
      actions: decision.actions.map(({ instance, type, rule, facts }) => ({
        instance,
        type,
        reason: { rule, text: reasonText(rule) },
        facts,
      })),
      transitions: decision.transitions.map(({ instance, from, to, rule }) => ({ instance, from, to, rule })),
      holds: decision.holds.map(({ instance, hold }) => ({
        instance,
        reason: hold?.reason ?? null,
        text: hold === null ? null : holdText(hold),
        until: hold?.until == null ? null : iso(hold.until),
      })),
    };
  });
}

/**
 * Decides a stretch of history again, in a fresh state from the snapshot before it. The log is read page by page; what is
 * answered is bounded, its counts are whole.
 */
export async function replayed(world: World, fleetName: string, ask: ReplayAsk): Promise<JsonObject> {
  const fleet = fleetOf(world, fleetName);
  const head = fleet.loop.state.seq;
  const from = Math.max(1, await placeOf(world, fleetName, ask.from, (await world.store.oldest(fleetName))?.seq ?? 1));
  const to = Math.min(head, await placeOf(world, fleetName, ask.to, head));
  if (from > to) {
    throw new Refusal(
      'invalid',
      'range',
      `the range is empty: it begins at event ${from} and ends at event ${to} (the log's last is ${head})`,
    );
  }
  const { state, snapshotSeq } = await stateBefore(world, fleetName, from);
  const run = new Replay(state, {
    keep: REPLAY_ITEMS,
    ...(ask.instance !== null && { instance: ask.instance }),
    ...(ask.policy !== null && { policy: ask.policy }),
    ...(ask.edits.length > 0 && { edits: ask.edits }),
  });
  await feed(world, fleetName, run, from - 1, to);
  const result = run.result();
  if (result.kind === 'refused') throw new Refusal('conflict', 'what-if', result.because);
  const { actions, recorded, ...rest } = result;
  const { decision } = plan(run.state, run.agenda, run.state.at);
  return {
    ...rest,
    // What a tick at `to` would decide, whether or not there was one.
    decidedAtEnd: {
      actions: decision.actions.map(({ instance, type, rule }) => ({ instance, type, rule })),
      transitions: decision.transitions.map(({ instance, from: was, to: is, rule }) => ({
        instance,
        from: was,
        to: is,
        rule,
      })),
    },
    from: iso(await timeOf(world, fleetName, from)),
    to: iso(result.at),
    snapshotSeq,
    actions: actions.map(listed),
    recorded: recorded.map(listed),
  } as unknown as JsonObject;
}

async function feed(world: World, fleet: string, run: Replay, after: number, to: number): Promise<void> {
  let seq = after;
  while (seq < to) {
    const page = await world.store.read(fleet, { after: seq, to, limit: READ_PAGE_EVENTS });
    for (const event of page) if (!run.feed(event)) return;
    const last = page[page.length - 1];
    if (last === undefined) return;
    seq = last.seq;
    // A long replay must not keep the loops of this process from ticking.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const listed = ({ at, ...action }: ReplayedAction): object => ({ ...action, at: iso(at) });

async function timeOf(world: World, fleet: string, seq: number): Promise<number> {
  const [event] = await world.store.read(fleet, { after: seq - 1, to: seq, limit: 1 });
  return event?.at ?? 0;
}
