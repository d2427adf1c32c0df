/**
 * The world that the simulated fleet lives in: one authority with resources in it, slow and moody, and agents that beat,
 * crash and fall silent. It goes on when the control plane dies, and finishes what that one had asked for.
 */
import type { FailureDetail } from '../../src/core/events.ts';
import type { Exit, Look, ResourceState } from '../../src/core/model.ts';
import { TargetError, type Subject } from '../../src/ports/target.ts';
import type { SimClock } from './clock.ts';
import type { Chance } from './prng.ts';

export interface SimResource {
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
  state: Exclude<ResourceState, 'missing'>;
  incarnation: string | null;
  infra: string;
  exit: Exit | null;
  restarts: number;
  config: string | null;
  plugins: Map<string, { source: string; ref: string | null; sha: string; treeDigest: string }>;
  /** The agent inside does not beat any more until its next life. */
  wedged: boolean;
}

/** How the authority behaves just now. All faults are off when `calm`. */
export interface Mood {
  down: boolean;
  /** Answers complete listings that are empty, for this many more listings. */
  emptyListings: number;
  /** Another authority answers under this name. */
  foreign: boolean;
  calm: boolean;
}

/** How often each fault strikes one call, and how long things take. */
const ODDS = { errorBefore: 0.03, errorAfter: 0.03, terminal: 0.003, hang: 0.01, deaf: 0.004, lateNotice: 0.2, lostNotice: 0.1, twiceNotice: 0.05 };
const LATENCY_MS = { quick: 20, slow: 20_000 };

export class SimWorld {
  readonly resources = new Map<string, SimResource>();
  readonly mood: Mood = { down: false, emptyListings: 0, foreign: false, calm: false };
  private readonly clock: SimClock;
  private readonly chance: Chance;
  private lives = 0;
  /** Told of ends, as an engine's event stream tells: late, twice, or not at all. */
  private readonly tellers = new Set<(resource: SimResource, look: Look) => void>();
  /** Lives that ran at the same time for one uid would be a double start (L86). */
  doubles: string[] = [];

  constructor(clock: SimClock, chance: Chance) {
    this.clock = clock;
    this.chance = chance;
  }

  // ── what an authority does ────────────────────────────────────────────────────────────────────────────────────────

  async list(signal: AbortSignal): Promise<{ identity: string; items: { fleet: string; instance: string; uid: string; look: Look }[] }> {
    const taken = this.listing();
    await this.wait(this.latency(), signal);
    this.maybeFail('list');
    if (this.mood.foreign) return { identity: 'somebody-else', items: [] };
    if (this.mood.emptyListings > 0 && !this.mood.calm) {
      this.mood.emptyListings -= 1;
      return { identity: 'sim-1', items: [] };
    }
    // Sometimes what is delivered was looked at before the wait: a listing begun before a start that arrives after it.
    return { identity: 'sim-1', items: this.chance.is(0.5) ? taken : this.listing() };
  }

  private listing(): { fleet: string; instance: string; uid: string; look: Look }[] {
    return [...this.resources.values()].map((resource) => ({
      fleet: resource.fleet,
      instance: resource.instance,
      uid: resource.uid,
      look: lookAt(resource),
    }));
  }

  /** Carries out one verb, with every way of failing that a remote call has. */
  async act<T>(what: string, signal: AbortSignal, effect: () => T): Promise<T> {
    await this.wait(this.latency(), signal);
    this.maybeFail(what);
    if (!this.mood.calm && this.chance.is(ODDS.terminal)) throw new TargetError(detail('terminal', 'instance', 'refused', `${what}: this will never work`));
    const done = effect();
    if (!this.mood.calm && this.chance.is(ODDS.errorAfter)) throw new TargetError(detail('transient', 'instance', 'lost-answer', `${what}: done, but the answer was lost`));
    await this.wait(LATENCY_MS.quick, signal);
    return done;
  }

  private maybeFail(what: string): void {
    if (this.mood.down) throw new TargetError(detail('transient', 'target', 'down', `${what}: the authority does not answer`));
    if (!this.mood.calm && this.chance.is(ODDS.errorBefore)) throw new TargetError(detail('transient', 'instance', 'flaky', `${what}: it did not work this time`));
  }

  private latency(): number {
    if (this.mood.calm) return LATENCY_MS.quick;
    if (this.chance.is(ODDS.hang)) return 3_600_000;
    return this.chance.is(0.1) ? this.chance.int(1_000, LATENCY_MS.slow) : this.chance.int(5, 200);
  }

