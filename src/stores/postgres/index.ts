/**
 * The store for several replicas: one PostgreSQL, on which each fleet has one owner at a time.
 *
 * 1. Every append and every tick runs under the lock of its fleet's row (`lockFleet`): they happen one after another.
 * 2. What resolved is durable. What rejected was not written, except when the connection broke during the commit:
 *    then it may have been, and the caller has to look at the log again (a tick does so by itself).
 * 3. Leases end by the server's clock, and only when all of their time is over; a new owner has a new epoch.
 * 4. No wait is endless, and no sentence holds the password (`database.ts`, `errors.ts`).
 */
import type { Store } from '../../ports/store.ts';
import * as rules from '../rules.ts';
import { openDatabase } from './database.ts';
import type { Database, Query, Timeouts } from './database.ts';
import * as events from './events.ts';
import * as fleets from './fleets.ts';
import type { FleetRecord } from './fleets.ts';
import { migrate } from './migrations.ts';
import * as secrets from './secrets.ts';
import * as snapshots from './snapshots.ts';
import * as tokens from './tokens.ts';

/** No seq is higher: what "to the end" means in SQL. */
const END = Number.MAX_SAFE_INTEGER;

export async function openPostgresStore(url: string, timeouts: Partial<Timeouts> = {}): Promise<Store> {
  const db = await openDatabase(url, timeouts);
  try {
    return postgresStore(db, await migrate(db));
  } catch (error) {
    await db.close();
    throw error;
  }
}

