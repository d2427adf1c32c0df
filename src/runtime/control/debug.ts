/** Looking ahead without touching: what the next tick would do. */
import { wordsOf } from '../../core/error-words.ts';
import { plan } from '../../core/tick.ts';
import { factText, holdText, reasonText } from '../../core/explain.ts';
import { iso } from '../../core/time.ts';
import type { DryRun } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import type { FactSource } from '../ahead.ts';
import type { World } from '../world.ts';
import { fleetOf } from './fleets.ts';
import { looks } from './places.ts';

/**
 * The very code of the tick, stopped before its commit (L63). What is durable but not folded yet is folded first, as the
 * tick would, and so is what the store has not taken yet, in a copy; nothing is decided, written or done.
 */
export async function dryRun(
  world: World,
  fleetName: string,
  { observe }: { readonly observe: boolean },
  signal: AbortSignal,
): Promise<DryRun> {
  const fleet = fleetOf(world, fleetName);
  const seen = observe ? await looks.within(() => glances(world, fleet, signal)) : null;
  const sources = seen?.flatMap(({ sources: some }) => some) ?? [];
  return fleet.loop.peek((ahead) => {
    const { decision } = plan(ahead.state, ahead.agenda, ahead.now);
    return {
      now: iso(ahead.now),
      head: fleet.loop.state.seq,
      pendingFacts: ahead.pendingFacts,
      facts: ahead.drafts.map((fact) => ({
        type: fact.type,
        instance: fact.instance ?? null,
        text: factText({ ...fact, seq: 0, at: ahead.now, v: 1 }),
      })),
      observed: seen?.map(({ target, items, error }) => ({ target, items, error })) ?? null,
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
  }, sources);
}

interface Look {
  readonly target: string;
  readonly items: number;
  readonly error: string | null;
  readonly sources: readonly FactSource[];
}

/** A look at each target that something of the fleet is on. One that cannot be listed changes nothing (L02). */
function glances(world: World, fleet: Fleet, signal: AbortSignal): Promise<readonly Look[]> {
  const { loop } = fleet;
  const used = new Set<string>();
  for (const { spec } of loop.state.instances.values()) if (spec.targetType !== 'external') used.add(spec.target);
  return Promise.all(
    [...used].sort().map(async (target): Promise<Look> => {
      try {
        const observer = world.targets.observer(target);
        if (observer === null) throw new Error(`no target is called "${target}"`);
        return { target, error: null, ...(await observer.glance(loop, signal)) };
      } catch (error) {
        const message = wordsOf(error);
        return { target, items: 0, error: message, sources: [] };
      }
    }),
  );
}
