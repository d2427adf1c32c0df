/**
 * The world that the simulated fleet lives in: two authorities, the agents that run elsewhere, the clock, the weather, and
 * the truth about it all. It goes on when the control plane dies.
 */
import { Authority } from './authority.ts';
import { SimClock } from './clock.ts';
import type { Chance } from './prng.ts';
import { isAlive, type SimResource } from './resource.ts';
import type { Twist } from './calls.ts';
import type { TargetWorld } from './target.ts';
import { Truth } from './truth.ts';
import { Weather } from './weather.ts';

export class SimWorld implements TargetWorld {
  readonly clock = new SimClock();
  readonly truth = new Truth();
  readonly chance: Chance;
  readonly weather: Weather;
  readonly authorities: readonly Authority[];
  readonly heads = new Map<string, string>();
  /** Uids of external agents that cannot be heard until then. */
  readonly mutedUntil = new Map<string, number>();
  /** Uids with an open request at the wake proxy. */
  readonly visited = new Set<string>();
  /** What the script of a story has in store for calls of a verb (and a uid, if it names one), in order. */
  readonly twists: { readonly what: string; readonly uid: string | null; readonly twist: Twist }[] = [];
  /** Nobody reaches the store. */
  storeDown = false;
  /** Set by whoever runs control planes in this world. */
  onCrash: () => void = () => undefined;
  /** Set by whoever operates the fleet. */
  onSecondThought: (uid: string) => void = () => undefined;

  /** `restarts`: the name of the authority that restarts by itself what ends. */
  constructor(chance: Chance, restarts: string | null = null) {
    this.chance = chance;
    this.weather = new Weather(chance.fork());
    this.authorities = ['sim', 'side'].map((name) => new Authority(name, name === restarts, this));
  }

  crash(): void {
    this.onCrash();
  }

  twist(what: string, uid: string | null): Twist | null {
    const at = this.twists.findIndex((one) => one.what === what && (one.uid === null || one.uid === uid));
    return at < 0 ? null : (this.twists.splice(at, 1)[0]?.twist ?? null);
  }

  /** Something is asked of the world: now and then its operator thinks better of it before it is done. */
  asked(uid: string): void {
    if (this.weather.is('second-thought')) this.clock.after(this.chance.int(1, 100), () => this.onSecondThought(uid));
  }

  authority(name: string): Authority {
    const found = this.authorities.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no authority "${name}" in this world`);
    return found;
  }

  find(uid: string): { authority: Authority; resource: SimResource } | null {
    for (const authority of this.authorities) {
      const resource = authority.resources.get(uid);
      if (resource !== undefined) return { authority, resource };
    }
    return null;
  }

  *all(): Iterable<{ authority: Authority; resource: SimResource }> {
    for (const authority of this.authorities)
      for (const resource of authority.resources.values()) yield { authority, resource };
  }

  /** What a health probe of it finds. */
  healthy(uid: string): boolean {
    const found = this.find(uid)?.resource;
    return found !== undefined && isAlive(found) && !found.agent.wedged && !found.agent.sick;
  }

  /** Its beats arrive. */
  beats(resource: SimResource): boolean {
    return isAlive(resource) && !resource.agent.wedged && !resource.agent.mute;
  }
}