  /** Time passes; an abort ends the wait, unless this call is deaf to it. */
  private wait(ms: number, signal: AbortSignal): Promise<void> {
    const deaf = !this.mood.calm && this.chance.is(ODDS.deaf);
    return new Promise((resolve, reject) => {
      const stop = this.clock.after(ms, () => resolve());
      const onAbort = (): void => {
        stop();
        this.clock.after(this.chance.int(1, 50), () => reject(new Error('aborted')));
      };
      if (deaf) return;
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  provision(subject: Subject, unstarted: boolean): Look {
    const found = this.resources.get(subject.uid);
    if (found !== undefined) {
      if (!unstarted && found.state === 'stopped') this.begin(found);
      return lookAt(found);
    }
    const made: SimResource = {
      fleet: subject.fleet,
      instance: subject.instance,
      uid: subject.uid,
      state: 'stopped',
      incarnation: null,
      infra: subject.infraHash,
      exit: null,
      restarts: 0,
      config: null,
      plugins: new Map(),
      wedged: false,
    };
    this.resources.set(subject.uid, made);
    if (!unstarted) this.begin(made);
    return lookAt(made);
  }

  start(uid: string): Look {
    const found = this.need(uid);
    if (found.state !== 'running') this.begin(found);
    return lookAt(found);
  }

  stop(uid: string): Look {
    const found = this.need(uid);
    if (found.state !== 'stopped') this.end(found, { code: 0, signal: null, oom: false, output: null });
    return lookAt(found);
  }

  update(subject: Subject, unstarted: boolean): Look {
    const found = this.need(subject.uid);
    if (found.state !== 'stopped') this.end(found, { code: 0, signal: null, oom: false, output: null });
    found.infra = subject.infraHash;
    if (!unstarted) this.begin(found);
    return lookAt(found);
  }

  destroy(uid: string): Look {
    const found = this.resources.get(uid);
    if (found !== undefined) {
      if (found.state !== 'stopped') this.end(found, null);
      this.resources.delete(uid);
    }
    return GONE;
  }

  need(uid: string): SimResource {
    const found = this.resources.get(uid);
    if (found === undefined) throw new TargetError(detail('conflict', 'instance', 'missing', 'there is no such resource'), GONE);
    return found;
  }

  private begin(resource: SimResource): void {
    if (resource.state === 'running') this.doubles.push(resource.uid);
    this.lives += 1;
    resource.state = 'running';
    resource.incarnation = `life-${this.lives}`;
    resource.exit = null;
    resource.wedged = false;
  }

  private end(resource: SimResource, exit: Exit | null): void {
    resource.state = 'stopped';
    resource.exit = exit;
    const look = lookAt(resource);
    if (this.mood.calm) {
      this.tell(resource, look, 1);
      return;
    }
    if (this.chance.is(ODDS.lostNotice)) return;
    const delay = this.chance.is(ODDS.lateNotice) ? this.chance.int(100, 60_000) : 1;
    this.tell(resource, look, delay);
    if (this.chance.is(ODDS.twiceNotice)) this.tell(resource, look, delay + this.chance.int(1, 30_000));
  }

  private tell(resource: SimResource, look: Look, delayMs: number): void {
    this.clock.after(delayMs, () => {
      for (const teller of this.tellers) teller(resource, look);
    });
  }

  onEnd(teller: (resource: SimResource, look: Look) => void): () => void {
    this.tellers.add(teller);
    return () => this.tellers.delete(teller);
  }

  // ── what happens behind everybody's back ──────────────────────────────────────────────────────────────────────────

  crash(resource: SimResource, exit: Exit): void {
    if (resource.state === 'running') this.end(resource, exit);
  }

  vanish(resource: SimResource): void {
    this.resources.delete(resource.uid);
  }
}

export const GONE: Look = { state: 'missing', ref: null, incarnation: null, infra: null, exit: null, restarts: 0, attrs: {} };

export const lookAt = (resource: SimResource): Look => ({
  state: resource.state,
  ref: `sim/${resource.uid}`,
  incarnation: resource.incarnation,
  infra: resource.infra,
  exit: resource.exit,
  restarts: resource.restarts,
  attrs: {},
});

export const detail = (kind: FailureDetail['class'], fault: FailureDetail['fault'], code: string, message: string): FailureDetail => ({
  class: kind,
  fault,
  code,
  message,
});
