/**
 * A store in memory: for the simulator and for tests, never for a fleet that matters.
 *
 * 1. Deterministic: nothing here waits, and no clock or chance is used but what is passed in.
 * 2. Honest: rows are kept as JSON text and read through `readRow`, so that whatever a real store would lose in writing
 *    is lost here too, and no caller can change the log through an object it kept.
 * 3. It can fail as a real one fails: before a commit (nothing is written) and after it (written, not acknowledged).
 *
 * The data is a `MemoryDisk`, apart from the store that opened it: close one, open another on the same disk, and it is
 * a restart; open two at once, and they are two replicas.
 */
import type { EventRow } from '../core/event-shapes.ts';
import type { StoredEvent } from '../core/events.ts';
import type { FleetRow, SealedSecret, Snapshot, Store, TokenRow } from '../ports/store.ts';
import { createLeases } from './leases.ts';
import type { Leases } from './leases.ts';
import * as rules from './rules.ts';

/** A write that is about to be committed, or just was. */
export interface MemoryWrite {
  readonly verb:
    | 'ensureFleet'
    | 'dropFleet'
    | 'append'
    | 'tick'
    | 'saveSnapshot'
    | 'retain'
    | 'acquire'
    | 'renew'
    | 'release'
    | 'putSecret'
    | 'dropSecrets'
    | 'putToken'
    | 'dropToken';
  /** null for tokens. */
  readonly fleet: string | null;
  /** Events to be written (append, tick); 0 otherwise. */
  readonly events: number;
}

export interface MemoryFaults {
  /** Throws: nothing is written. */
  beforeCommit?(write: MemoryWrite): void;
  /** Throws: it is written, but the caller does not learn it. */
  afterCommit?(write: MemoryWrite): void;
}

interface MemoryFleet {
  head: number;
  lastAt: number;
  epoch: number;
  /** In order of seq, without holes; the oldest kept first. Tests damage rows here. */
  rows: EventRow[];
  /** Newest first, at most `SNAPSHOTS_KEPT`. */
  snapshots: Snapshot[];
  /** By name, then version. */
  secrets: SealedSecret[];
}

export interface MemoryDisk {
  readonly deployment: string;
  readonly fleets: Map<string, MemoryFleet>;
  readonly tokens: Map<string, TokenRow>;
  /** The highest epoch of any dropped fleet: one of the same name must not fence with an epoch that was used. */
  epochFloor: number;
  readonly leases: Leases;
}

export interface MemoryOptions {
  readonly disk?: MemoryDisk;
  readonly faults?: MemoryFaults;
}

/** `mono` is the clock of the leases, in ms; without one no lease ever ends by itself. */
export function createMemoryDisk(options: { deployment?: string; mono?: () => number } = {}): MemoryDisk {
  return {
    deployment: options.deployment ?? 'memory',
    fleets: new Map(),
    tokens: new Map(),
    epochFloor: 0,
    leases: createLeases(options.mono ?? (() => 0)),
  };
}

