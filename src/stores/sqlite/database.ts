/**
 * Opens the database file so that a commit that was acknowledged is on the disk: WAL with `synchronous=FULL` syncs the
 * log at every commit (NORMAL would lose the last commits with the power).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { wordsOf } from '../../core/error-words.ts';
import { StoreError } from '../../ports/store.ts';

/** The file in a data folder, and in a copy of one. */
export const DATABASE_FILE = 'holdfast.db';

/** How long a commit waits for another program's lock; it blocks this process, so it is short. */
const BUSY_TIMEOUT_MS = 2_000;
/** The WAL is cut back to this after a checkpoint; it may be larger while a backup reads. */
const WAL_LIMIT_BYTES = 64 * 1024 * 1024;

export function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    const said = wordsOf(error);
    throw new StoreError('unreachable', `The data folder ${folder} cannot be made (${said}).`, { cause: error });
  }
}

/** `maxPages` stands for a full disk in tests (https://www.sqlite.org/pragma.html#pragma_max_page_count). */
export function openDatabase(folder: string, maxPages?: number): DatabaseSync {
  const db = new DatabaseSync(join(folder, DATABASE_FILE), { timeout: BUSY_TIMEOUT_MS });
  try {
    db.exec('PRAGMA journal_mode = WAL');
    db.exec('PRAGMA synchronous = FULL');
    db.exec(`PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES}`);
    if (maxPages !== undefined) db.exec(`PRAGMA max_page_count = ${maxPages}`);
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

/** IMMEDIATE takes the write lock at once: what the work reads is what it writes upon. */
export function transact<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    // A full disk may already have rolled it back.
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}
