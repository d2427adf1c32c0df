/**
 * What goes wrong by itself, and when: each kind of fault comes once per so many simulated hours on average, and is over by
 * the time `calm` is called.
 */
import type { Authority } from './authority.ts';
import type { Planes } from './planes.ts';
import type { Chance } from './prng.ts';
import { EXITS, isAlive, WELL, type AgentMood, type SimResource } from './resource.ts';
import { lease, work } from './roads.ts';
import { MEAN_MS, type Strike } from './weather.ts';
import type { SimWorld } from './world.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export class Faults {
  private readonly world: SimWorld;
  private readonly chance: Chance;
  private readonly planes: Planes;

  constructor(world: SimWorld, chance: Chance, planes: Planes) {
    this.world = world;
    this.chance = chance;
    this.planes = planes;
    const strikes = this.strikes();
    for (const kind of Object.keys(strikes) as Strike[]) this.often(kind, strikes[kind]);
  }

  /** No new fault from here on, and those that last are over. What the agents suffer from, the control plane must mend. */
  calm(): void {
    const { weather, authorities } = this.world;
    weather.calm = true;
    this.world.storeDown = false;
    this.world.mutedUntil.clear();
    for (const { mood } of authorities)
      Object.assign(mood, { down: false, foreign: false, emptyListings: 0, shared: [] });
    // One that hangs must be found out, where that can be; the rest passes.
    for (const { authority, resource } of this.world.all()) {
      const spec = this.planes.fleet?.loop.state.instances.get(resource.uid)?.spec;
      authority.behave(resource, {
        ...WELL,
        wedged: resource.agent.wedged && (spec?.heartbeat ?? spec?.health) != null,
      });
    }
  }

  /** Strikes once now, whatever its turn. */
  private often(kind: Strike, strike: () => boolean): void {
    const next = (): void => {
      this.world.clock.after(this.chance.gap(MEAN_MS[kind]), () => {
        if (this.world.weather.calm) return;
        if (strike()) this.world.weather.count(kind);
        next();
      });
    };
    next();
  }

  /** Each answers whether it found somebody to strike. */
  private strikes(): { readonly [K in Strike]: () => boolean } {
    const { world, chance, planes } = this;
    const { clock } = world;
    return {
      'resource-killed': () => this.someAlive((r, a) => a.crash(r, chance.pick(EXITS))),
      'resource-removed': () =>
        this.some(
          () => true,
          (r, a) => a.vanish(r),
        ),
      'resource-paused': () =>
        this.someAlive((r, a) =>
          this.during(chance.int(5 * SECOND, 10 * MINUTE), (on) => (on ? a.pause(r) : a.resume(r))),
        ),
      'stuck-changing': () =>
        this.some(
          (r) => isAlive(r) && r.restarted,
          (r, a) => a.crash(r, chance.pick(EXITS), true),
        ),
      'ref-shared': () => this.shareRef(),
      'mass-loss': () => this.mass((r, a) => (chance.is(0.3) ? a.vanish(r) : a.crash(r, chance.pick(EXITS)))),
      'mass-silence': () => this.mass((r, a) => this.suffer(r, a, { mute: true }, 5 * MINUTE, 10 * MINUTE)),
      'authority-down': () => this.spell(20 * SECOND, 10 * MINUTE, (a, on) => (a.mood.down = on)),
      'empty-listings': () => this.spell(0, 0, (a) => (a.mood.emptyListings = chance.pick([1, 1, 1, 2, 3, 5]))),
      'another-identity': () => this.spell(MINUTE, 20 * MINUTE, (a, on) => (a.mood.foreign = on)),
      'agent-wedged': () =>
        this.someAlive((r, a) => this.suffer(r, a, { wedged: true }, MINUTE, chance.is(0.3) ? 10 * MINUTE : 48 * HOUR)),
      'agent-mute': () => this.someAlive((r, a) => this.suffer(r, a, { mute: true }, MINUTE, 10 * MINUTE)),
      'agent-sick': () => this.someAlive((r, a) => this.suffer(r, a, { sick: true }, MINUTE, 15 * MINUTE)),
      'agent-degraded': () => this.someAlive((r, a) => this.suffer(r, a, { degraded: true }, MINUTE, 15 * MINUTE)),
      'agent-busy': () => this.someAlive((r, a) => this.suffer(r, a, { busy: true }, MINUTE, 20 * MINUTE)),
      'external-away': () =>
        this.external((uid) => world.mutedUntil.set(uid, clock.now + chance.int(2 * MINUTE, 30 * MINUTE))),
      'config-drift': () =>
        this.some(
          (r) => isAlive(r) && r.inForce !== null,
          (r) => (r.inForce = `edited-${clock.now}`),
        ),
      'plugin-drift': () =>
        this.some(
          (r) => r.disk.plugins.size > 0,
          (r) => r.disk.plugins.delete(chance.pick([...r.disk.plugins.keys()])),
        ),
      'ref-moved': () =>
        !!world.heads.set(chance.pick(['git+file:///srv/notes', 'git+file:///srv/search']), `sha-${clock.now}`),
      'proxy-work': () => work(world, planes, chance) === undefined,
      'work-lease': () => lease(planes, chance) === undefined,
      'clock-jump': () => (clock.wallSkewMs += chance.int(-400 * 24, 400 * 24) * HOUR) !== 0,
      crash: () => planes.crash() === undefined,
      'clean-restart': () => planes.restart() === undefined,
      'owner-paused': () => this.freeze(),
      'second-plane': () => planes.launch() === undefined,
      'store-outage': () => this.during(chance.int(SECOND, MINUTE), (on) => (world.storeDown = on)) === undefined,
      snapshot: () => {
        void planes.fleet?.loop.saveSnapshot().catch(() => undefined);
        return planes.fleet !== null;
      },
    };
  }

  private external(strike: (uid: string) => void): boolean {
    const all = [...(this.planes.fleet?.loop.state.instances.values() ?? [])].filter(
      ({ spec }) => spec.targetType === 'external',
    );
    if (all.length > 0) strike(this.chance.pick(all).uid);
    return all.length > 0;
  }

  /** The owner sleeps, often past its lease, and often another takes over before it wakes. */
  private freeze(): boolean {
    this.planes.pause(this.chance.int(SECOND, 3 * MINUTE));
    if (this.chance.is(0.7)) this.world.clock.after(this.chance.int(0, 10 * SECOND), () => this.planes.launch());
    return true;
  }

  private shareRef(): boolean {
    const authority = this.chance.pick(this.world.authorities);
    const uids = [...authority.resources.keys()];
    if (uids.length < 2) return false;
    this.during(
      this.chance.int(MINUTE, 10 * MINUTE),
      (on) => (authority.mood.shared = on ? [this.chance.pick(uids), this.chance.pick(uids)] : []),
    );
    return true;
  }

  private mass(strike: (resource: SimResource, authority: Authority) => void): boolean {
    const share = this.chance.next();
    const authority = this.chance.pick(this.world.authorities);
    for (const resource of Array.from(authority.resources.values()))
      if (isAlive(resource) && this.chance.is(share)) strike(resource, authority);
    return true;
  }

  private suffer(
    resource: SimResource,
    authority: Authority,
    from: Partial<AgentMood>,
    atLeastMs: number,
    atMostMs: number,
  ): void {
    const { incarnation } = resource;
    authority.behave(resource, from);
    this.world.clock.after(this.chance.int(atLeastMs, atMostMs), () => {
      const over = Object.fromEntries(Object.keys(from).map((what) => [what, false])) as Partial<AgentMood>;
      if (resource.incarnation === incarnation && !this.world.weather.calm) authority.behave(resource, over);
    });
  }

  private spell(atLeastMs: number, atMostMs: number, set: (authority: Authority, on: boolean) => void): boolean {
    const authority = this.chance.pick(this.world.authorities);
    this.during(this.chance.int(atLeastMs, atMostMs), (on) => (on || atMostMs > 0) && set(authority, on));
    return true;
  }

  private during(ms: number, set: (on: boolean) => void): void {
    set(true);
    this.world.clock.after(ms, () => set(false));
  }

  private someAlive(strike: (resource: SimResource, authority: Authority) => void): boolean {
    return this.some(isAlive, strike);
  }

  private some(
    which: (resource: SimResource) => boolean,
    strike: (resource: SimResource, authority: Authority) => void,
  ): boolean {
    const found = [...this.world.all()].filter(({ resource }) => which(resource));
    if (found.length === 0) return false;
    const { authority, resource } = this.chance.pick(found);
    strike(resource, authority);
    return true;
  }
}
