/** Looking ahead without touching: what the next tick would do. */
import { plan } from '../../core/tick.ts';
import { holdText, reasonText } from '../../core/explain.ts';
import { iso } from '../../core/time.ts';
import type { DryRun } from '../api.ts';
import type { World } from '../world.ts';
import { fleetOf } from './fleets.ts';

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
