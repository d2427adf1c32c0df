/**
 * How much one client may ask: token buckets for requests, slots for requests that last (streams, waits).
 *
 * Promises: bounded memory whatever the number of clients; a valid token is never locked out by what its neighbours do
 * with wrong ones (on loopback all agents share one address).
 */
import { CLIENTS, type Rate, RETRY_AFTER_S } from './limits.ts';
import { Problem, unavailable } from './problem.ts';

export interface Buckets {
  /** Takes one request off the key's allowance; throws 429 with the time until the next one fits. */
  take(key: string): void;
}

export function createBuckets(rate: Rate, what: string, nowMs: () => number): Buckets {
  /** Least recently used first. */
  const buckets = new Map<string, { left: number; at: number }>();
  return {
    take(key) {
      const now = nowMs();
      const seen = buckets.get(key);
      buckets.delete(key);
      const left =
        seen === undefined ? rate.burst : Math.min(rate.burst, seen.left + ((now - seen.at) / 1_000) * rate.perSecond);
      buckets.set(key, { left: left >= 1 ? left - 1 : left, at: now });
      if (buckets.size > CLIENTS) {
        const oldest = buckets.keys().next();
        if (oldest.done !== true) buckets.delete(oldest.value);
      }
      if (left >= 1) return;
      const seconds = Math.max(1, Math.ceil((1 - left) / rate.perSecond));
      throw new Problem(
        'too-many-requests',
        `More than ${rate.perSecond} ${what} per second; ask again in ${seconds} s.`,
        {
          headers: { 'Retry-After': String(seconds) },
        },
      );
    },
  };
}

export interface Slots {
  /** Takes a slot for a request that lasts; the answer gives it back, once, however often it is called. */
  take(key: string): () => void;
  readonly taken: number;
}

export function createSlots(total: number, perKey: number): Slots {
  const held = new Map<string, number>();
  let taken = 0;
  return {
    get taken() {
      return taken;
    },
    take(key) {
      const mine = held.get(key) ?? 0;
      if (mine >= perKey) {
        throw new Problem(
          'too-many-requests',
          `This token already has ${mine} streams and waits open, the most it may.`,
          {
            headers: { 'Retry-After': String(RETRY_AFTER_S) },
          },
        );
      }
      if (taken >= total) throw unavailable(`All ${total} places for streams and waits are taken.`);
      held.set(key, mine + 1);
      taken++;
      let given = false;
      return () => {
        if (given) return;
        given = true;
        taken--;
        const now = (held.get(key) ?? 1) - 1;
        if (now > 0) held.set(key, now);
        else held.delete(key);
      };
    },
  };
}
