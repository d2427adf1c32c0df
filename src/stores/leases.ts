/**
 * Leases of a store that one process owns alone (memory, SQLite). They live in that process: a lease that outlived it
 * would only make the next one wait for a dead owner. Epochs, which fence, are stored with the fleet.
 */
export interface Leases {
  /** True while an owner other than `owner` holds an unexpired lease. */
  heldByAnother(fleet: string, owner: string): boolean;
  grant(fleet: string, owner: string, leaseMs: number): void;
  /** Extends the lease of whoever holds the fleet, also an expired one that nobody took; false when it was released. */
  extend(fleet: string, leaseMs: number): boolean;
  drop(fleet: string): void;
}

/** `mono`: ms from an arbitrary zero; a wall clock would let a time jump end a lease. */
export function createLeases(mono: () => number): Leases {
  const held = new Map<string, { readonly owner: string; readonly until: number }>();
  return {
    heldByAnother(fleet, owner) {
      const lease = held.get(fleet);
      return lease !== undefined && lease.owner !== owner && lease.until > mono();
    },
    grant(fleet, owner, leaseMs) {
      held.set(fleet, { owner, until: mono() + leaseMs });
    },
    extend(fleet, leaseMs) {
      const lease = held.get(fleet);
      if (lease === undefined) return false;
      held.set(fleet, { owner: lease.owner, until: mono() + leaseMs });
      return true;
    },
    drop(fleet) {
      held.delete(fleet);
    },
  };
}
