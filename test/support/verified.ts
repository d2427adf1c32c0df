/**
 * Every log that a test leaves behind is decided again, from its beginning or its oldest snapshot: this build decides what it
 * wrote, without a difference (invariant 12).
 *
 * A database is read beside a server that may still write: a tick and its flaps are one transaction, and so is this.
 */
import { DatabaseSync } from 'node:sqlite';
import type { StoredEvent } from '../../src/core/events.ts';
import { emptyState } from '../../src/core/evolve.ts';
import { Replay } from '../../src/core/replay.ts';
import { thaw } from '../../src/core/snapshot.ts';
import type { Snapshot, Store } from '../../src/ports/store.ts';
import { eventSql } from '../../src/stores/sqlite/events.ts';
import { fleetSql } from '../../src/stores/sqlite/fleets.ts';
import { snapshotSql } from '../../src/stores/sqlite/snapshots.ts';

/** More than any test writes. */
const EVENTS = 1_000_000;
const PAGE = 10_000;
const BUSY_MS = 5_000;
const END = Number.MAX_SAFE_INTEGER;
const SHOWN_CHARS = 800;

/** What differs in the logs of a data folder's database. One that SQLite cannot read is none that this can judge. */
export function databaseComplaints(file: string): readonly string[] {
  const db = new DatabaseSync(file, { readOnly: true, timeout: BUSY_MS });
  try {
    db.exec('BEGIN');
    const [fleets, events, snapshots] = [fleetSql(db), eventSql(db), snapshotSql(db)];
    return fleets.all().flatMap(({ id, fleet }) => {
      const oldest = events.oldest(id)?.seq ?? 1;
      const log = [...events.page(fleet, id, { after: 0, to: END, limit: EVENTS })];
      return logComplaints(fleet, log, oldest === 1 ? null : snapshots.newest(id, END));
    });
  } catch (error) {
    if (isSqlites(error)) return [];
    throw error;
  } finally {
    db.close();
  }
}

/** The same, of a store that is open. */
export async function storeComplaints(store: Store): Promise<readonly string[]> {
  const complaints: string[] = [];
  for (const { fleet, head } of await store.fleets()) {
    const log: StoredEvent[] = [];
    while (log.length < head) log.push(...(await store.read(fleet, { after: log.length, to: head, limit: PAGE })));
    complaints.push(...logComplaints(fleet, log, null));
  }
  return complaints;
}

/** `from`: where the log does not reach its beginning any more. */
function logComplaints(fleet: string, log: readonly StoredEvent[], from: Snapshot | null): readonly string[] {
  const run = new Replay(from === null ? emptyState(fleet) : thaw(from.body, from.logic));
  for (const event of log) if (event.seq > (from?.seq ?? 0)) run.feed(event);
  const result = run.result();
  if (result.kind === 'refused') return [`the log of fleet ${fleet} cannot be replayed: ${result.because}`];
  const { differences } = result.counts;
  if (differences === 0) return [];
  const first = JSON.stringify(result.differences[0]).slice(0, SHOWN_CHARS);
  return [`the log of fleet ${fleet} would be decided otherwise in ${differences} places, first: ${first}`];
}

const isSqlites = (error: unknown): boolean => error instanceof Error && 'errcode' in error;
