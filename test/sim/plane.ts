/**
 * One life of the control plane: the real runtime, over a scope of simulated time and a store that can fail. Killing it is a
 * kill -9: nothing of it runs on, and what it had not committed is gone.
 */
import type { TickReport } from '../../src/runtime/loop.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import { Runtime } from '../../src/runtime/runtime.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { Targets } from '../../src/runtime/targets.ts';
import { createMemoryStore, type MemoryDisk } from '../../src/stores/memory.ts';
import type { ClockScope, SimClock } from './clock.ts';
import { simTarget } from './target.ts';
import type { Chance } from './prng.ts';
import type { SimWorld } from './world.ts';

export const FLEET = 'sim';

/** Chance that one write of the store fails: before it is done, or done but not acknowledged. */
const STORE_ODDS = { before: 0.0005, after: 0.0005 };

export interface PlaneWatch {
  ticked(fleet: Fleet, report: TickReport): void;
  /** A crash was drawn between a commit and what follows from it. */
  crash(): void;
}

export class Plane {
  readonly runtime: Runtime;
  readonly targets: Targets;
  private readonly clock: ClockScope;
  private alive = true;

  constructor(life: number, sim: SimClock, world: SimWorld, disk: MemoryDisk, chance: Chance, watch: PlaneWatch) {
    this.clock = sim.scope();
    const fail = (p: number, message: string): void => {
      if (!world.mood.calm && chance.is(p)) throw new Error(message);
    };
    const store = createMemoryStore({
      disk,
      faults: {
        beforeCommit: () => fail(STORE_ODDS.before, 'simulated: the disk is full'),
        afterCommit: () => fail(STORE_ODDS.after, 'simulated: the acknowledgement was lost'),
      },
    });
    this.targets = new Targets((name) => (name === 'sim' ? simTarget(world, () => this.alive) : null), disk.deployment, this.clock, silentLog);
    this.runtime = new Runtime(`life-${life}`, {
      store,
      clock: this.clock,
      log: silentLog,
      targets: this.targets,
      probe: async (inst) => {
        const resource = world.resources.get(inst.uid);
        const ok = resource !== undefined && resource.state === 'running' && !resource.wedged;
        return { ok, message: ok ? 'ok' : 'no answer' };
      },
      env: () => ({}),
      isVisited: () => false,
      ticked: (fleet, report) => {
        if (this.alive) watch.ticked(fleet, report);
      },
    });
  }

  get fleet(): Fleet | null {
    return this.alive ? this.runtime.fleet(FLEET) : null;
  }

  async start(): Promise<void> {
    await this.runtime.ensure(FLEET);
    await this.runtime.start();
  }

  /** kill -9. */
  kill(): void {
    this.alive = false;
    this.clock.kill();
    for (const observer of this.targets.all()) observer.stop();
  }
}
