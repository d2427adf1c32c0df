/** Chance from a seed: the same seed, the same history. (mulberry32, public domain, by Tommy Ettinger.) */
export class Chance {
  private seed: number;

  constructor(seed: number) {
    this.seed = seed >>> 0;
  }

  /** [0, 1) */
  next(): number {
    this.seed = (this.seed + 0x6d2b79f5) >>> 0;
    let t = this.seed;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** True with probability `p`. */
  is(p: number): boolean {
    return this.next() < p;
  }

  /** Whole number in [from, to]. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** Waiting time until the next of events that come once per `meanMs`. */
  gap(meanMs: number): number {
    return Math.max(1, Math.round(-Math.log(1 - this.next()) * meanMs));
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.next() * items.length)] as T;
  }

  /** A chance of its own, so that what one part draws does not shift what another does. */
  fork(): Chance {
    return new Chance(Math.floor(this.next() * 4_294_967_296));
  }
}
