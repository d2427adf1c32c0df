/**
 * The embedded store: one SQLite database in a data folder, owned by one process.
 *
 * 1. What resolved is on the disk (`database.ts`); what rejected was not written, except when the process died between.
 * 2. No second Holdfast works on the folder (`lock.ts`). So no other owner of a fleet can live, and `acquire` takes
 *    over at once after a restart: leases bind only owners within this process.
 * 3. Every verb is one synchronous transaction: nothing of this process can come between its reads and its writes.
 */
import { randomUUID } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { Store } from '../../ports/store.ts';
import { createLeases } from '../leases.ts';
import * as rules from '../rules.ts';
import { makeFolder, openDatabase, transact } from './database.ts';
import { storeError } from './errors.ts';
import { eventSql } from './events.ts';
import { fleetSql } from './fleets.ts';
import type { FleetRecord } from './fleets.ts';
import { lockFolder } from './lock.ts';
import type { FolderLock } from './lock.ts';
import { migrate } from './migrations.ts';
import { secretSql } from './secrets.ts';
import { snapshotSql } from './snapshots.ts';
import { tokenSql } from './tokens.ts';

export interface SqliteOptions {
  /** Clock of the leases, monotonic, in ms. */
  readonly mono?: () => number;
  /** For tests: the size at which the disk is full. */
  readonly maxPages?: number;
}

/** No seq is higher: what "to the end" means in SQL. */
const END = Number.MAX_SAFE_INTEGER;

export async function openSqliteStore(folder: string, options: SqliteOptions = {}): Promise<Store> {
  makeFolder(folder);
  const lock = lockFolder(folder);
  try {
    const db = openDatabase(folder, options.maxPages);
    try {
      migrate(db, folder, randomUUID);
      return sqliteStore(db, folder, lock, options.mono ?? (() => performance.now()));
    } catch (error) {
      db.close();
      throw error;
    }
  } catch (error) {
    lock.release();
    throw storeError(error, folder, 'open it');
  }
}

