/**
 * One authority with resources in it, as an engine or a cloud is: it carries out verbs, restarts what it was told to keep,
 * and tells of what happens. It goes on when the control plane dies. What it does right is here; how calls of it fail is in
 * `calls`.
 */
import { TargetError, type Subject } from '../../src/ports/target.ts';
import type { FailureDetail } from '../../src/core/events.ts';
import type { Exit, Look } from '../../src/core/model.ts';
import type { SimClock } from './clock.ts';
import type { Chance } from './prng.ts';
import {
  exitOf,
  GONE,
  imageOf,
  isAlive,
  keyOf,
  lookAt,
  OBEYED,
  WELL,
  type Disk,
  type SimResource,
} from './resource.ts';
import type { Truth } from './truth.ts';
import type { Weather } from './weather.ts';

/** How the authority behaves just now. */
export interface Mood {
  down: boolean;
  /** Answers complete listings that are empty, for this many more listings. */
  emptyListings: number;
  /** Another authority answers under this name. */
  foreign: boolean;
  /** Tells of nothing by itself. */
  quiet: boolean;
  /** Two resources are shown under one ref. */
  shared: readonly string[];
}

/** Docker's own: 100 ms, doubled up to a minute, forgotten after ten seconds of running. */
const ENGINE_WAITS_MS = { first: 100, most: 60_000, reset: 10_000 };

type Teller = (resource: SimResource, look: Look) => void;

export class Authority {
  readonly name: string;
  readonly identity: string;
  /** It restarts by itself what it was told to keep running. */
  readonly restarts: boolean;
  readonly resources = new Map<string, SimResource>();
  readonly mood: Mood = { down: false, emptyListings: 0, foreign: false, quiet: false, shared: [] };
  private readonly disks = new Map<string, Disk>();
  /** Told of ends, as an engine's event stream tells: late, twice, or not at all. */
  private readonly tellers = new Set<Teller>();
  private readonly clock: SimClock;
  private readonly chance: Chance;
  private readonly weather: Weather;
  private readonly truth: Truth;

  constructor(
    name: string,
    restarts: boolean,
    world: { clock: SimClock; chance: Chance; weather: Weather; truth: Truth },
  ) {
    this.name = name;
    this.identity = `${name}-1`;
    this.restarts = restarts;
    this.clock = world.clock;
    this.chance = world.chance;
    this.weather = world.weather;
    this.truth = world.truth;
  }

