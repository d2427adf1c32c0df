/**
 * Where logs live. A store is a handful of verbs, each atomic and durable when its promise resolves; `test/contract/store`
 * is the definition, every store passes it unchanged.
 *
 * Every append locks the fleet's row: `seq` is gapless, `at` is stamped under the lock and never goes back.
 */
import type { NewEvent, StoredEvent } from '../core/events.ts';

/** An append or a tick was refused because another owner has taken the fleet (its epoch is newer). */
export class FencedError extends Error {
  override readonly name = 'FencedError';
}

/** The store cannot be used at all: locked, newer schema, disk full, unreachable. `message` is one clear sentence. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: 'locked' | 'newer-schema' | 'full' | 'unreachable' | 'conflict' | 'unknown-fleet' | 'corrupt';
  constructor(code: StoreError['code'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

export interface FleetRow {
  readonly fleet: string;
  /** Last seq written; 0 for an empty log. */
  readonly head: number;
  readonly epoch: number;
}

export interface Snapshot {
  readonly seq: number;
  readonly at: number;
  readonly logic: number;
  /** JSON text, made by `core/snapshot`. */
  readonly body: string;
}

/** A named API token; only its hash is stored. */
export interface TokenRow {
  readonly name: string;
  /** SHA-256 of the token, hex. */
  readonly hash: string;
  readonly scope: 'read' | 'operate' | 'admin';
  /** null: every fleet. */
  readonly fleets: readonly string[] | null;
  readonly createdAt: number;
  readonly expiresAt: number | null;
}

/** One version of a secret of a fleet, encrypted by who stores it: to the store it is just bytes. */
export interface SealedSecret {
  readonly name: string;
  readonly version: number;
  readonly sealed: Uint8Array;
}

/**
 * What `tick` hands to the decision: the facts after `after` (already durable), and the lock's view of the log. The
 * function is synchronous and may be called again if the store has to retry; what it returns is appended behind them.
 */
export type TickBody = (fresh: readonly StoredEvent[], log: { head: number; lastAt: number }) => readonly NewEvent[];

export interface Store {
  /** A stable id of this store's deployment, made when the store was created. */
  readonly deployment: string;

  fleets(): Promise<readonly FleetRow[]>;
  /** Creates the fleet if it is not there. */
  ensureFleet(fleet: string): Promise<FleetRow>;
  /** Removes the fleet with its log; the caller has made sure that it is empty. */
  dropFleet(fleet: string): Promise<void>;

  /**
   * Appends facts. `now` is asked under the lock; `at` = max(now(), last at). With `expect`, refuses with
   * `StoreError('conflict')` unless the head is still there.
   */
  append(
    fleet: string,
    events: readonly NewEvent[],
    now: () => number,
    expect?: number,
  ): Promise<readonly StoredEvent[]>;

  /**
   * One tick: locks the fleet, checks `epoch` (else `FencedError`), reads every event after `after`, calls `body`, appends
   * what it returns, commits. Resolves with what was appended (empty: nothing was written).
   */
  tick(fleet: string, epoch: number, after: number, now: () => number, body: TickBody): Promise<readonly StoredEvent[]>;

  /**
   * Events with from < seq ≤ to, in order, at most `limit`. A row that cannot be read comes as `event.quarantined` at
   * its own seq, with its instance and uid; a row of an unknown newer version rejects with `StoreError('newer-schema')`.
   */
  read(
    fleet: string,
    range: { after: number; to?: number; limit: number; uid?: string },
  ): Promise<readonly StoredEvent[]>;
  /** Seq and time of the oldest event kept; null for an empty log. */
  oldest(fleet: string): Promise<{ seq: number; at: number } | null>;
  /** The last seq whose `at` is ≤ the given time; 0 if none. */
  seqAt(fleet: string, at: number): Promise<number>;

  saveSnapshot(fleet: string, snapshot: Snapshot): Promise<void>;
  /** The newest snapshot with seq ≤ `atMost`. */
  snapshot(fleet: string, atMost?: number): Promise<Snapshot | null>;
  /** Drops events older than both bounds, never above the newest snapshot; returns how many. */
  retain(fleet: string, keep: { sinceAt: number; events: number }): Promise<number>;

  /** Takes the fleet for `owner`: a new epoch, or null while another owner's lease runs. */
  acquire(fleet: string, owner: string, leaseMs: number): Promise<{ epoch: number } | null>;
  /** Extends the lease; false when the epoch is no longer ours. */
  renew(fleet: string, epoch: number, leaseMs: number): Promise<boolean>;
  release(fleet: string, epoch: number): Promise<void>;

  /** Every version that is kept, by name, then version. Empty for a fleet that is not there. */
  secrets(fleet: string): Promise<readonly SealedSecret[]>;
  /** False when this version is there already: what was sealed as a version never changes. */
  putSecret(fleet: string, secret: SealedSecret): Promise<boolean>;
  /** Drops the versions up to `upTo`; returns how many there were. */
  dropSecrets(fleet: string, name: string, upTo: number): Promise<number>;

  tokens(): Promise<readonly TokenRow[]>;
  /** False when the name is taken. */
  putToken(token: TokenRow): Promise<boolean>;
  dropToken(name: string): Promise<boolean>;

  close(): Promise<void>;
}
