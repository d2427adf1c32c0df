/**
 * Time that the simulator owns. Each life of the control plane sees it through a scope of its own: when that life is killed,
 * its timers never ring again, as after a kill -9; while it is paused (SIGSTOP), nothing reaches it, and all at once when it
 * wakes.
 */
import { Heap } from '../../src/core/heap.ts';
import type { Clock } from '../../src/ports/clock.ts';
import type { Chance } from './prng.ts';

interface Timer {
  readonly at: number;
  readonly id: number;
  readonly run: () => void;
  dead: boolean;
}

/** After so many timers the process may breathe: signals, and the parent of a worker. */
const BREATHE_EVERY = 20_000;

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

  /** Rings everything due up to `until`, letting each ring's consequences run dry before the next. */
  async runUntil(until: number): Promise<void> {
    for (let rung = 1; ; rung += 1) {
      const timer = this.timers.peek();
      if (timer === undefined || timer.at > until) break;
      this.timers.pop();
      if (timer.dead) continue;
      this.now = Math.max(this.now, timer.at);
      timer.run();
      await dry();
      if (rung % BREATHE_EVERY === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    this.now = Math.max(this.now, until);
  }

  scope(): ClockScope {
    return new ClockScope(this);
  }
}

/**
 * Everything that promises can do without time passing is done: node comes to its next-tick queue only when no microtask is
 * left. (`setImmediate` says the same, and costs a turn of the event loop: a third of the whole simulation.)
 */
export const dry = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

export class ClockScope implements Clock {
  private readonly clock: SimClock;
  private life: 'runs' | 'paused' | 'dead' = 'runs';
  private waiting: (() => void)[] = [];

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
    if (this.life === 'dead') return () => undefined;
    let cancelled = false;
    const stop = this.clock.after(delayMs, () =>
      this.hear(() => {
        if (!cancelled) run();
      }),
    );
    return () => {
      cancelled = true;
      stop();
    };
  }

  get dead(): boolean {
    return this.life === 'dead';
  }

  get paused(): boolean {
    return this.life === 'paused';
  }

  /** Something from outside reaches this life: now, when it wakes, or never. */
  hear(run: () => void): void {
    if (this.life === 'runs') run();
    else if (this.life === 'paused') this.waiting.push(run);
  }

  pause(): void {
    if (this.life === 'runs') this.life = 'paused';
  }

  /** Timers and answers that came meanwhile are there at once, in no order. */
  wake(chance: Chance): void {
    if (this.life !== 'paused') return;
    this.life = 'runs';
    const waiting = this.waiting;
    this.waiting = [];
    while (waiting.length > 0) {
      const [run] = waiting.splice(chance.int(0, waiting.length - 1), 1);
      if (run !== undefined) this.clock.after(0, () => this.hear(run));
    }
  }

  kill(): void {
    this.life = 'dead';
    this.waiting = [];
  }
}
