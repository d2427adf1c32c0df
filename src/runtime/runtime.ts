/**
 * All fleets of this process: takes them over, keeps their leases, lets them go.
 *
 *  1. A fleet is decided by its owner alone; the epoch in the store fences everybody else out.
 *  2. An owner that cannot renew stops acting before its lease ends, by its own monotonic clock (DESIGN §6), whether its
 *     store refuses, hangs, or was never asked in time.
 *  3. What was lost is taken back as soon as it can be, for as long as it is there.
 *  4. A fleet is dropped only as it was seen to be empty: what is declared meanwhile keeps it.
 *  5. After `stop` nothing of ours is left behind, not even a fleet that was being taken over.
 */
import { wordsOf } from '../core/error-words.ts';
import { DEFAULT_DEADLINE_MS } from '../core/limits.ts';
import type { Instance } from '../core/model.ts';
import { StoreError, type Store } from '../ports/store.ts';
import { Fleet, type FleetWorld } from './fleet.ts';
import { withDeadline } from './deadline.ts';
import { CALLED_OFF_MS, LEASE_MARGIN_MS, LEASE_MS, RENEW_EVERY_MS, STOP_AGENTS_PARALLEL } from './limits.ts';

interface Owned {
  readonly fleet: Fleet;
  readonly epoch: number;
  /** Its log is read and it is decided; before that only its lease is kept. */
  ready: boolean;
  cancelExpiry: () => void;
}

