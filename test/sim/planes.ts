/**
 * The lives of the control plane, one after another and sometimes two at once: who owns the fleet now, who comes after one
 * that was killed, and what none of them may do to the world.
 */
import type { Subject } from '../../src/ports/target.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import type { TickReport } from '../../src/runtime/loop.ts';
import type { MemoryDisk } from '../../src/stores/memory.ts';
import { FLEET, Plane, type PlaneWatch } from './plane.ts';
import type { Chance } from './prng.ts';
import { MAKES_RUN, type Verb } from './target.ts';
import type { SimWorld } from './world.ts';

/** More never live at once. */
const MOST = 3;

export interface PlanesWatch {
  ticked(fleet: Fleet, report: TickReport): void;
}

export class Planes implements PlaneWatch {
  lives = 0;
  private living: Plane[] = [];
  private readonly world: SimWorld;
  private readonly disk: MemoryDisk;
  private readonly chance: Chance;
  private readonly watch: PlanesWatch;
  /** Since when the present owner has had the fleet, ms. */
  private ownedSince = 0;
  private lastOwner: Plane | null = null;

  constructor(world: SimWorld, disk: MemoryDisk, chance: Chance, watch: PlanesWatch) {
    this.world = world;
    this.disk = disk;
    this.chance = chance;
    this.watch = watch;
    world.onCrash = () => this.crash();
  }

  /** Whoever believes that the fleet is its own; the newest epoch, if two do. A paused one is not spoken to. */
  get owner(): Plane | null {
    let found: Plane | null = null;
    for (const plane of this.living) {
      if (plane.fleet === null || plane.scope.paused) continue;
      if (found === null || plane.fleet.loop.epoch > (found.fleet?.loop.epoch ?? 0)) found = plane;
    }
    if (found !== this.lastOwner) {
      this.lastOwner = found;
      this.ownedSince = this.world.clock.now;
    }
    return found;
  }

  get fleet(): Fleet | null {
    return this.owner?.fleet ?? null;
  }

  /** How long the present owner has been there, ms; 0 while there is none. */
  get ownedForMs(): number {
    return this.owner === null ? 0 : this.world.clock.now - this.ownedSince;
  }

  launch(): void {
    if (this.living.length >= MOST) return;
    this.lives += 1;
    const plane = new Plane(`plane-${this.lives}`, this.world, this.disk, this);
    this.living.push(plane);
    // A start that fails ends the process, as `holdfast up` does.
    plane.start().catch(() => this.bury(plane));
  }

  crash(): void {
    const plane = this.owner ?? this.living[0];
    if (plane !== undefined) this.bury(plane);
  }

  pause(ms: number): void {
    this.owner?.pause(ms, this.chance);
  }

  restart(): void {
    const plane = this.owner;
    if (plane !== null) void plane.stop().then(() => this.bury(plane));
  }

  /** A secret was stored: whoever owns the fleet knows of it before the fact does, as if they had stored it. */
  async stored(): Promise<void> {
    for (const { vault } of this.living) await vault.load(FLEET);
  }

  end(): void {
    for (const plane of this.living) plane.kill();
  }

  private bury(plane: Plane): void {
    plane.kill();
    this.living = this.living.filter((one) => one !== plane);
    // Somebody starts it again, unless another is there to take over.
    const inMs = this.world.weather.calm ? 1_000 : this.chance.int(100, 90_000);
    this.world.clock.after(inMs, () => {
      if (this.living.length === 0) this.launch();
    });
  }

  // ── what a life does ──────────────────────────────────────────────────────────────────────────────────────────────

  died(plane: Plane): void {
    this.bury(plane);
  }

  ticked(plane: Plane, fleet: Fleet, report: TickReport): void {
    const { epoch } = fleet.loop;
    const inForce = this.disk.fleets.get(FLEET)?.epoch ?? 0;
    if (epoch !== inForce && report.events.some(({ type }) => type === 'tick.decided')) {
      this.world.truth.breach(
        `${plane.name} has written a tick though it does not own the fleet: its epoch is ${epoch}, ${inForce} is in force`,
      );
    }
    this.watch.ticked(fleet, report);
  }

  /** At the moment of touching the world: by an owner, for an operation in flight, and never against what was asked before it. */
  acts(plane: Plane, verb: Verb, { uid, instance }: Subject): string | null {
    const { truth } = this.world;
    const who = `${plane.name} calls ${verb} of ${instance} (${uid})`;
    const { fleet } = plane;
    const inForce = this.disk.fleets.get(FLEET)?.epoch ?? 0;
    if (fleet === null || fleet.loop.epoch !== inForce) {
      truth.breach(
        `${who} though it does not own the fleet: its epoch is ${fleet?.loop.epoch ?? 'over'}, ${inForce} is in force`,
      );
      return null;
    }
    const inst = fleet.loop.state.instances.get(uid);
    const operation = inst?.operation ?? null;
    if (operation === null) {
      truth.breach(`${who} without an operation in flight`);
      return null;
    }
    const decided = this.disk.fleets.get(FLEET)?.rows[operation.seq - 1];
    if (typeof decided?.data !== 'string' || !decided.data.includes(`"${operation.id}"`)) {
      truth.breach(`${who} for ${operation.id}, and the log does not hold that it was decided (at ${operation.seq})`);
    }
    const desired = truth.desiredAt(uid, operation.seq);
    if (MAKES_RUN.has(verb) && desired !== 'running')
      truth.breach(`${who} for ${operation.id}, decided at ${operation.seq} when it was desired ${desired}`);
    if (operation.kind === 'sleep' && inst?.work.open === true)
      truth.breach(`${who} to put it to sleep while it has work`);
    return inst?.resource?.incarnation ?? null;
  }
}
