/**
 * A fleet's own time: last recorded time + monotonic elapsed. The wall clock is read once, at take-over, and never believed
 * when it is behind the log; so a jump of it moves no deadline (L76).
 */
import type { Clock } from '../ports/clock.ts';

export function fleetClock(clock: Clock, lastAt: number): () => number {
  const base = Math.max(clock.wall(), lastAt);
  const zero = clock.mono();
  return () => base + Math.floor(clock.mono() - zero);
}
