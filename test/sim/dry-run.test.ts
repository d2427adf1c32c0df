/**
 * What a dry run shows is what the next tick does: asked again and again in the middle of simulated storms, with facts that
 * wait in the log, in the loop, or in a store that fails.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent, StoredEvent } from '../../src/core/events.ts';
import { plan, toEvents } from '../../src/core/tick.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import type { Planes } from './planes.ts';
import { simulate } from './run.ts';
import { Violated } from './violated.ts';
import type { SimWorld } from './world.ts';

const SEEDS = [3];
const HOURS = 8;
const EVERY_MS = 60_000;
/** Of so many facts that come in, one is met by a dry run. */
const ONE_REPORT_IN = 3;

interface Tally {
  /** Compared with the tick that followed. */
  compared: number;
  /** Of those: the tick decided something; facts waited for it; some of them were not in the log. */
  eventful: number;
  pending: number;
  drafted: number;
  /** Something happened between the dry run and the tick, or there was none. */
  missed: number;
}

interface Shown {
  readonly events: string;
  /** Last event before the decision. */
  readonly head: number;
  readonly at: number;
}

const isDecision = ({ type }: NewEvent): boolean => type === 'tick.decided' || type === 'flap.observed';

/** Without place and time. */
const textOf = (events: readonly (NewEvent | StoredEvent)[]): string =>
  JSON.stringify(events.map(({ type, instance, uid, data }) => ({ type, instance, uid, data })));

async function compare(fleet: Fleet, world: SimWorld, tally: Tally, fail: (error: unknown) => void): Promise<void> {
  let shown: Shown | null = null;
  const unlisten = fleet.listen((events) => {
    if (shown === null) return;
    const { head, at, events: expected } = shown;
    shown = null;
    unlisten();
    const decided = events.filter(isDecision);
    const before = decided[0] === undefined ? fleet.loop.state.seq : decided[0].seq - 1;
    if (fleet.ended || before !== head || world.clock.now !== at) {
      tally.missed += 1;
      return;
    }
    tally.compared += 1;
    if (decided.length > 0) tally.eventful += 1;
    if (textOf(decided) !== expected)
      fail(new Violated(`the dry run showed ${expected.slice(0, 600)}; the tick did ${textOf(decided).slice(0, 600)}`));
  });
  try {
    await fleet.loop.peek(({ state, agenda, now, pendingFacts, drafts }) => {
      shown = {
        events: textOf(toEvents(plan(state, agenda, now).decision)),
        head: fleet.loop.state.seq + drafts.length,
        at: world.clock.now,
      };
      if (pendingFacts > 0) tally.pending += 1;
      if (drafts.length > 0) tally.drafted += 1;
    });
    fleet.loop.poke();
  } catch {
    // The store cannot be read: there is nothing to show.
    unlisten();
    tally.missed += 1;
  }
}

/** Asks just before a fact comes in, now and then: it waits in the inbox while the dry run is made. */
function seize({ loop }: Fleet, ask: () => void): void {
  const report = loop.report.bind(loop);
  let reports = 0;
  loop.report = (source, owed) => {
    reports += 1;
    if (reports % ONE_REPORT_IN === 0) ask();
    return report(source, owed);
  };
}

function visitor(tally: Tally): (world: SimWorld, planes: Planes, fail: (error: unknown) => void) => void {
  return (world, planes, fail) => {
    const known = new WeakSet<Fleet>();
    const look = (): void => {
      world.clock.after(EVERY_MS, look);
      const { fleet } = planes;
      if (fleet === null) return;
      if (!known.has(fleet)) seize(fleet, () => void compare(fleet, world, tally, fail));
      known.add(fleet);
      void compare(fleet, world, tally, fail);
    };
    look();
  };
}

test('L63 a dry run shows what the tick after it does, in the middle of simulated storms', async () => {
  const tally: Tally = { compared: 0, eventful: 0, pending: 0, drafted: 0, missed: 0 };
  for (const seed of SEEDS) await simulate({ seed, hours: HOURS, instances: 50, visit: visitor(tally) });
  assert.ok(tally.compared > 500, JSON.stringify(tally));
  assert.ok(tally.eventful > 80 && tally.pending > 100 && tally.drafted > 100, JSON.stringify(tally));
  assert.ok(tally.missed < tally.compared / 10, JSON.stringify(tally));
});