export class Runtime {
  readonly owner: string;
  private readonly world: FleetWorld;
  private readonly owned = new Map<string, Owned>();
  private readonly taking = new Map<string, Promise<Fleet>>();
  private readonly dropping = new Map<string, Promise<void>>();
  /** Fleets of the store that are not ours yet, or not again. */
  private readonly awaited = new Set<string>();
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
    // First, since the leases of the first fleets run while the others are taken.
    this.scheduleRenewal();
    const all = await this.store.fleets();
    for (const { fleet } of all) this.awaited.add(fleet);
    for (const { fleet } of all) await this.take(fleet);
  }

  /** Opens a fleet of the store to be looked at, as it was at `now`; nobody's lease is touched. */
  async open(name: string, now: number): Promise<void> {
    const fleet = new Fleet(name, this.world);
    await fleet.open(now);
    this.owned.set(name, { fleet, epoch: fleet.loop.epoch, ready: true, cancelExpiry: () => undefined });
  }

  fleets(): readonly Fleet[] {
    return [...this.owned.values()].filter(({ ready }) => ready).map(({ fleet }) => fleet);
  }

  fleet(name: string): Fleet | null {
    const owned = this.owned.get(name);
    return owned?.ready === true ? owned.fleet : null;
  }

  /** Every fleet that is ours, is being taken over, or is waited for. */
  known(): readonly string[] {
    return [...new Set([...this.owned.keys(), ...this.awaited])];
  }

  /** It is there, but not ours just now: asking again later may find it. */
  isAwaited(name: string): boolean {
    return this.awaited.has(name);
  }

  /** The fleet of that name, created and taken over if need be. */
  async ensure(name: string): Promise<Fleet> {
    await this.dropping.get(name);
    const known = this.fleet(name);
    if (known !== null) return known;
    await this.store.ensureFleet(name);
    return this.take(name);
  }

  /** Forgets a fleet with its log. Rejects with `StoreError('conflict')`, and keeps it, if anything is declared in it. */
  async drop(name: string): Promise<void> {
    const owned = this.owned.get(name);
    if (owned === undefined) throw new StoreError('unknown-fleet', `fleet "${name}" is not owned by this process`);
    const dropping = this.dropOwned(name, owned);
    const over = dropping.then(
      () => undefined,
      () => undefined,
    );
    this.dropping.set(name, over);
    try {
      await dropping;
    } finally {
      this.dropping.delete(name);
    }
  }

  private async dropOwned(name: string, owned: Owned): Promise<void> {
    const { fleet, epoch } = owned;
    this.disown(name, owned);
    await fleet.stop();
    try {
      const { state } = fleet.loop;
      if (state.instances.size > 0) throw new StoreError('conflict', `fleet "${name}" is not empty`);
      // A barrier: what was written since it was seen to be empty makes this a conflict, and whoever planned on what was
      // before has one of his own.
      const ended = { type: 'owner.stopped', data: { epoch, agents: false } } as const;
      await this.store.append(name, [ended], () => fleet.loop.time(), state.seq);
      await this.store.dropFleet(name);
    } catch (error) {
      await this.take(name).catch(() => void this.takeBack(name, fleet));
      throw error;
    }
    this.world.dropped?.(name);
  }

  /** Stops whatever runs, as part of a clean end; says so in the log first, so that it reads as planned. Never rejects. */
  async stopAgents(): Promise<void> {
    const all = await Promise.all([...this.owned.values()].map((owned) => this.endingAgents(owned)));
    const queue = all.flat()[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const { fleet, inst } of queue) await this.stopAgent(fleet, inst);
    };
    await Promise.all(Array.from({ length: STOP_AGENTS_PARALLEL }, worker));
  }

  /** Whom to stop: what runs, and what may run because its operation was at work when we were asked to end. */
  private async endingAgents({ fleet, epoch }: Owned): Promise<readonly { fleet: Fleet; inst: Instance }[]> {
    const { clock, log } = this.world;
    const { name, loop } = fleet;
    try {
      await fleet.stop();
      // What is called off may still take effect: it must not start an agent behind our back.
      await withDeadline(clock, CALLED_OFF_MS, `ending what is at work in fleet "${name}"`, () => fleet.effects.idle());
    } catch (error) {
      log.warn(
        { fleet: name, error: wordsOf(error) },
        'not everything that was at work has ended; its agents are stopped all the same',
      );
    }
    try {
      await this.store.append(name, [{ type: 'owner.stopped', data: { epoch, agents: true } }], () => loop.time());
    } catch (error) {
      log.error(
        { fleet: name, error: wordsOf(error) },
        'that the agents are stopped on purpose could not be written; it will read as flaps',
      );
    }
    return [...loop.state.instances.values()]
      .filter(
        ({ operation, resource }) =>
          operation !== null || (resource !== null && resource.state !== 'missing' && resource.state !== 'stopped'),
      )
      .map((inst) => ({ fleet, inst }));
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
        { fleet: fleet.name, instance: inst.name, error: wordsOf(error) },
        'an agent could not be stopped, and runs on',
      );
    }
  }

  /** Lets everything go in good order: agents run on, the log is complete, the next start is quick. Never rejects. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.cancelRenewal();
    // Whoever takes a fleet just now gives it back, for it sees that we end.
    await Promise.allSettled([...this.taking.values(), ...this.dropping.values()]);
    const all = [...this.owned];
    await Promise.all(all.map(([name, owned]) => this.letGo(name, owned)));
  }

  private async letGo(name: string, owned: Owned): Promise<void> {
    const { fleet, epoch } = owned;
    this.disown(name, owned);
    try {
      await fleet.stop();
      await fleet.loop.saveSnapshot();
      await this.store.release(name, epoch);
    } catch (error) {
      this.world.log.error(
        { fleet: name, error: wordsOf(error) },
        'the fleet could not be released; its lease will run out',
      );
    }
  }

  private disown(name: string, owned: Owned): void {
    owned.cancelExpiry();
    if (this.owned.get(name) === owned) this.owned.delete(name);
  }

  private async take(name: string): Promise<Fleet> {
    const known = this.fleet(name);
    if (known !== null) return known;
    const running = this.taking.get(name) ?? this.takeOver(name).finally(() => this.taking.delete(name));
    this.taking.set(name, running);
    return running;
  }

  private async takeOver(name: string): Promise<Fleet> {
    const { epoch, askedMono } = await this.acquire(name);
    const fleet = new Fleet(name, this.world);
    const owned: Owned = { fleet, epoch, ready: false, cancelExpiry: () => undefined };
    this.owned.set(name, owned);
    this.expireAfter(name, owned, askedMono);
    try {
      await fleet.start(epoch, this.owner);
      if (this.stopped) throw new Error(`fleet "${name}" is given back, since this process ends`);
      if (this.owned.get(name) !== owned) throw new Error(`fleet "${name}" was lost while it was taken over`);
    } catch (error) {
      this.disown(name, owned);
      await fleet.stop();
      await this.store.release(name, epoch).catch(() => undefined); // else its lease runs out
      throw error;
    }
    owned.ready = true;
    this.awaited.delete(name);
    return fleet;
  }

  /** Waits out the lease of an owner that is gone, at most twice its length. */
  private async acquire(name: string): Promise<{ epoch: number; askedMono: number }> {
    const { clock } = this.world;
    const giveUpMono = clock.mono() + 2 * LEASE_MS;
    for (;;) {
      const askedMono = clock.mono();
      const lease = this.stopped ? null : await this.store.acquire(name, this.owner, LEASE_MS);
      if (lease !== null) return { epoch: lease.epoch, askedMono };
      if (this.stopped || clock.mono() >= giveUpMono) {
        throw new Error(`fleet "${name}" is owned by another Holdfast that keeps its lease alive; stop that one first`);
      }
      await new Promise<void>((resolve) => clock.after(LEASE_MS / 10, resolve));
    }
  }

  // ── leases ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private scheduleRenewal(): void {
    this.cancelRenewal();
    if (this.stopped) return;
    this.cancelRenewal = this.world.clock.after(RENEW_EVERY_MS, () => {
      // The next round does not wait for this one: a store that hangs is asked again, and one fleet keeps no other waiting.
      for (const [name, owned] of this.owned) void this.renew(name, owned);
      this.scheduleRenewal();
    });
  }

  /** Never rejects. */
  private async renew(name: string, owned: Owned): Promise<void> {
    const { clock, log } = this.world;
    const askedMono = clock.mono();
    try {
      const renewed = await withDeadline(clock, RENEW_EVERY_MS, `renewing the lease of fleet "${name}"`, () =>
        this.store.renew(name, owned.epoch, LEASE_MS),
      );
      if (this.owned.get(name) !== owned) return;
      if (renewed) this.expireAfter(name, owned, askedMono);
      else this.lost(name, 'another owner has taken it over');
    } catch (error) {
      log.error({ fleet: name, error: wordsOf(error) }, 'the lease could not be renewed');
    }
  }

  /** Counted from when the lease was asked for, since the store can only have given it later (2). */
  private expireAfter(name: string, owned: Owned, askedMono: number): void {
    const { clock } = this.world;
    const untilMono = askedMono + LEASE_MS - LEASE_MARGIN_MS;
    owned.fleet.leasedUntilMono = untilMono;
    owned.cancelExpiry();
    owned.cancelExpiry = clock.after(untilMono - clock.mono(), () => {
      if (this.owned.get(name) === owned) this.lost(name, 'its lease runs out and could not be renewed');
    });
  }

  /** Stops acting at once, then tries to get the fleet back. */
  private lost(name: string, reason: string): void {
    const owned = this.owned.get(name);
    if (owned === undefined || this.stopped) return;
    this.disown(name, owned);
    this.world.log.error(
      { fleet: name, reason },
      'the fleet is no longer ours; nothing is done for it until it is again',
    );
    if (owned.ready) void this.takeBack(name, owned.fleet);
    // Whoever is still taking it over sees that it is lost, and tells.
    else owned.fleet.stop().catch(() => undefined);
  }

  /** Tries until it is ours again, until it is no more, or until we end. Never rejects. */
  private async takeBack(name: string, before: Fleet): Promise<void> {
    const { clock, log } = this.world;
    this.awaited.add(name);
    await before.stop().catch((error: unknown) => {
      log.error({ fleet: name, error: wordsOf(error) }, 'the fleet did not end well; it is taken back all the same');
    });
    while (!this.stopped) {
      try {
        await this.take(name);
        return;
      } catch (error) {
        if (this.stopped) return;
        if (error instanceof StoreError && error.code === 'unknown-fleet') {
          this.awaited.delete(name);
          return;
        }
        log.error({ fleet: name, error: wordsOf(error) }, 'the fleet could not be taken back; it is tried again');
        await new Promise<void>((resolve) => clock.after(RENEW_EVERY_MS, resolve));
      }
    }
  }
}
