/**
 * All fleets of this process: takes them over, keeps their leases, lets them go.
 *
 *  1. A fleet is decided by its owner alone; the epoch in the store fences everybody else out.
 *  2. An owner that cannot renew stops acting before its lease ends, by its own monotonic clock (DESIGN §6).
 */
import { DEFAULT_DEADLINE_MS } from '../core/limits.ts';
import type { Instance } from '../core/model.ts';
import { FencedError, type Store } from '../ports/store.ts';
import { Fleet, type FleetWorld } from './fleet.ts';
import { withDeadline } from './deadline.ts';
import { LEASE_MS, RENEW_EVERY_MS, STOP_AGENTS_PARALLEL } from './limits.ts';

interface Owned {
  readonly fleet: Fleet;
  readonly epoch: number;
  renewedMono: number;
}

export class Runtime {
  readonly owner: string;
  private readonly world: FleetWorld;
  private readonly owned = new Map<string, Owned>();
  private readonly taking = new Map<string, Promise<Fleet>>();
  private cancelRenewal: () => void = () => undefined;
  private stopped = false;

  constructor(owner: string, world: Omit<FleetWorld, 'lost'>) {
    this.owner = owner;
    this.world = { ...world, lost: (fleet, reason) => this.lost(fleet, reason) };
  }

  private get store(): Store {
    return this.world.store;
  }

  /** Takes over every fleet of the store. */
  async start(): Promise<void> {
    for (const { fleet } of await this.store.fleets()) await this.take(fleet);
    this.scheduleRenewal();
  }

  fleets(): readonly Fleet[] {
    return [...this.owned.values()].map(({ fleet }) => fleet);
  }

  fleet(name: string): Fleet | null {
    return this.owned.get(name)?.fleet ?? null;
  }

  /** The fleet of that name, created and taken over if need be. */
  async ensure(name: string): Promise<Fleet> {
    if (!this.owned.has(name)) await this.store.ensureFleet(name);
    return this.take(name);
  }

  async drop(name: string): Promise<void> {
    await this.owned.get(name)?.fleet.stop();
    this.owned.delete(name);
    await this.store.dropFleet(name);
  }

  /** Stops whatever runs, as part of a clean end; says so in the log first, so that it reads as planned. */
  async stopAgents(): Promise<void> {
    for (const { fleet, epoch } of this.owned.values()) {
      await fleet.stop();
      await this.store.append(fleet.name, [{ type: 'owner.stopped', data: { epoch, agents: true } }], () =>
        fleet.loop.time(),
      );
      const running = [...fleet.loop.state.instances.values()].filter(
        (inst) => inst.resource !== null && inst.resource.state !== 'missing' && inst.resource.state !== 'stopped',
      );
      const queue = running[Symbol.iterator]();
      const worker = async (): Promise<void> => {
        for (const inst of queue) await this.stopAgent(fleet, inst);
      };
      await Promise.all(Array.from({ length: STOP_AGENTS_PARALLEL }, worker));
    }
  }

  private async stopAgent(fleet: Fleet, inst: Instance): Promise<void> {
    const { clock, targets, log } = this.world;
    try {
      const target = targets.get(inst.spec.target);
      const deadlineMs = target.traits.deadlinesMs.stop ?? DEFAULT_DEADLINE_MS;
      await withDeadline(clock, deadlineMs, `stopping ${inst.name}`, (signal) =>
        target.stop(fleet.subject(inst), signal),
      );
    } catch (error) {
      log.error(
        { fleet: fleet.name, instance: inst.name, error: String(error) },
        'an agent could not be stopped, and runs on',
      );
    }
  }

  /** Lets everything go in good order: agents run on, the log is complete, the next start is quick. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelRenewal();
    for (const { fleet, epoch } of this.owned.values()) {
      await fleet.stop();
      try {
        await fleet.loop.saveSnapshot();
        await this.store.release(fleet.name, epoch);
      } catch (error) {
        if (!(error instanceof FencedError))
          this.world.log.error(
            { fleet: fleet.name, error: String(error) },
            'the fleet could not be released; its lease will run out',
          );
      }
    }
    this.owned.clear();
  }

  private async take(name: string): Promise<Fleet> {
    const known = this.owned.get(name);
    if (known !== undefined) return known.fleet;
    const running = this.taking.get(name) ?? this.takeOver(name).finally(() => this.taking.delete(name));
    this.taking.set(name, running);
    return running;
  }

  private async takeOver(name: string): Promise<Fleet> {
    const lease = await this.acquire(name);
    const fleet = new Fleet(name, this.world);
    const renewedMono = this.world.clock.mono();
    await fleet.start(lease, this.owner);
    this.owned.set(name, { fleet, epoch: lease, renewedMono });
    return fleet;
  }

  /** Waits out the lease of an owner that is gone, at most twice its length. */
  private async acquire(name: string): Promise<number> {
    const giveUpMono = this.world.clock.mono() + 2 * LEASE_MS;
    for (;;) {
      const lease = await this.store.acquire(name, this.owner, LEASE_MS);
      if (lease !== null) return lease.epoch;
      if (this.stopped || this.world.clock.mono() >= giveUpMono) {
        throw new Error(`fleet "${name}" is owned by another Holdfast that keeps its lease alive; stop that one first`);
      }
      await new Promise<void>((resolve) => this.world.clock.after(LEASE_MS / 10, resolve));
    }
  }

  private scheduleRenewal(): void {
    if (this.stopped) return;
    this.cancelRenewal = this.world.clock.after(
      RENEW_EVERY_MS,
      () => void this.renewAll().then(() => this.scheduleRenewal()),
    );
  }

  private async renewAll(): Promise<void> {
    for (const owned of [...this.owned.values()]) {
      const { fleet, epoch } = owned;
      try {
        if (await this.store.renew(fleet.name, epoch, LEASE_MS)) owned.renewedMono = this.world.clock.mono();
        else this.lost(fleet.name, 'another owner has taken it over');
      } catch (error) {
        this.world.log.error({ fleet: fleet.name, error: String(error) }, 'the lease could not be renewed');
        if (this.world.clock.mono() - owned.renewedMono >= LEASE_MS - RENEW_EVERY_MS)
          this.lost(fleet.name, 'its lease runs out and cannot be renewed');
      }
    }
  }

  /** Stops acting at once, then tries to get the fleet back. */
  private lost(name: string, reason: string): void {
    const owned = this.owned.get(name);
    if (owned === undefined || this.stopped) return;
    this.owned.delete(name);
    this.world.log.error(
      { fleet: name, reason },
      'the fleet is no longer ours; nothing is done for it until it is again',
    );
    void owned.fleet.stop().then(() => this.takeBack(name));
  }

  /** Tries until it is ours again, or until we end. Never rejects. */
  private async takeBack(name: string): Promise<void> {
    while (!this.stopped) {
      try {
        await this.take(name);
        return;
      } catch (error) {
        this.world.log.error(
          { fleet: name, error: String(error) },
          'the fleet could not be taken back; it is tried again',
        );
        await new Promise<void>((resolve) => this.world.clock.after(RENEW_EVERY_MS, resolve));
      }
    }
  }
}
