/**
 * Time as the runtime sees it. Everything that waits does so through a clock, so the simulator can own time.
 */
export interface Clock {
  /** Wall clock, ms since the epoch. Read once, at take-over; never used to age anything (L76). */
  wall(): number;
  /** Monotonic ms from an arbitrary zero. */
  mono(): number;
  /** Calls `run` once after `delayMs`; returns how to cancel it. */
  after(delayMs: number, run: () => void): () => void;
}
