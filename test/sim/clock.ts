/**
 * Time that the simulator owns. Each life of the control plane sees it through a scope of its own: when that life is killed,
 * its timers never ring again, as after a kill -9.
 */
import { Heap } from '../../src/core/heap.ts';
import type { Clock } from '../../src/ports/clock.ts';

interface Timer {
  readonly at: number;
  readonly id: number;
  readonly run: () => void;
  dead: boolean;
}

export class SimClock {
  /** Monotonic ms. */
  now = 0;
  /** What the wall clock is ahead of `now`; jumps (L76). */
  wallSkewMs = 1_767_225_600_000;
  private ids = 0;
  private readonly timers = new Heap<Timer>((a, b) => a.at < b.at || (a.at === b.at && a.id < b.id));

  after(delayMs: number, run: () => void): () => void {
    const timer: Timer = { at: this.now + Math.max(0, delayMs), id: (this.ids += 1), run, dead: false };
    this.timers.push(timer);
    return () => {
      timer.dead = true;
    };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Rings everything due up to `until`, letting each ring's consequences run dry before the next. */
  async runUntil(until: number): Promise<void> {
    for (;;) {
      const timer = this.timers.peek();
      if (timer === undefined || timer.at > until) break;
      this.timers.pop();
      if (timer.dead) continue;
      this.now = Math.max(this.now, timer.at);
      timer.run();
      await dry();
    }
    this.now = Math.max(this.now, until);
  }

  scope(): ClockScope {
    return new ClockScope(this);
  }
}

/** Everything that promises can do without time passing is done. */
export const dry = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class ClockScope implements Clock {
  private readonly clock: SimClock;
  private alive = true;

  constructor(clock: SimClock) {
    this.clock = clock;
  }

  wall(): number {
    return this.clock.now + this.clock.wallSkewMs;
  }

  mono(): number {
    return this.clock.now;
  }

  after(delayMs: number, run: () => void): () => void {
    if (!this.alive) return () => undefined;
    return this.clock.after(delayMs, () => {
      if (this.alive) run();
    });
  }

  kill(): void {
    this.alive = false;
  }
}
