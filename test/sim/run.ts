/**
 * One simulated history: the real runtime among seeded faults, checked after every tick; then the faults cease, and it must
 * converge within a stated bound, and be still; then the whole log is replayed, and must decide the same again.
 */
import type { StoredEvent } from '../../src/core/events.ts';
import type { Snapshot } from '../../src/ports/store.ts';
import { createMemoryDisk, createMemoryStore, type MemoryDisk } from '../../src/stores/memory.ts';
import { beatForever } from './agents.ts';
import { takeCensus, type Census } from './census.ts';
import { checkConverged, checkReplay, checkSnapshots, digestOf } from './check-end.ts';
import { checkFlaps } from './check-flaps.ts';
import { watchGreen } from './check-green.ts';
import { TickChecks } from './check-tick.ts';
import { dry } from './clock.ts';
import { Faults } from './faults.ts';
import { logOf } from './log-of.ts';
import { Operator } from './operator.ts';
import { FLEET } from './plane.ts';
import { Planes } from './planes.ts';
import { Chance } from './prng.ts';
import { watchDrift } from './roads.ts';
import { traceOf, Violated } from './violated.ts';
import { SimSecrets } from './secrets.ts';
import { SimWorld } from './world.ts';

const HOUR_MS = 3_600_000;
const WHIM_EVERY_MS = 5 * 60_000;
/** Longest pause of an owner, and a restart after it. */
const COMES_BACK_WITHIN_MS = 5 * 60_000;

/**
 * Within this long after the last fault everything must be as declared: an error waits at most `retryErrorEvery` (30 min) for
 * its next attempt, a backoff or a breaker 5 min, a rollout of 50 by fives some 10 min; twice that for what follows from it.
 */
export const CONVERGES_WITHIN_MS = 1.5 * HOUR_MS;
/** Converged and left alone for so long, not one event is written. */
export const STILL_FOR_MS = HOUR_MS;

export interface SimAsk {
  readonly seed: number;
  readonly hours: number;
  readonly instances: number;
  /** Somebody who is there from the beginning, and must change nothing. */
  readonly visit?: (world: SimWorld, planes: Planes, fail: (error: unknown) => void) => void;
}

export interface SimResult {
  readonly seed: number;
  readonly events: number;
  readonly ticks: number;
  readonly lives: number;
  readonly snapshots: number;
  readonly digest: string;
  readonly census: Census;
}

export async function simulate(ask: SimAsk): Promise<SimResult> {
  const history = new History(ask);
  try {
    await history.storm(ask.hours);
    await history.peace();
    return history.read();
  } catch (error) {
    if (error instanceof Violated) error.trace = traceOf(error.message, history.log());
    throw error;
  }
}

class History {
  private readonly seed: number;
  private readonly chance: Chance;
  private readonly world: SimWorld;
  private readonly disk: MemoryDisk;
  private readonly operator: Operator;
  private readonly secrets: SimSecrets;
  private readonly planes: Planes;
  private readonly faults: Faults;
  private readonly snapshots = new Map<number, Snapshot>();
  private ticks = 0;
  private failure: Error | null = null;

  constructor({ seed, instances, visit }: SimAsk) {
    this.seed = seed;
    this.chance = new Chance(seed);
    this.world = new SimWorld(this.chance.fork(), seed % 2 === 0 ? 'sim' : 'side');
    this.disk = createMemoryDisk({ deployment: 'sim', mono: () => this.world.clock.now });
    this.secrets = new SimSecrets(this.disk, seed);
    this.operator = new Operator(
      this.chance.fork(),
      new Map(this.world.authorities.map(({ name, identity }) => [name, identity])),
    );
    const checks = new TickChecks(this.world);
    this.planes = new Planes(this.world, this.disk, this.chance.fork(), {
      ticked: (fleet, report) => {
        this.ticks += 1;
        this.guard(() => {
          checks.check(fleet, report, this.planes.ownedForMs);
          for (const event of report.events) this.secrets.check(JSON.stringify(event), `event ${event.seq}`);
          for (const snapshot of this.disk.fleets.get(FLEET)?.snapshots ?? []) {
            if (!this.snapshots.has(snapshot.seq)) this.secrets.check(snapshot.body, `the snapshot at ${snapshot.seq}`);
            this.snapshots.set(snapshot.seq, snapshot);
          }
        });
      },
    });
    this.faults = new Faults(this.world, this.chance.fork(), this.planes);
    const store = createMemoryStore({ disk: this.disk });
    void store.ensureFleet(FLEET);
    this.write(this.operator.opening(instances), false);
    this.planes.launch();
    this.often(() => {
      const state = this.planes.fleet?.loop.state;
      if (state !== undefined) this.write(this.operator.whim(state), true);
    });
    this.world.onSecondThought = (uid) => {
      const inst = this.planes.fleet?.loop.state.instances.get(uid);
      if (inst !== undefined && !this.world.weather.calm) this.write(this.operator.secondThought(inst), false);
    };
    beatForever(this.world, this.chance.fork(), this.planes);
    watchDrift(this.world, this.planes);
    watchGreen(this.world, this.planes, (error) => this.fail(error));
    visit?.(this.world, this.planes, (error) => this.fail(error));
  }

