/**
 * Watches one target for every fleet that uses it: a stream of notices for speed, full listings for truth.
 *
 *  1. A listing is complete or an error; an error changes nothing but the age of the last good one (L02).
 *  2. Age becomes a fact here: no good listing for long enough is `target.stale`, once. One that failed is soon tried again, a few
 *     times, so that this takes seconds. For a fleet that was just taken over the first look that fails is enough: what it
 *     knows, somebody else saw.
 *  3. A listing that hangs is given up at its deadline, and stalls nobody (L03, L09).
 *  4. Sweeps of a target never overlap; a look asked meanwhile is taken right after.
 *  5. While a fleet's log cannot be written, only the newest listing waits for it: an outage piles up nothing.
 */
import { wordsOf } from '../core/error-words.ts';
import type { NewEvent } from '../core/events.ts';
import type { FleetState } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import { TargetError, type Listing, type ListedResource, type Target, type TargetNotice } from '../ports/target.ts';
import { withDeadline } from './deadline.ts';
import { FAILED_SWEEP_AGAIN_MS, LOOK_AGAIN_MS, STALE_AFTER_SWEEPS, STALE_FLOOR_MS } from './limits.ts';
import type { Log } from './log.ts';
import type { FactSource } from './ahead.ts';
import type { FleetLoop } from './loop.ts';
import { sweepFacts, type AbsenceMemory, type Sweep } from './sightings.ts';

interface Watcher {
  readonly loop: FleetLoop;
  readonly memory: AbsenceMemory;
  orphans: readonly ListedResource[];
  recognised: number;
  /** The newest listing that is not in the log yet. */
  latest: Sweep | null;
  /** That nothing can be seen is reported, and not in the log yet. */
  blind: boolean;
  /** Answers about one instance each that became facts, and that did not, since this was last asked. */
  written: number;
  unwritten: number;
}

/** What a look would say: how many resources of the fleet it found, and sources of the facts, in order, to be asked once. */
export interface Glance {
  readonly items: number;
  readonly sources: readonly FactSource[];
}

const copyOf = ({ absent }: AbsenceMemory): AbsenceMemory => ({ absent: new Map(absent) });

export class TargetObserver {
  readonly name: string;
  readonly target: Target;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly watchers = new Map<string, Watcher>();
  private readonly stopping = new AbortController();
  private readonly unwatch: () => void;
  private cancelTimer: () => void = () => undefined;
  private sweeping = false;
  private again = false;
  /** When the next look is due. */
  private dueMono = Number.POSITIVE_INFINITY;
  /** Of the second look of a proof of absence: only every other look may follow the one before at once. */
  private second: 'none' | 'asked' | 'taken' = 'none';
  /** Listings that failed since the last good one, and when the first of them began. */
  private failed = 0;
  private failingSinceMono = 0;
  private lastSweepMono = Number.NEGATIVE_INFINITY;

  constructor(name: string, target: Target, deployment: string, clock: Clock, log: Log) {
    this.name = name;
    this.target = target;
    this.clock = clock;
    this.log = log;
    this.unwatch = target.watch?.(deployment, (notice) => this.noticed(notice)) ?? (() => undefined);
  }

  /** Serves a fleet from now on, beginning with a look. A new owner's loop takes the place of an old one. */
  serve(loop: FleetLoop): void {
    if (this.watchers.get(loop.fleet)?.loop === loop) return;
    const memory = { absent: new Map<string, number>() };
    const nothing = { orphans: [], recognised: 0, latest: null, blind: false, written: 0, unwritten: 0 };
    this.watchers.set(loop.fleet, { loop, memory, ...nothing });
    this.lookSoon(0);
  }

  leave(loop: FleetLoop): void {
    if (this.watchers.get(loop.fleet)?.loop === loop) this.watchers.delete(loop.fleet);
  }

  /** Of the last complete listing: what nobody declares, and how many of the fleet's somebody does. */
  orphansOf(fleet: string): { readonly orphans: readonly ListedResource[]; readonly recognised: number } {
    const { orphans, recognised } = this.watchers.get(fleet) ?? { orphans: [], recognised: 0 };
    return { orphans, recognised };
  }