function sqliteStore(db: ReturnType<typeof openDatabase>, folder: string, lock: FolderLock, mono: () => number): Store {
  const fleets = fleetSql(db);
  const events = eventSql(db);
  const secrets = secretSql(db);
  const snapshots = snapshotSql(db);
  const tokens = tokenSql(db);
  const leases = createLeases(mono);

  /** Every verb runs in here: refuses when closed, and turns what SQLite says into a sentence. */
  function run<T>(tried: string, work: () => T): T {
    if (!db.isOpen) throw rules.closedStore();
    try {
      return work();
    } catch (error) {
      throw storeError(error, folder, tried);
    }
  }
  const write = <T>(tried: string, work: () => T): T => run(tried, () => transact(db, work));

  function get(fleet: string): FleetRecord {
    const found = fleets.find(fleet);
    if (found === undefined) throw rules.unknownFleet(fleet);
    return found;
  }

  function put(log: FleetRecord, stamped: rules.Stamped): void {
    events.insert(log.id, stamped.rows);
    fleets.moveHead(log.id, stamped.head, stamped.at);
  }

  return {
    deployment: fleets.deployment(),

    async fleets() {
      return run('list fleets', () => fleets.all().map(({ fleet, head, epoch }) => ({ fleet, head, epoch })));
    },

    async ensureFleet(fleet) {
      return write('create a fleet', () => {
        fleets.insert(fleet);
        const { head, epoch } = get(fleet);
        return { fleet, head, epoch };
      });
    },

    async dropFleet(fleet) {
      write('drop a fleet', () => {
        const log = fleets.find(fleet);
        if (log === undefined) return;
        fleets.raiseFloor(log.epoch);
        secrets.removeAll(log.id);
        snapshots.removeAll(log.id);
        events.removeAll(log.id);
        fleets.remove(log.id);
      });
      leases.drop(fleet);
    },

    async append(fleet, added, now, expect) {
      return write('append events', () => {
        const log = get(fleet);
        rules.checkExpected(fleet, log, expect);
        if (added.length === 0) return [];
        const stamped = rules.stampEvents(fleet, log, added, now);
        put(log, stamped);
        return stamped.events;
      });
    },

    async tick(fleet, epoch, after, now, body) {
      return write('commit a tick', () => {
        const log = get(fleet);
        rules.checkEpoch(fleet, log, epoch);
        const fresh =
          after < log.head ? events.page(fleet, log.id, { after, to: log.head, limit: log.head - after }) : [];
        rules.checkFresh(fleet, after, log.head, fresh);
        const decided = body(fresh, { head: log.head, lastAt: log.lastAt });
        if (decided.length === 0) return [];
        const stamped = rules.stampEvents(fleet, log, decided, now);
        put(log, stamped);
        return stamped.events;
      });
    },

    async read(fleet, { after, to = END, limit, uid }) {
      return run('read events', () => {
        const { id } = get(fleet);
        if (uid !== undefined) return events.pageOfUid(fleet, id, uid, { after, to, limit });
        const page = events.page(fleet, id, { after, to, limit });
        rules.checkGapless(fleet, page);
        return page;
      });
    },

    async oldest(fleet) {
      return run('read the oldest event', () => events.oldest(get(fleet).id));
    },

    async seqAt(fleet, at) {
      return run('look up a time', () => {
        const log = get(fleet);
        if (at >= log.lastAt) return log.head;
        const first = events.oldest(log.id);
        return first === null ? 0 : lastSeqAt(at, first.seq, log.head, (seq) => events.atOf(log.id, seq) ?? END);
      });
    },

    async saveSnapshot(fleet, snapshot) {
      write('save a snapshot', () => {
        const log = get(fleet);
        rules.checkSnapshot(fleet, snapshot.seq, log.head);
        snapshots.put(log.id, snapshot);
        snapshots.removeOld(log.id);
      });
    },

    async snapshot(fleet, atMost = END) {
      return run('read a snapshot', () => snapshots.newest(get(fleet).id, atMost));
    },

    async retain(fleet, keep) {
      let dropped = 0;
      for (;;) {
        const batch = write('drop old events', () => {
          const log = get(fleet);
          const first = events.oldest(log.id);
          if (first === null) return 0;
          const limit = rules.retainLimit(log.head, snapshots.newestSeq(log.id), keep.events);
          return events.removeUpTo(log.id, Math.min(limit, first.seq + rules.RETAIN_BATCH_ROWS - 1), keep.sinceAt);
        });
        dropped += batch;
        if (batch < rules.RETAIN_BATCH_ROWS) return dropped;
        await setImmediate(); // a tick may come between two batches
      }
    },

    async acquire(fleet, owner, leaseMs) {
      const epoch = write('take a fleet', () => {
        const { id } = get(fleet);
        return leases.heldByAnother(fleet, owner) ? null : fleets.raiseEpoch(id);
      });
      if (epoch === null) return null;
      leases.grant(fleet, owner, leaseMs);
      return { epoch };
    },

    async renew(fleet, epoch, leaseMs) {
      return run('renew a lease', () => fleets.find(fleet)?.epoch === epoch && leases.extend(fleet, leaseMs));
    },

    async release(fleet, epoch) {
      run('release a fleet', () => {
        if (fleets.find(fleet)?.epoch === epoch) leases.drop(fleet);
      });
    },

    async secrets(fleet) {
      return run('list secrets', () => {
        const log = fleets.find(fleet);
        return log === undefined ? [] : secrets.all(log.id);
      });
    },

    async putSecret(fleet, secret) {
      return write('store a secret', () => secrets.put(get(fleet).id, secret));
    },

    async dropSecrets(fleet, name, upTo) {
      return write('drop a secret', () => secrets.remove(get(fleet).id, name, upTo));
    },

    async tokens() {
      return run('list tokens', () => tokens.all());
    },

    async putToken(token) {
      return write('store a token', () => tokens.put(token));
    },

    async dropToken(name) {
      return write('drop a token', () => tokens.remove(name));
    },

    async close() {
      if (!db.isOpen) return;
      db.close();
      lock.release();
    },
  };
}

/**
 * The last seq in [first, head] whose time is ≤ `at`, or 0. By bisection, since times never go back: 20 look-ups in a
 * million events, where an index on `at` would cost every append a second tree.
 */
function lastSeqAt(at: number, first: number, head: number, atOf: (seq: number) => number): number {
  let low = first - 1; // at(low) ≤ at, or low is before the first
  let high = head;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (atOf(middle) <= at) low = middle;
    else high = middle - 1;
  }
  return low < first ? 0 : low;
}
