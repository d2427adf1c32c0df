/**
 * What goes wrong, and when: each kind of fault comes by itself, once per so many simulated hours on average, and is over by
 * the time `calm` is called.
 */
import type { SimClock } from './clock.ts';
import type { Chance } from './prng.ts';
import type { SimWorld } from './world.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export interface FaultHooks {
  crash(): void;
  operate(): void;
}

/** Mean time between, ms. */
const MEAN = {
  kill: 6 * MINUTE,
  wedge: 40 * MINUTE,
  remove: 50 * MINUTE,
  mass: 5 * HOUR,
  down: 2 * HOUR,
  empty: 6 * HOUR,
  foreign: 12 * HOUR,
  crash: 1.5 * HOUR,
  jump: 4 * HOUR,
  operate: 4 * MINUTE,
};

export class Faults {
  private readonly clock: SimClock;
  private readonly chance: Chance;
  private readonly world: SimWorld;
  private over = false;

  constructor(clock: SimClock, chance: Chance, world: SimWorld, hooks: FaultHooks) {
    this.clock = clock;
    this.chance = chance;
    this.world = world;
    this.often(MEAN.kill, () => this.someRunning((r) => world.crash(r, this.exit())));
    this.often(MEAN.wedge, () => this.someRunning((r) => (r.wedged = true)));
    this.often(MEAN.remove, () => this.some((r) => world.vanish(r)));
    this.often(MEAN.mass, () => this.mass());
    this.often(MEAN.down, () => this.during(this.chance.int(10_000, 10 * MINUTE), (on) => (world.mood.down = on)));
    this.often(MEAN.empty, () => (world.mood.emptyListings = this.chance.int(1, 4)));
    this.often(MEAN.foreign, () => this.during(this.chance.int(MINUTE, 20 * MINUTE), (on) => (world.mood.foreign = on)));
    this.often(MEAN.crash, () => hooks.crash());
    this.often(MEAN.jump, () => (clock.wallSkewMs += this.chance.int(-48, 48) * HOUR));
    this.often(MEAN.operate, () => hooks.operate());
  }

  /** No new fault from here on, and those that last are over. */
  calm(): void {
    this.over = true;
    Object.assign(this.world.mood, { calm: true, down: false, foreign: false, emptyListings: 0 });
  }

  private often(meanMs: number, strike: () => void): void {
    const next = (): void => {
      this.clock.after(this.chance.gap(meanMs), () => {
        if (this.over) return;
        strike();
        next();
      });
    };
    next();
  }

  private during(ms: number, set: (on: boolean) => void): void {
    set(true);
    this.clock.after(ms, () => set(false));
  }

  private mass(): void {
    const share = this.chance.next();
    for (const resource of [...this.world.resources.values()]) {
      if (resource.state !== 'running' || !this.chance.is(share)) continue;
      if (this.chance.is(0.2)) this.world.vanish(resource);
      else this.world.crash(resource, this.exit());
    }
  }

  private exit(): { code: number | null; signal: string | null; oom: boolean; output: string | null } {
    const code = this.chance.pick([0, 1, 1, 1, 2, 78, null]);
    return { code, signal: code === null ? 'SIGKILL' : null, oom: code === null && this.chance.is(0.3), output: 'last words' };
  }

  private some(strike: (resource: ReturnType<SimWorld['need']>) => void): void {
    const all = [...this.world.resources.values()];
    if (all.length > 0) strike(this.chance.pick(all));
  }

  private someRunning(strike: (resource: ReturnType<SimWorld['need']>) => void): void {
    const running = [...this.world.resources.values()].filter((resource) => resource.state === 'running');
    if (running.length > 0) strike(this.chance.pick(running));
  }
}
