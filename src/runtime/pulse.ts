/**
 * The pulse of this process: how late its event loop is. While it stands still nothing is decided and nobody is answered, and
 * nothing in this process can say so; afterwards this can, for a minute, and to whoever asks first.
 *
 * A timer of our own, not `monitorEventLoopDelay`: reading and resetting that one right after a block loses the very block
 * (tried), and by our clock a stopped process (SIGSTOP, a frozen container) shows, too.
 */
import type { Clock } from '../ports/clock.ts';
import { PULSE_EVERY_MS, PULSE_KEPT_MS } from './limits.ts';

export interface Lag {
  /** Within the last minute, ms. */
  readonly worstMs: number;
  readonly meanMs: number;
}

interface Beat {
  readonly atMono: number;
  readonly lateMs: number;
}

export class Pulse {
  private readonly clock: Clock;
  private beats: Beat[] = [];
  private dueMono: number;
  private cancel: () => void = () => undefined;

  constructor(clock: Clock) {
    this.clock = clock;
    this.dueMono = clock.mono();
    this.next();
  }

  lag(): Lag {
    const now = this.clock.mono();
    this.beats = this.beats.filter(({ atMono }) => now - atMono <= PULSE_KEPT_MS);
    // Who asks may be heard before the beat that is overdue.
    const late = [Math.max(0, now - this.dueMono), ...this.beats.map(({ lateMs }) => lateMs)];
    return { worstMs: Math.max(...late), meanMs: late.reduce((sum, ms) => sum + ms, 0) / late.length };
  }

  stop(): void {
    this.cancel();
  }

  private next(): void {
    this.dueMono = this.clock.mono() + PULSE_EVERY_MS;
    this.cancel = this.clock.after(PULSE_EVERY_MS, () => {
      const atMono = this.clock.mono();
      this.beats.push({ atMono, lateMs: Math.max(0, atMono - this.dueMono) });
      if (this.beats.length > PULSE_KEPT_MS / PULSE_EVERY_MS) this.beats.shift();
      this.next();
    });
  }
}