  /** Everything goes wrong for so many hours. */
  async storm(hours: number): Promise<void> {
    await this.until(hours * HOUR_MS);
  }

  /** Nothing goes wrong any more: all comes right, and then nothing moves. */
  async peace(): Promise<void> {
    const { clock } = this.world;
    this.faults.calm();
    await this.until(clock.now + COMES_BACK_WITHIN_MS);
    const fleet = this.planes.fleet;
    if (fleet === null) throw new Violated('the control plane does not come back after the last fault');
    this.write(this.operator.peace(fleet.loop.state), false);
    await this.until(clock.now + CONVERGES_WITHIN_MS);
    await dry();
    checkConverged(this.fleet(), this.world, this.log());
    const { length } = this.log();
    await this.until(clock.now + STILL_FOR_MS);
    const moved = this.log()[length];
    if (moved !== undefined)
      throw new Violated(`nothing happened, and yet it writes: ${JSON.stringify(moved).slice(0, 400)}`);
  }

  read(): SimResult {
    const log = this.log();
    const { seed, ticks, snapshots } = this;
    const { state } = this.fleet().loop;
    this.planes.end();
    checkFlaps(log, this.world.truth);
    checkReplay(log, state);
    checkSnapshots(
      log,
      [...snapshots.values()].sort((a, b) => a.seq - b.seq),
    );
    const census = takeCensus(log, this.world);
    return {
      seed,
      events: log.length,
      ticks,
      lives: this.planes.lives,
      snapshots: snapshots.size,
      digest: digestOf(log),
      census,
    };
  }

  private fleet(): NonNullable<Planes['fleet']> {
    const { fleet } = this.planes;
    if (fleet === null) throw new Violated('the control plane is gone though no fault struck');
    return fleet;
  }

  private async until(at: number): Promise<void> {
    const { clock } = this.world;
    while (clock.now < at) {
      await clock.runUntil(Math.min(at, clock.now + HOUR_MS / 4));
      if (this.failure !== null) throw this.failure;
    }
  }

  private often(act: () => void): void {
    const chance = this.chance.fork();
    const next = (): void => {
      this.world.clock.after(chance.gap(WHIM_EVERY_MS), () => {
        if (this.world.weather.calm) return;
        this.guard(act);
        next();
      });
    };
    next();
  }

  /** What operators say goes straight to the log; now and then a row is damaged before anybody reads it. */
  private write(events: Parameters<ReturnType<typeof createMemoryStore>['append']>[1], damaged: boolean): void {
    if (events.length === 0) return;
    for (const event of events) if (event.type === 'secret.rotated') this.storeSecret(event.data.version);
    const now = this.planes.fleet?.loop.time() ?? 0;
    const head = this.disk.fleets.get(FLEET)?.head ?? 0;
    // The store in memory writes before it answers: whatever follows finds the rows there.
    createMemoryStore({ disk: this.disk })
      .append(FLEET, events, () => now)
      .catch((error: unknown) => this.fail(error));
    const rows = this.disk.fleets.get(FLEET)?.rows ?? [];
    const last = rows.at(-1);
    if (damaged && last !== undefined && last.uid !== null && this.world.weather.is('corrupt-row'))
      rows.splice(-1, 1, { ...last, data: '{"half a ro' });
    this.world.truth.said(logOf(this.disk, head));
    this.planes.fleet?.loop.poke();
  }

  private storeSecret(version: number): void {
    this.secrets.sealUpTo(version);
    this.planes.stored().catch((error: unknown) => this.fail(error));
  }

  log(): readonly StoredEvent[] {
    return logOf(this.disk);
  }

  private guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    this.failure ??= error instanceof Error ? error : new Error(String(error));
  }
}