function postgresStore(db: Database, deployment: string): Store {
  let open = true;

  function query(tried: string): Query {
    if (!open) throw rules.closedStore();
    return db.query(tried);
  }

  async function write<T>(tried: string, work: (query: Query) => Promise<T>): Promise<T> {
    if (!open) throw rules.closedStore();
    return db.transact(tried, work);
  }

  return {
    deployment,

    async fleets() {
      return fleets.listFleets(query('list fleets'));
    },

    async ensureFleet(fleet) {
      const found =
        (await fleets.findFleet(query('look up a fleet'), fleet)) ??
        (await write('create a fleet', async (q) => {
          await fleets.lockStore(q);
          await fleets.insertFleet(q, fleet);
          return get(q, fleet);
        }));
      return { fleet, head: found.head, epoch: found.epoch };
    },

    async dropFleet(fleet) {
      await write('drop a fleet', async (q) => {
        await fleets.lockStore(q);
        const log = await fleets.lockFleet(q, fleet);
        if (log === undefined) return;
        await fleets.raiseFloor(q, log.epoch);
        await secrets.removeAllSecrets(q, log.id);
        await snapshots.removeAllSnapshots(q, log.id);
        await events.removeAllEvents(q, log.id);
        await fleets.removeFleet(q, log.id);
      });
    },

    async append(fleet, added, now, expect) {
      return write('append events', async (q) => {
        const log = await lock(q, fleet);
        rules.checkExpected(fleet, log, expect);
        if (added.length === 0) return [];
        const stamped = rules.stampEvents(fleet, log, added, now);
        await events.insertEvents(q, log.id, stamped);
        return stamped.events;
      });
    },

    async tick(fleet, epoch, after, now, body) {
      return write('commit a tick', async (q) => {
        const log = await lock(q, fleet);
        rules.checkEpoch(fleet, log, epoch);
        const fresh =
          after < log.head ? await events.pageOfEvents(q, fleet, { after, to: log.head, limit: log.head - after }) : [];
        rules.checkFresh(fleet, after, log.head, fresh);
        const decided = body(fresh, { head: log.head, lastAt: log.lastAt });
        if (decided.length === 0) return [];
        const stamped = rules.stampEvents(fleet, log, decided, now);
        await events.insertEvents(q, log.id, stamped);
        return stamped.events;
      });
    },

    async read(fleet, { after, to = END, limit, uid }) {
      const q = query('read events');
      const range = { after, to, limit };
      const page =
        uid === undefined ? await events.pageOfEvents(q, fleet, range) : await events.pageOfUid(q, fleet, uid, range);
      if (page.length === 0) await get(q, fleet); // empty, or no such fleet?
      if (uid === undefined) rules.checkGapless(fleet, page);
      return page;
    },

    async oldest(fleet) {
      const q = query('read the oldest event');
      return events.oldestEvent(q, (await get(q, fleet)).id);
    },

    async seqAt(fleet, at) {
      const q = query('look up a time');
      const log = await get(q, fleet);
      if (at >= log.lastAt) return log.head;
      const first = await events.oldestEvent(q, log.id);
      return first === null ? 0 : events.lastSeqAt(q, log.id, Math.floor(at), first.seq, log.head);
    },

    async saveSnapshot(fleet, snapshot) {
      await write('save a snapshot', async (q) => {
        const log = await lock(q, fleet);
        rules.checkSnapshot(fleet, snapshot.seq, log.head);
        await snapshots.putSnapshot(q, log.id, snapshot);
        await snapshots.removeOldSnapshots(q, log.id);
      });
    },

    async snapshot(fleet, atMost = END) {
      const q = query('read a snapshot');
      return snapshots.newestSnapshot(q, (await get(q, fleet)).id, atMost);
    },

    async retain(fleet, keep) {
      let dropped = 0;
      for (;;) {
        const batch = await write('drop old events', async (q) => {
          const log = await lock(q, fleet);
          const first = await events.oldestEvent(q, log.id);
          if (first === null) return 0;
          const limit = rules.retainLimit(log.head, await snapshots.newestSnapshotSeq(q, log.id), keep.events);
          const upTo = Math.min(limit, first.seq + rules.RETAIN_BATCH_ROWS - 1);
          return events.removeEventsUpTo(q, log.id, upTo, keep.sinceAt);
        });
        dropped += batch;
        if (batch < rules.RETAIN_BATCH_ROWS) return dropped;
      }
    },

    async acquire(fleet, owner, leaseMs) {
      return write('take a fleet', async (q) => {
        const epoch = await fleets.takeFleet(q, fleet, owner, leaseMs);
        if (epoch !== null) return { epoch };
        await get(q, fleet); // held by another, or no such fleet?
        return null;
      });
    },

    async renew(fleet, epoch, leaseMs) {
      return write('renew a lease', (q) => fleets.extendLease(q, fleet, epoch, leaseMs));
    },

    async release(fleet, epoch) {
      await write('release a fleet', (q) => fleets.dropLease(q, fleet, epoch));
    },

    async secrets(fleet) {
      return secrets.listSecrets(query('list secrets'), fleet);
    },

    async putSecret(fleet, secret) {
      // Under the fleet's lock: it must not be dropped between the look-up and the row that belongs to it.
      return write('store a secret', async (q) => secrets.putSecret(q, (await lock(q, fleet)).id, secret));
    },

    async dropSecrets(fleet, name, upTo) {
      return write('drop a secret', async (q) => secrets.removeSecrets(q, (await lock(q, fleet)).id, name, upTo));
    },

    async tokens() {
      return tokens.listTokens(query('list tokens'));
    },

    async putToken(token) {
      return write('store a token', (q) => tokens.putToken(q, token));
    },

    async dropToken(name) {
      return write('drop a token', (q) => tokens.removeToken(q, name));
    },

    async close() {
      open = false;
      await db.close();
    },
  };
}

async function get(query: Query, fleet: string): Promise<FleetRecord> {
  const found = await fleets.findFleet(query, fleet);
  if (found === undefined) throw rules.unknownFleet(fleet);
  return found;
}

async function lock(query: Query, fleet: string): Promise<FleetRecord> {
  const found = await fleets.lockFleet(query, fleet);
  if (found === undefined) throw rules.unknownFleet(fleet);
  return found;
}