  // ── verbs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  look(resource: SimResource): Look {
    const shared = this.mood.shared.includes(resource.uid) && !this.weather.calm;
    return lookAt(resource, `${this.name}/${shared ? 'shared' : resource.uid}`);
  }

  provision(subject: Subject, unstarted: boolean): Look {
    possible(subject);
    const found = this.resources.get(subject.uid) ?? this.make(subject);
    if (!unstarted && (found.state === 'stopped' || found.paused)) this.begin(found);
    return this.look(found);
  }

  start(subject: Subject): Look {
    possible(subject);
    const found = this.need(subject.uid);
    if (!isAlive(found)) this.begin(found);
    return this.look(found);
  }

  /** `meant`: the life that whoever asks believes to be there. Whatever else it ends, nobody asked to. */
  stop(uid: string, meant: string | null): Look {
    const found = this.need(uid);
    this.halt(found, meant);
    return this.look(found);
  }

  update(subject: Subject, unstarted: boolean, meant: string | null): Look {
    possible(subject);
    const found = this.need(subject.uid);
    this.halt(found, meant);
    this.adopt(found, subject);
    if (!unstarted) this.begin(found);
    return this.look(found);
  }

  destroy(uid: string, meant: string | null): Look {
    if (!this.truth.deletionAsked(uid)) this.truth.breach(`${uid} is destroyed though nobody asked to delete it`);
    const found = this.resources.get(uid);
    if (found !== undefined) {
      this.halt(found, meant);
      this.resources.delete(uid);
      this.disks.delete(uid);
    }
    return GONE;
  }

  need(uid: string): SimResource {
    const found = this.resources.get(uid);
    if (found === undefined)
      throw new TargetError(detail('conflict', 'instance', 'missing', 'there is no such resource'), GONE);
    return found;
  }

  disk(uid: string): Disk {
    const known = this.disks.get(uid) ?? { config: { hash: null, unusable: false }, writes: 0, plugins: new Map() };
    this.disks.set(uid, known);
    return known;
  }

  /** Writes to the disk of what exists, unless somebody else has since `seen` writes. */
  write(uid: string, seen: number, change: (disk: Disk) => void): void {
    const { disk } = this.need(uid);
    if (disk.writes !== seen)
      throw new TargetError(detail('conflict', 'instance', 'changed', 'somebody else wrote to it'));
    disk.writes += 1;
    change(disk);
  }

  private make(subject: Subject): SimResource {
    const { fleet, instance, uid, infraHash } = subject;
    const made: SimResource = {
      fleet,
      instance,
      uid,
      state: 'stopped',
      incarnation: null,
      infra: infraHash,
      image: '',
      key: null,
      exit: null,
      restarts: 0,
      paused: false,
      restarted: false,
      restartsInMs: ENGINE_WAITS_MS.first,
      completes: false,
      inForce: null,
      agent: { ...WELL },
      since: this.clock.now,
      disk: this.disk(uid),
    };
    this.adopt(made, subject);
    this.resources.set(uid, made);
    if (this.truth.deletionAsked(uid)) this.truth.lateMade.add(uid);
    return made;
  }

  private adopt(resource: SimResource, { infraHash, spec }: Subject): void {
    resource.infra = infraHash;
    resource.image = imageOf(spec);
    resource.key = keyOf(spec);
    resource.restarted = this.restarts && spec.lifecycle === 'hot';
    resource.completes = spec.onComplete === 'stop';
  }

  // ── lives ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  private begin(resource: SimResource): void {
    if (resource.paused) {
      // The life that was paused goes on.
      this.set(resource, { paused: false });
      return;
    }
    // It says so, and nothing runs (L42).
    if (resource.image.startsWith('ghost')) return;
    if (resource.state === 'running') this.truth.breach(`${resource.uid} is started while it runs`);
    const incarnation = this.truth.began(resource.uid, this.clock.now);
    const { hash, unusable } = resource.disk.config;
    this.set(resource, { state: 'running', incarnation, exit: null, inForce: hash, agent: { ...WELL } });
    if (unusable) this.endsSoon(resource, exitOf(78), 1_000);
    else if (resource.image.startsWith('crashy')) this.endsSoon(resource, exitOf(1), 20_000);
    else if (resource.image.startsWith('ends')) this.endsSoon(resource, exitOf(Number(resource.image.slice(5))), 200);
    else if (resource.image.startsWith('finite') && !this.weather.calm) this.endsSoon(resource, exitOf(0), 3_600_000);
  }

  private endsSoon(resource: SimResource, exit: Exit, withinMs: number): void {
    const { incarnation } = resource;
    this.clock.after(this.chance.int(100, withinMs), () => {
      if (this.resources.get(resource.uid)?.incarnation === incarnation && isAlive(resource))
        this.crash(resource, exit);
    });
  }

  /** Ended on the control plane's word. */
  private halt(resource: SimResource, meant: string | null): void {
    const lives = resource.state === 'running';
    if (lives)
      this.truth.ended(resource.incarnation, this.clock.now, resource.incarnation === meant || 'unmeant', OBEYED);
    if (resource.state === 'stopped' && !resource.paused) return;
    this.set(resource, { state: 'stopped', paused: false, exit: lives ? OBEYED : resource.exit });
    if (lives) this.tell(resource);
  }

  private set(resource: SimResource, change: Partial<SimResource>): void {
    Object.assign(resource, change, { since: this.clock.now });
  }

  // ── what happens behind everybody's back ──────────────────────────────────────────────────────────────────────────

  /** It ends by itself. An authority that keeps it begins its next life soon. */
  crash(resource: SimResource, how: Exit, stuck = false): void {
    if (resource.state !== 'running') return;
    const { key } = resource;
    const exit = key === null || how.output === null ? how : { ...how, output: `${how.output}, with ${key}` };
    const began = this.truth.lives.get(resource.incarnation ?? '')?.began ?? 0;
    this.truth.ended(resource.incarnation, this.clock.now, false, exit);
    this.set(resource, { state: 'stopped', paused: false, exit });
    this.tell(resource);
    if (!resource.restarted || (exit.code === 0 && resource.completes)) return;
    this.set(resource, { state: 'changing' });
    if (stuck) return;
    const { first, most, reset } = ENGINE_WAITS_MS;
    const ranForMs = this.clock.now - began;
    const inMs = ranForMs > reset ? first : resource.restartsInMs;
    resource.restartsInMs = Math.min(most, inMs * 2);
    this.clock.after(inMs, () => {
      if (this.resources.get(resource.uid) !== resource || resource.state !== 'changing') return;
      resource.restarts += 1;
      this.begin(resource);
    });
  }

  vanish(resource: SimResource): void {
    if (resource.state === 'running') this.truth.ended(resource.incarnation, this.clock.now, false, null);
    this.resources.delete(resource.uid);
  }

  pause(resource: SimResource): void {
    if (!isAlive(resource)) return;
    this.truth.paused(resource.incarnation);
    this.set(resource, { paused: true });
  }

  resume(resource: SimResource): void {
    if (resource.paused) this.set(resource, { paused: false });
  }

  behave(resource: SimResource, change: Partial<SimResource['agent']>): void {
    this.set(resource, { agent: { ...resource.agent, ...change } });
  }

  // ── telling ───────────────────────────────────────────────────────────────────────────────────────────────────────

  watch(teller: Teller): () => void {
    this.tellers.add(teller);
    return () => this.tellers.delete(teller);
  }

  private tell(resource: SimResource): void {
    const look = this.look(resource);
    if (this.mood.quiet || this.weather.is('notice-lost')) return;
    const delayMs = this.weather.is('notice-late') ? this.chance.int(100, 60_000) : 1;
    const tellers = (): void => {
      for (const teller of this.tellers) teller(resource, look);
    };
    this.clock.after(delayMs, tellers);
    if (this.weather.is('notice-twice')) this.clock.after(delayMs + this.chance.int(1, 30_000), tellers);
  }
}

/** An image that nobody can start. */
function possible({ spec }: Subject): void {
  if (!imageOf(spec).startsWith('impossible')) return;
  throw new TargetError(
    detail('terminal', 'instance', 'bad-image', `there is no image ${imageOf(spec)} for ${keyOf(spec)}`),
  );
}

export const detail = (
  kind: FailureDetail['class'],
  fault: FailureDetail['fault'],
  code: string,
  message: string,
): FailureDetail => ({
  class: kind,
  fault,
  code,
  message,
});
