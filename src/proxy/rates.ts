/** How many wrong tokens an address may try. Whoever has a right one is never locked out by its neighbours: those are not counted. */
import { CLIENTS } from './limits.ts';

/** Takes one off the address's allowance; the seconds until the next one fits, or null if there was one. */
export type Allowance = (address: string) => number | null;

export function createAllowance(
  { burst, perSecond }: { burst: number; perSecond: number },
  nowMs: () => number,
): Allowance {
  /** Least recently used first. */
  const buckets = new Map<string, { left: number; at: number }>();
  return (address) => {
    const now = nowMs();
    const seen = buckets.get(address);
    buckets.delete(address);
    const left = seen === undefined ? burst : Math.min(burst, seen.left + ((now - seen.at) / 1_000) * perSecond);
    buckets.set(address, { left: left >= 1 ? left - 1 : left, at: now });
    if (buckets.size > CLIENTS) {
      const oldest = buckets.keys().next();
      if (oldest.done !== true) buckets.delete(oldest.value);
    }
    return left >= 1 ? null : Math.max(1, Math.ceil((1 - left) / perSecond));
  };
}
