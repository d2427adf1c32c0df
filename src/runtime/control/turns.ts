/**
 * Long reading in short slices, so that the loops of this process tick on and its requests are answered meanwhile; ended by
 * the signal of whoever asked, and told about now and then.
 */
import type { Clock } from '../../ports/clock.ts';
import { Refusal } from '../api.ts';
import { PROGRESS_EVERY_MS, SLICE_MS } from '../limits.ts';

export class Turns {
  private readonly clock: Clock;
  private readonly signal: AbortSignal | null;
  private readonly tell: () => void;
  private sinceMono: number;
  private toldMono: number;

  constructor(clock: Clock, signal: AbortSignal | null, tell: () => void = () => undefined) {
    this.clock = clock;
    this.signal = signal;
    this.tell = tell;
    this.sinceMono = clock.mono();
    this.toldMono = this.sinceMono;
  }

  /** Has this slice lasted long enough? Cheap enough to be asked at each event. */
  isDue(): boolean {
    return this.clock.mono() - this.sinceMono >= SLICE_MS;
  }

  /** Everybody else's turn. Rejects once nobody waits for the answer any more. */
  async take(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.signal?.aborted === true)
      throw new Refusal(
        'unavailable',
        'given-up',
        'whoever asked has gone, or this server ends; the work was given up',
      );
    const now = this.clock.mono();
    this.sinceMono = now;
    if (now - this.toldMono < PROGRESS_EVERY_MS) return;
    this.toldMono = now;
    this.tell();
  }
}