  /**
   * Looks for that fleet, and says what there would be to say of it, without saying it. Looks a second time where the first
   * look proves nothing alone. Rejects when the target cannot be listed.
   */
  async glance(loop: FleetLoop, signal: AbortSignal): Promise<Glance> {
    const memory = copyOf(this.watchers.get(loop.fleet)?.memory ?? { absent: new Map() });
    const sweeps = [await this.glimpse(loop, signal)];
    const first = sweepFacts(loop.state, copyOf(memory), sweeps[0]!);
    if (first.lookAgain) sweeps.push(await this.glimpse(loop, signal));
    return {
      items: first.orphans.length + first.recognised,
      sources: sweeps.map((sweep) => (state) => sweepFacts(state, memory, sweep).facts),
    };
  }

  private async glimpse(loop: FleetLoop, signal: AbortSignal): Promise<Sweep> {
    const { traits } = this.target;
    const began = loop.state.seq;
    const what = `the listing of target "${this.name}"`;
    const listing = await withDeadline(
      this.clock,
      traits.sweepDeadlineMs,
      what,
      (ended) => this.target.list(ended),
      AbortSignal.any([signal, this.stopping.signal]),
    );
    return { target: this.name, traits, listing, began, endedAt: loop.time() };
  }

  /** For metrics: answers about one instance each since this was last asked, by whether they became facts. */
  takeCounts(fleet: string): { readonly written: number; readonly unwritten: number } {
    const watcher = this.watchers.get(fleet);
    const { written, unwritten } = watcher ?? { written: 0, unwritten: 0 };
    if (watcher !== undefined) Object.assign(watcher, { written: 0, unwritten: 0 });
    return { written, unwritten };
  }

  stop(): void {
    this.stopping.abort('stop');
    this.cancelTimer();
    this.unwatch();
  }

  /** Takes a full look then at the latest, or right after the one that is being taken. */
  lookSoon(delayMs = 0): void {
    if (this.stopping.signal.aborted) return;
    if (this.sweeping) {
      this.again = true;
      return;
    }
    const dueMono = this.clock.mono() + delayMs;
    if (dueMono >= this.dueMono) return;
    this.cancelTimer();
    this.dueMono = dueMono;
    this.cancelTimer = this.clock.after(delayMs, () => void this.sweep());
  }

  // ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private async sweep(): Promise<void> {
    const { traits } = this.target;
    this.sweeping = true;
    this.again = false;
    this.dueMono = Number.POSITIVE_INFINITY;
    this.second = this.second === 'asked' ? 'taken' : 'none';
    this.lastSweepMono = this.clock.mono();
    const began = new Map([...this.watchers.values()].map((watcher) => [watcher, watcher.loop.state.seq]));
    try {
      const what = `the listing of target "${this.name}"`;
      const listing = await withDeadline(
        this.clock,
        traits.sweepDeadlineMs,
        what,
        (signal) => this.target.list(signal),
        this.stopping.signal,
      );
      this.failed = 0;
      for (const [watcher, head] of began) this.seen(watcher, head, listing);
    } catch (error) {
      if (!this.stopping.signal.aborted) this.unseen(error);
    } finally {
      this.sweeping = false;
      const sinceLast = this.clock.mono() - this.lastSweepMono;
      this.lookSoon(Math.max(0, this.nextSweepMs() - sinceLast));
    }
  }

  /** A target that is known to be stale is asked in its own rhythm again: it may be away for days. */
  private nextSweepMs(): number {
    if (this.second === 'asked') return 0;
    if (this.again) return LOOK_AGAIN_MS;
    const { sweepEveryMs } = this.target.traits;
    return this.failed === 0 || this.isStale() ? sweepEveryMs : Math.min(sweepEveryMs, FAILED_SWEEP_AGAIN_MS);
  }

  private isStale(): boolean {
    return this.failed >= STALE_AFTER_SWEEPS && this.clock.mono() - this.failingSinceMono >= STALE_FLOOR_MS;
  }

  private seen(watcher: Watcher, began: number, listing: Listing): void {
    const { loop } = watcher;
    if (this.watchers.get(loop.fleet) !== watcher) return;
    const sweep: Sweep = { target: this.name, traits: this.target.traits, listing, began, endedAt: loop.time() };
    if (watcher.latest !== null) {
      watcher.unwritten += watcher.orphans.length + watcher.recognised;
      watcher.latest = sweep;
      return;
    }
    // Nothing to say: spare the loop a tick.
    if (!this.wouldSay(watcher, sweep)) return;
    watcher.latest = sweep;
    if (!loop.report((state, draft) => this.factsOf(watcher, state, draft))) watcher.latest = null;
  }

  private factsOf(watcher: Watcher, state: FleetState, draft: boolean): readonly NewEvent[] {
    const sweep = watcher.latest;
    if (draft) return sweep === null ? [] : sweepFacts(state, copyOf(watcher.memory), sweep).facts;
    watcher.latest = null;
    if (sweep === null) return [];
    const { facts, lookAgain, halfProved, orphans, recognised } = sweepFacts(state, watcher.memory, sweep);
    Object.assign(watcher, { orphans, recognised });
    const written = facts.filter(({ type }) => type === 'resource.observed');
    watcher.written += written.length;
    watcher.unwritten += Math.max(0, orphans.length + recognised - written.filter(isPresence).length);
    if (halfProved && this.second === 'none') {
      this.second = 'asked';
      this.lookSoon();
    } else if (lookAgain) {
      this.lookSoon(LOOK_AGAIN_MS);
    }
    return facts;
  }

  /** Is there anything to say? Asked on a copy of the memory: the real look is taken when the facts are drained. */
  private wouldSay(watcher: Watcher, sweep: Sweep): boolean {
    const { absent } = watcher.memory;
    const after = new Map(absent);
    const { facts, lookAgain, orphans, recognised } = sweepFacts(watcher.loop.state, { absent: after }, sweep);
    Object.assign(watcher, { orphans, recognised });
    if (facts.length > 0 || lookAgain) return true;
    // What was seen again is no longer half proved to be gone (L51); nothing else can have changed.
    for (const uid of absent.keys()) if (!after.has(uid)) absent.delete(uid);
    watcher.unwritten += orphans.length + recognised;
    return false;
  }

  /** The look failed. What it could not see stays as it was, and grows old. */
  private unseen(error: unknown): void {
    const message = wordsOf(error);
    this.log.warn(
      { target: this.name, error: message },
      'a target could not be listed; nothing is concluded from that',
    );
    const refused = error instanceof TargetError && error.detail.class === 'terminal';
    if (this.failed === 0) this.failingSinceMono = this.lastSweepMono;
    this.failed += 1;
    const stale = this.isStale();
    for (const watcher of this.watchers.values()) {
      const unsynced = watcher.loop.state.targets.get(this.name)?.synced !== true;
      if (!refused && !stale && !unsynced) continue;
      watcher.memory.absent.clear();
      if (watcher.blind) continue;
      // An idle loop drains before `report` returns.
      watcher.blind = true;
      const taken = watcher.loop.report((state, draft) => {
        if (!draft) watcher.blind = false;
        return this.blindness(state, refused, message);
      });
      if (!taken) watcher.blind = false;
    }
  }

  private blindness(state: FleetState, refused: boolean, message: string): readonly NewEvent[] {
    const target = state.targets.get(this.name);
    if (target === undefined) return [];
    if (refused) {
      return target.refused === null
        ? [{ type: 'target.refused', data: { target: this.name, message, identity: null } }]
        : [];
    }
    return target.stale === null ? [{ type: 'target.stale', data: { target: this.name, message } }] : [];
  }

  // ── being told ────────────────────────────────────────────────────────────────────────────────────────────────────

  private noticed(notice: TargetNotice): void {
    if (notice.kind === 'look-again') {
      this.lookSoon(Math.max(0, LOOK_AGAIN_MS - (this.clock.mono() - this.lastSweepMono)));
      return;
    }
    const watcher = this.watchers.get(notice.fleet);
    if (watcher === undefined) return;
    if (notice.kind === 'image-resolved') {
      const { image, digest } = notice;
      watcher.loop.report(() => [{ type: 'image.resolved', data: { image, digest } }]);
      return;
    }
    const looks = notice.next === undefined ? [notice.look] : [notice.look, notice.next];
    const began = watcher.loop.state.seq;
    watcher.loop.report((state, draft) => {
      const inst = state.instances.get(notice.uid);
      if (!draft) watcher[inst === undefined ? 'unwritten' : 'written'] += looks.length;
      if (inst === undefined) return [];
      return looks.map((look) => ({
        type: 'resource.observed',
        instance: inst.name,
        uid: inst.uid,
        data: { ...look, began, ...(look.state === 'stopped' && { eventful: true }) },
      }));
    });
  }
}

/** One that the listing held; what is proved missing was in none. */
const isPresence = (fact: NewEvent): boolean => fact.type === 'resource.observed' && fact.data.state !== 'missing';
