/**
 * One verb at a time per instance. The runtime sees to it as well (invariant 1), but an operation that was given up may
 * still be at work when the next one comes (L27, L29).
 */
import { unlessAborted } from './wait.ts';

export interface Locks {
  /** Runs `work` when all earlier work on `key` is over; rejects without running it when the signal aborts before. */
  hold<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  held(key: string): boolean;
}

export function createLocks(): Locks {
  /** The last work queued per key; removed when it is over, so bounded by what is in flight. */
  const tails = new Map<string, Promise<void>>();
  return {
    held: (key) => tails.has(key),

    async hold(key, signal, work) {
      signal.throwIfAborted();
      const before = tails.get(key) ?? Promise.resolve();
      let release = (): void => undefined;
      const mine = new Promise<void>((done) => (release = done));
      const tail = before.then(() => mine);
      tails.set(key, tail);
      void tail.then(() => {
        if (tails.get(key) === tail) tails.delete(key);
      });
      try {
        await unlessAborted(before, signal);
        return await work();
      } finally {
        release();
      }
    },
  };
}
