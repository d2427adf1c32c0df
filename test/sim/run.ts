/**
 * One simulated history: the real runtime among seeded faults, checked after every tick; then the faults cease, and it must
 * converge within a stated bound; then the whole log is replayed, and must decide the same again.
 */
import type { StoredEvent } from '../../src/core/events.ts';
import { createMemoryDisk, createMemoryStore } from '../../src/stores/memory.ts';
import { beatForever } from './agents.ts';
import { checkConverged, checkReplay, checkTick, Violated } from './checks.ts';
import { SimClock, dry } from './clock.ts';
import { Faults } from './faults.ts';
import { Operator } from './operator.ts';
import { FLEET, Plane } from './plane.ts';
import { Chance } from './prng.ts';
import { SimWorld } from './world.ts';

const HOUR_MS = 3_600_000;

/**
 * Within this long after the last fault everything must be as declared: an error waits at most `retryErrorEvery` (30 min) for
 * its next attempt, a backoff or a breaker 5 min, a rollout of 50 by fives some 10 min; twice that for what follows from it.
 */
export const CONVERGES_WITHIN_MS = 1.5 * HOUR_MS;

export interface SimAsk {
  readonly seed: number;
  readonly hours: number;
  readonly instances: number;
}

export interface SimResult {
  readonly seed: number;
  readonly events: number;
  readonly ticks: number;
  readonly crashes: number;
  readonly operations: number;
  readonly flaps: number;
  readonly simulatedMs: number;
}

export async function simulate({ seed, hours, instances }: SimAsk): Promise<SimResult> {
  const chance = new Chance(seed);
  const clock = new SimClock();
  const world = new SimWorld(clock, chance.fork());
  const disk = createMemoryDisk({ deployment: 'sim', mono: () => clock.now });
  const operator = new Operator(chance.fork());
  const store = createMemoryStore({ disk });
  const crashChance = chance.fork();
  const storeChance = chance.fork();
  let lives = 0;
  let ticks = 0;
  let plane: Plane | null = null;
  let failure: unknown = null;

  const fail = (error: unknown): void => {
    failure ??= error;
  };
  const launch = (): void => {
    lives += 1;
    const born: Plane = new Plane(lives, clock, world, disk, storeChance, {
      ticked(fleet, report) {
        ticks += 1;
        try {
          checkTick(fleet, report);
        } catch (error) {
          fail(error);
        }
        // A crash between the commit and what follows from it, or soon after.
        if (!world.mood.calm && crashChance.is(0.0005)) crash();
      },
    });
    plane = born;
    born.start().catch((error: unknown) => {
      if (plane === born) relaunch();
      else void error;
    });
  };
  const relaunch = (): void => {
    plane?.kill();
    plane = null;
    clock.after(world.mood.calm ? 1_000 : crashChance.int(100, 120_000), launch);
  };
  const crash = (): void => {
    if (plane !== null) relaunch();
  };
  const write = async (events: Parameters<typeof store.append>[1]): Promise<void> => {
    if (events.length === 0) return;
    const now = plane?.fleet?.loop.time();
    await store.append(FLEET, events, () => now ?? 0);
    plane?.fleet?.loop.poke();
  };

  await store.ensureFleet(FLEET);
  await write(operator.opening(instances));
  launch();
  const faults = new Faults(clock, chance.fork(), world, {
    crash,
    operate() {
      const fleet = plane?.fleet;
      if (fleet != null) void write(operator.whim(fleet.loop.state)).catch(fail);
    },
  });
  beatForever(clock, chance.fork(), world, () => {
    const fleet = plane?.fleet;
    const watch = fleet?.liveness;
    return fleet == null || watch == null ? null : { state: fleet.loop.state, beat: (uid, beat) => watch.beat(uid, beat) };
  });

  const throwFailure = (): void => {
    if (failure !== null) throw failure;
  };
  for (let at = 0; at < hours * HOUR_MS; at += HOUR_MS / 4) {
    await clock.runUntil(at + HOUR_MS / 4);
    throwFailure();
  }
  faults.calm();
  await clock.runUntil(clock.now + 5 * 60_000);
  const settled = (plane as Plane | null)?.fleet ?? null;
  if (settled === null) throw new Violated('the control plane does not come back after the last fault');
  await write(operator.release(settled.loop.state));
  await clock.runUntil(clock.now + CONVERGES_WITHIN_MS);
  await dry();
  throwFailure();
  const fleet = (plane as Plane | null)?.fleet ?? null;
  if (fleet === null) throw new Violated('the control plane is gone though no fault struck');
  checkConverged(fleet, world);
  const log = await wholeLog(store);
  checkReplay(log);
  (plane as Plane | null)?.kill();
  return {
    seed,
    events: log.length,
    ticks,
    crashes: lives - 1,
    operations: log.filter((event) => event.type === 'operation.ended').length,
    flaps: log.filter((event) => event.type === 'flap.observed').length,
    simulatedMs: clock.now,
  };
}

async function wholeLog(store: ReturnType<typeof createMemoryStore>): Promise<readonly StoredEvent[]> {
  const log: StoredEvent[] = [];
  for (;;) {
    const page = await store.read(FLEET, { after: log.length, limit: 50_000 });
    if (page.length === 0) return log;
    log.push(...page);
  }
}
