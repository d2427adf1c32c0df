/**
 * Watches one target for every fleet that uses it: a stream of notices for speed, full listings for truth.
 *
 *  1. A listing is complete or an error; an error changes nothing but the age of the last good one (L02).
 *  2. Age becomes a fact here: no good listing for long enough is `target.stale`, once.
 *  3. A listing that hangs is given up at its deadline, and stalls nobody (L03, L09).
 *  4. Sweeps of a target never overlap; a look asked meanwhile is taken right after.
 */
import type { NewEvent } from '../core/events.ts';
import type { FleetState } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import { TargetError, type Listing, type ListedResource, type Target, type TargetNotice } from '../ports/target.ts';
import { withDeadline } from './deadline.ts';
import { LOOK_AGAIN_MS, STALE_AFTER_SWEEPS, STALE_FLOOR_MS } from './limits.ts';
import type { Log } from './log.ts';
import type { FleetLoop } from './loop.ts';
import { sweepFacts, type AbsenceMemory } from './sightings.ts';

interface Watcher {
  readonly loop: FleetLoop;
  readonly memory: AbsenceMemory;
  orphans: readonly ListedResource[];
}

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
  private lastGoodMono: number;
  private lastSweepMono = Number.NEGATIVE_INFINITY;
  private observed = 0;
  private written = 0;

  constructor(name: string, target: Target, deployment: string, clock: Clock, log: Log) {
    this.name = name;
    this.target = target;
    this.clock = clock;
    this.log = log;
    this.lastGoodMono = clock.mono();
    this.unwatch = target.watch?.(deployment, (notice) => this.noticed(notice)) ?? (() => undefined);
  }

  /** Serves a fleet from now on, beginning with a look. */
  serve(loop: FleetLoop): void {
    if (this.watchers.has(loop.fleet)) return;
    this.watchers.set(loop.fleet, { loop, memory: { absent: new Map() }, orphans: [] });
    this.lookSoon(0);
  }

  leave(fleet: string): void {
    this.watchers.delete(fleet);
  }

  orphansOf(fleet: string): readonly ListedResource[] {
    return this.watchers.get(fleet)?.orphans ?? [];
  }

  /** For metrics: looks taken since last asked, and how many of them became facts. */
  takeCounts(): { observed: number; written: number } {
    const { observed, written } = this;
    this.observed = 0;
    this.written = 0;
    return { observed, written };
  }

  stop(): void {
    this.stopping.abort('stop');
    this.cancelTimer();
    this.unwatch();
  }

  /** Takes a full look now, or right after the one that is being taken. */
  lookSoon(delayMs = 0): void {
    if (this.stopping.signal.aborted) return;
    if (this.sweeping) {
      this.again = true;
      return;
    }
    this.cancelTimer();
    this.cancelTimer = this.clock.after(delayMs, () => void this.sweep());
  }

  // ── looking ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private async sweep(): Promise<void> {
    const { traits } = this.target;
    this.sweeping = true;
    this.again = false;
    this.lastSweepMono = this.clock.mono();
    const began = new Map([...this.watchers].map(([fleet, { loop }]) => [fleet, loop.state.seq]));
    try {
      const what = `the listing of target "${this.name}"`;
      const listing = await withDeadline(
        this.clock,
        traits.sweepDeadlineMs,
        what,
        (signal) => this.target.list(signal),
        this.stopping.signal,
      );
      this.lastGoodMono = this.clock.mono();
      for (const [fleet, head] of began) this.seen(fleet, head, listing);
    } catch (error) {
      if (!this.stopping.signal.aborted) this.unseen(error);
    } finally {
      this.sweeping = false;
      const sinceLast = this.clock.mono() - this.lastSweepMono;
      this.lookSoon(this.again ? Math.max(0, LOOK_AGAIN_MS - sinceLast) : Math.max(0, traits.sweepEveryMs - sinceLast));
    }
  }

  private seen(fleet: string, began: number, listing: Listing): void {
    const watcher = this.watchers.get(fleet);
    if (watcher === undefined) return;
    const { loop, memory } = watcher;
    this.observed += listing.items.length;
    const source = (state: FleetState): readonly NewEvent[] => {
      const sweep = { target: this.name, traits: this.target.traits, listing, began, endedAt: loop.time() };
      const { facts, lookAgain, orphans } = sweepFacts(state, memory, sweep);
      watcher.orphans = orphans;
      this.written += facts.length;
      if (lookAgain) this.lookSoon(LOOK_AGAIN_MS);
      return facts;
    };
    // Nothing to say: spare the loop a tick.
    if (this.wouldSay(watcher, listing, began)) loop.report(source);
  }

  /** Is there anything to say? Asked on a copy of the memory: the real look is taken when the facts are drained. */
  private wouldSay(watcher: Watcher, listing: Listing, began: number): boolean {
    const { loop, memory } = watcher;
    const sweep = { target: this.name, traits: this.target.traits, listing, began, endedAt: loop.time() };
    const { facts, lookAgain, orphans } = sweepFacts(loop.state, { absent: new Map(memory.absent) }, sweep);
    watcher.orphans = orphans;
    return facts.length > 0 || lookAgain;
  }

  /** The look failed. What it could not see stays as it was, and grows old. */
  private unseen(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.log.warn(
      { target: this.name, error: message },
      'a target could not be listed; nothing is concluded from that',
    );
    const refused = error instanceof TargetError && error.detail.class === 'terminal';
    const staleAfter = Math.max(STALE_FLOOR_MS, STALE_AFTER_SWEEPS * this.target.traits.sweepEveryMs);
    const stale = this.clock.mono() - this.lastGoodMono >= staleAfter;
    if (!refused && !stale) return;
    for (const { loop, memory } of this.watchers.values()) {
      memory.absent.clear();
      loop.report((state) => this.blindness(state, refused, message));
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
    this.observed += 1;
    const began = watcher.loop.state.seq;
    const eventful = notice.look.state === 'stopped';
    watcher.loop.report((state) => {
      const inst = state.instances.get(notice.uid);
      if (inst === undefined) return [];
      this.written += 1;
      return [
        {
          type: 'resource.observed',
          instance: inst.name,
          uid: inst.uid,
          data: { ...notice.look, began, ...(eventful && { eventful }) },
        },
      ];
    });
  }
}