export function createMemoryStore({ disk = createMemoryDisk(), faults = {} }: MemoryOptions = {}): Store {
  let open = true;

  function checkOpen(): void {
    if (!open) throw rules.closedStore();
  }

  function fleetOf(fleet: string): MemoryFleet {
    const found = disk.fleets.get(fleet);
    if (found === undefined) throw rules.unknownFleet(fleet);
    return found;
  }

  /** Everything that can refuse has run before; `write` only assigns, so a commit is all or nothing. */
  function commit(verb: MemoryWrite['verb'], fleet: string | null, events: number, write: () => void): void {
    const about: MemoryWrite = { verb, fleet, events };
    faults.beforeCommit?.(about);
    write();
    faults.afterCommit?.(about);
  }

  function commitEvents(verb: 'append' | 'tick', fleet: string, log: MemoryFleet, stamped: rules.Stamped): void {
    commit(verb, fleet, stamped.rows.length, () => {
      for (const row of stamped.rows) log.rows.push(row);
      log.head = stamped.head;
      log.lastAt = stamped.at;
    });
  }

  return {
    deployment: disk.deployment,

    async fleets() {
      checkOpen();
      return [...disk.fleets].map(([fleet, log]) => rowOf(fleet, log)).sort((a, b) => (a.fleet < b.fleet ? -1 : 1));
    },

    async ensureFleet(fleet) {
      checkOpen();
      if (!disk.fleets.has(fleet)) {
        commit('ensureFleet', fleet, 0, () => {
          disk.fleets.set(fleet, { head: 0, lastAt: 0, epoch: disk.epochFloor, rows: [], snapshots: [], secrets: [] });
        });
      }
      return rowOf(fleet, fleetOf(fleet));
    },

    async dropFleet(fleet) {
      checkOpen();
      const log = disk.fleets.get(fleet);
      if (log === undefined) return;
      commit('dropFleet', fleet, 0, () => {
        disk.epochFloor = Math.max(disk.epochFloor, log.epoch);
        disk.leases.drop(fleet);
        disk.fleets.delete(fleet);
      });
    },

    async append(fleet, events, now, expect) {
      checkOpen();
      const log = fleetOf(fleet);
      rules.checkExpected(fleet, log, expect);
      if (events.length === 0) return [];
      const stamped = rules.stampEvents(fleet, log, events, now);
      commitEvents('append', fleet, log, stamped);
      return stamped.events;
    },

    async tick(fleet, epoch, after, now, body) {
      checkOpen();
      const log = fleetOf(fleet);
      rules.checkEpoch(fleet, log, epoch);
      const fresh = log.rows.slice(placeAfter(log, after)).map((row) => rules.readStored(fleet, row));
      rules.checkFresh(fleet, after, log.head, fresh);
      const decided = body(fresh, { head: log.head, lastAt: log.lastAt });
      if (decided.length === 0) return [];
      const stamped = rules.stampEvents(fleet, log, decided, now);
      commitEvents('tick', fleet, log, stamped);
      return stamped.events;
    },

    async read(fleet, { after, to = Infinity, limit, uid }) {
      checkOpen();
      const log = fleetOf(fleet);
      const events: StoredEvent[] = [];
      for (let i = placeAfter(log, after); events.length < limit; i += 1) {
        const row = log.rows[i];
        if (row === undefined || row.seq > to) break;
        if (uid === undefined || row.uid === uid) events.push(rules.readStored(fleet, row));
      }
      if (uid === undefined) rules.checkGapless(fleet, events);
      return events;
    },

    async oldest(fleet) {
      checkOpen();
      const first = fleetOf(fleet).rows[0];
      return first === undefined ? null : { seq: first.seq, at: first.at };
    },

    async seqAt(fleet, at) {
      checkOpen();
      const log = fleetOf(fleet);
      if (at >= log.lastAt) return log.head;
      return log.rows.findLast((row) => row.at <= at)?.seq ?? 0;
    },

    async saveSnapshot(fleet, snapshot) {
      checkOpen();
      const log = fleetOf(fleet);
      rules.checkSnapshot(fleet, snapshot.seq, log.head);
      const same = log.snapshots.find((kept) => kept.seq === snapshot.seq);
      if (same !== undefined && same.logic > snapshot.logic) return;
      const others = log.snapshots.filter((kept) => kept !== same);
      const kept = [{ ...snapshot }, ...others].sort((a, b) => b.seq - a.seq).slice(0, rules.SNAPSHOTS_KEPT);
      commit('saveSnapshot', fleet, 0, () => {
        log.snapshots = kept;
      });
    },

    async snapshot(fleet, atMost = Infinity) {
      checkOpen();
      const found = fleetOf(fleet).snapshots.find((kept) => kept.seq <= atMost);
      return found === undefined ? null : { ...found };
    },

    async retain(fleet, keep) {
      checkOpen();
      const log = fleetOf(fleet);
      const limit = rules.retainLimit(log.head, log.snapshots[0]?.seq ?? null, keep.events);
      const kept = log.rows.findIndex((row) => row.seq > limit || row.at >= keep.sinceAt);
      const dropped = kept === -1 ? log.rows.length : kept;
      if (dropped > 0) {
        commit('retain', fleet, 0, () => {
          log.rows.splice(0, dropped);
        });
      }
      return dropped;
    },

    async acquire(fleet, owner, leaseMs) {
      checkOpen();
      const log = fleetOf(fleet);
      if (disk.leases.heldByAnother(fleet, owner)) return null;
      const epoch = log.epoch + 1;
      commit('acquire', fleet, 0, () => {
        log.epoch = epoch;
        disk.leases.grant(fleet, owner, leaseMs);
      });
      return { epoch };
    },

    async renew(fleet, epoch, leaseMs) {
      checkOpen();
      if (disk.fleets.get(fleet)?.epoch !== epoch) return false;
      let extended = false;
      commit('renew', fleet, 0, () => {
        extended = disk.leases.extend(fleet, leaseMs);
      });
      return extended;
    },

    async release(fleet, epoch) {
      checkOpen();
      if (disk.fleets.get(fleet)?.epoch !== epoch) return;
      commit('release', fleet, 0, () => {
        disk.leases.drop(fleet);
      });
    },

    async secrets(fleet) {
      checkOpen();
      return (disk.fleets.get(fleet)?.secrets ?? []).map(copyOf);
    },

    async putSecret(fleet, secret) {
      checkOpen();
      const log = fleetOf(fleet);
      if (log.secrets.some(({ name, version }) => name === secret.name && version === secret.version)) return false;
      const kept = [...log.secrets, copyOf(secret)].sort((a, b) =>
        a.name === b.name ? a.version - b.version : a.name < b.name ? -1 : 1,
      );
      commit('putSecret', fleet, 0, () => {
        log.secrets = kept;
      });
      return true;
    },

    async dropSecrets(fleet, name, upTo) {
      checkOpen();
      const log = fleetOf(fleet);
      const kept = log.secrets.filter((secret) => secret.name !== name || secret.version > upTo);
      const dropped = log.secrets.length - kept.length;
      if (dropped > 0) {
        commit('dropSecrets', fleet, 0, () => {
          log.secrets = kept;
        });
      }
      return dropped;
    },

    async tokens() {
      checkOpen();
      return [...disk.tokens.values()].sort((a, b) => (a.name < b.name ? -1 : 1)).map((token) => ({ ...token }));
    },

    async putToken(token) {
      checkOpen();
      if (disk.tokens.has(token.name)) return false;
      commit('putToken', null, 0, () => {
        disk.tokens.set(token.name, { ...token });
      });
      return true;
    },

    async dropToken(name) {
      checkOpen();
      if (!disk.tokens.has(name)) return false;
      commit('dropToken', null, 0, () => {
        disk.tokens.delete(name);
      });
      return true;
    },

    async close() {
      open = false;
    },
  };
}

const copyOf = ({ name, version, sealed }: SealedSecret): SealedSecret => ({ name, version, sealed: sealed.slice() });

function rowOf(fleet: string, log: MemoryFleet): FleetRow {
  return { fleet, head: log.head, epoch: log.epoch };
}

/** Where the first row after seq `after` is. Rows have no holes, so this is arithmetic, not a search. */
function placeAfter(log: MemoryFleet, after: number): number {
  const first = log.rows[0];
  return first === undefined ? 0 : Math.max(0, after - first.seq + 1);
}
