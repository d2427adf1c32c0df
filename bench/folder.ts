/**
 * A data folder with a long log in it, written as fast as SQLite takes it. Through the store, half a million transactions
 * would each be synced to the disk, and a million events take minutes; the rows are the same.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { StoredEvent } from '../src/core/events.ts';
import { LOGIC_VERSION } from '../src/core/limits.ts';
import { freeze } from '../src/core/snapshot.ts';
import type { FleetState } from '../src/core/model.ts';
import { openSqliteStore } from '../src/stores/sqlite/index.ts';

export const FLEET = 'bench';
const ROWS_PER_TRANSACTION = 20_000;

export interface LogFolder {
  readonly path: string;
  readonly database: string;
  put(event: StoredEvent): void;
  /** As the fleet loop would save it now. */
  snapshot(state: FleetState): void;
  /** Everything is in; the folder can be opened by a store. */
  finish(): void;
  /** Takes back whatever was appended or saved since `finish`. */
  rewind(): void;
  remove(): void;
}

export async function logFolder(): Promise<LogFolder> {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const store = await openSqliteStore(path);
  await store.ensureFleet(FLEET);
  await store.close();
  const database = join(path, 'holdfast.db');
  const db = new DatabaseSync(database);
  db.exec('PRAGMA synchronous = OFF');
  const { id } = db.prepare('SELECT id FROM fleets WHERE fleet = ?').get(FLEET) as { id: number };
  const insert = db.prepare(
    'INSERT INTO events (fleet_id, seq, at, type, v, instance, uid, data, "by") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  const save = db.prepare('INSERT INTO snapshots (fleet_id, seq, at, logic, body) VALUES (?, ?, ?, ?, ?)');
  let head = { seq: 0, at: 0 };
  let snapshotSeq = 0;
  const setHead = (to: DatabaseSync): void => {
    to.prepare('UPDATE fleets SET head = ?, last_at = ?, epoch = 1 WHERE id = ?').run(head.seq, head.at, id);
  };
  db.exec('BEGIN');
  return {
    path,
    database,
    put(event) {
      const by = event.by === undefined ? null : JSON.stringify(event.by);
      insert.run(
        id,
        event.seq,
        event.at,
        event.type,
        event.v,
        event.instance ?? null,
        event.uid ?? null,
        JSON.stringify(event.data),
        by,
      );
      head = { seq: event.seq, at: event.at };
      if (event.seq % ROWS_PER_TRANSACTION === 0) db.exec('COMMIT; BEGIN');
    },
    snapshot(state) {
      save.run(id, state.seq, state.at, LOGIC_VERSION, freeze(state));
      snapshotSeq = state.seq;
    },
    finish() {
      setHead(db);
      db.exec('COMMIT');
      db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      db.close();
    },
    rewind() {
      const again = new DatabaseSync(database);
      again.prepare('DELETE FROM events WHERE fleet_id = ? AND seq > ?').run(id, head.seq);
      again.prepare('DELETE FROM snapshots WHERE fleet_id = ? AND seq > ?').run(id, snapshotSeq);
      setHead(again);
      again.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      again.close();
    },
    remove() {
      if (db.isOpen) db.close();
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/**
 * What reading the log costs at the least: the same rows and columns, each `data` and `by` parsed, and nothing else. By the
 * fastest way of `node:sqlite` that we found (`stores/sqlite/events`): arrays, in pages, by `.all()`.
 */
export function bareRead(database: string, pageEvents: number): number {
  const db = new DatabaseSync(database, { readOnly: true });
  try {
    const page = arrays(
      db,
      'SELECT seq, at, type, v, instance, uid, data, "by" FROM events WHERE fleet_id = 1 AND seq > ? ORDER BY seq LIMIT ?',
    );
    let read = 0;
    for (let after = 0; ;) {
      const rows = page.all(after, pageEvents) as unknown as readonly (readonly unknown[])[];
      for (const row of rows) {
        JSON.parse(row[6] as string);
        if (row[7] !== null) JSON.parse(row[7] as string);
      }
      read += rows.length;
      after = Number(rows.at(-1)?.[0]);
      if (rows.length < pageEvents) return read;
    }
  } finally {
    db.close();
  }
}

function arrays(db: DatabaseSync, sql: string): StatementSync {
  const statement = db.prepare(sql);
  statement.setReturnArrays(true);
  return statement;
}
