/**
 * One life of the control plane: the real runtime, over a scope of simulated time and a store that can fail. Killing it is a
 * kill -9: nothing of it runs on, and what it had not committed is gone. Pausing it is a SIGSTOP.
 */
import type { Subject } from '../../src/ports/target.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import { silentLog } from '../../src/runtime/log.ts';
import type { TickReport } from '../../src/runtime/loop.ts';
import { redactedStore } from '../../src/runtime/secrets/boundary.ts';
import { Vault } from '../../src/runtime/secrets/vault.ts';
import { testKey } from '../support/secret-key.ts';
import { Runtime } from '../../src/runtime/runtime.ts';
import { Targets } from '../../src/runtime/targets.ts';
import { createMemoryStore, type MemoryDisk, type MemoryWrite } from '../../src/stores/memory.ts';
import type { ClockScope } from './clock.ts';
import type { Chance } from './prng.ts';
import { simSources } from './sources.ts';
import { simTarget, type Verb } from './target.ts';
import type { SimWorld } from './world.ts';

export const FLEET = 'sim';

export interface PlaneWatch {
  ticked(plane: Plane, fleet: Fleet, report: TickReport): void;
  /** It is about to touch the world. */
  acts(plane: Plane, verb: Verb, subject: Subject): string | null;
  /** It killed itself between a commit and what follows from it. */
  died(plane: Plane): void;
}

export class Plane {
  readonly name: string;
  readonly runtime: Runtime;
  readonly targets: Targets;
  readonly vault: Vault;
  readonly scope: ClockScope;
  private readonly world: SimWorld;
  private readonly watch: PlaneWatch;

  constructor(name: string, world: SimWorld, disk: MemoryDisk, watch: PlaneWatch) {
    this.name = name;
    this.world = world;
    this.watch = watch;
    this.scope = world.clock.scope();
    this.targets = new Targets((target) => this.target(target), disk.deployment, this.scope, silentLog);
    const store = createMemoryStore({
      disk,
      faults: { beforeCommit: () => this.beforeCommit(), afterCommit: (write) => this.afterCommit(write) },
    });
    this.vault = new Vault({ store, key: testKey(), withoutLost: false });
    const { vault } = this;
    this.runtime = new Runtime(name, {
      store: redactedStore(store, vault.redactor),
      vault,
      clock: this.scope,
      log: silentLog,
      targets: this.targets,
      probe: (inst) => this.probe(inst.uid),
      plugins: simSources(world, (run) => this.scope.hear(run)),
      env: () => ({}),
      isVisited: (uid) => world.visited.has(uid),
      ticked: (fleet, report) => {
        if (!this.scope.dead) watch.ticked(this, fleet, report);
      },
    });
  }

  /** The fleet, as long as this life believes that it owns it. */
  get fleet(): Fleet | null {
    return this.scope.dead ? null : this.runtime.fleet(FLEET);
  }

  async start(): Promise<void> {
    await this.runtime.ensure(FLEET);
    await this.runtime.start();
  }

  /** A clean end: snapshot, release. */
  async stop(): Promise<void> {
    await this.runtime.stop();
    this.kill();
  }

  /** kill -9. */
  kill(): void {
    this.scope.kill();
    for (const observer of this.targets.all()) observer.stop();
  }

  /** SIGSTOP for a while. */
  pause(ms: number, chance: Chance): void {
    this.scope.pause();
    this.world.clock.after(ms, () => this.scope.wake(chance));
  }

  private target(name: string): ReturnType<typeof simTarget> | null {
    const authority = this.world.authorities.find((one) => one.name === name);
    if (authority === undefined) return null;
    return simTarget(authority, this.world, {
      hear: (run) => this.scope.hear(run),
      acts: (verb, subject) => (this.scope.dead ? null : this.watch.acts(this, verb, subject)),
    });
  }

  private beforeCommit(): void {
    if (this.scope.dead) throw new Error('simulated: whoever is dead writes nothing');
    if (!this.world.weather.calm && this.world.storeDown) throw new Error('simulated: the store cannot be reached');
    if (this.world.weather.is('store-before')) throw new Error('simulated: the disk is full');
  }

  private afterCommit(write: MemoryWrite): void {
    if (write.verb === 'tick' && this.world.weather.is('crash-after-commit')) {
      this.kill();
      this.watch.died(this);
      throw new Error('simulated: killed between a commit and its effects');
    }
    if (this.world.weather.is('store-after')) throw new Error('simulated: the acknowledgement was lost');
  }

  private async probe(uid: string): Promise<{ ok: boolean; message: string }> {
    if (this.world.weather.is('probe-hangs')) return new Promise(() => undefined);
    const ok = this.world.healthy(uid);
    return { ok, message: ok ? 'ok' : 'no answer' };
  }
}
