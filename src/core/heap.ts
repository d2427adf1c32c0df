/**
 * A binary heap of keys, ordered by an explicit comparison. Equal entries need an order of their own: give one.
 */
export class Heap<T> {
  private readonly items: T[] = [];
  private readonly before: (a: T, b: T) => boolean;

  constructor(before: (a: T, b: T) => boolean) {
    this.before = before;
  }

  get size(): number {
    return this.items.length;
  }

  peek(): T | undefined {
    return this.items[0];
  }

  push(item: T): void {
    let at = this.items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.before(item, this.items[parent] as T)) break;
      this.items[at] = this.items[parent] as T;
      at = parent;
    }
    this.items[at] = item;
  }

  /** Holds just these from now on. */
  refill(items: Iterable<T>): void {
    this.items.length = 0;
    for (const item of items) this.push(item);
  }

  /** Those that are held, in no order. */
  all(): readonly T[] {
    return this.items;
  }

  pop(): T | undefined {
    const top = this.items[0];
    const last = this.items.pop();
    if (this.items.length === 0 || last === undefined) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.items.length) break;
      if (child + 1 < this.items.length && this.before(this.items[child + 1] as T, this.items[child] as T)) child += 1;
      if (!this.before(this.items[child] as T, last)) break;
      this.items[at] = this.items[child] as T;
      at = child;
    }
    this.items[at] = last;
    return top;
  }
}
