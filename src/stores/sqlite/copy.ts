/**
 * A whole copy of the database, also while a Holdfast works on it.
 *
 *  1. It is the log as it was at one moment: the copy is one step of SQLite's own backup, which reads what is in the WAL, too,
 *     and holds nobody up. (Copying in several steps begins anew at each commit, and would never end on a busy server.)
 *  2. It is checked before anybody counts on it, and is one file that can be read from anywhere, without a WAL beside it.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { StoreError } from '../../ports/store.ts';
import { DATABASE_FILE } from './database.ts';
import { storeError } from './errors.ts';
import { checkSchema } from './migrations.ts';

/** More pages than a database can have: all in one step (1). */
const ALL_PAGES = 0x7fff_ffff;

export interface Contents {
  readonly deployment: string;
  readonly fleets: readonly { readonly fleet: string; readonly head: number }[];
  /** Versions of secrets; only `secret.key` opens them. */
  readonly secrets: number;
}

/** Copies the database in `folder` to `file`, which must not be there. Rejects with `StoreError`. */
export async function copyDatabase(folder: string, file: string): Promise<Contents> {
  if (!existsSync(join(folder, DATABASE_FILE)))
    throw new StoreError(
      'unreachable',
      `There is no ${DATABASE_FILE} in ${folder}. (A log on PostgreSQL is backed up by PostgreSQL's own means.)`,
    );
  try {
    const from = new DatabaseSync(join(folder, DATABASE_FILE), { readOnly: true });
    try {
      if (checkSchema(from, folder) === 0)
        throw new StoreError('corrupt', `The database in ${folder} is empty: it is no data of a Holdfast.`);
      await backup(from, file, { rate: ALL_PAGES });
    } finally {
      from.close();
    }
  } catch (error) {
    throw storeError(error, folder, 'copy it');
  }
  try {
    return settled(file);
  } catch (error) {
    throw storeError(error, dirname(file), 'check the copy');
  }
}

/** Makes one file of it, and reads all of it once (2). */
function settled(file: string): Contents {
  const db = new DatabaseSync(file);
  try {
    db.exec('PRAGMA journal_mode = DELETE');
    const found = String(db.prepare('PRAGMA quick_check(1)').get()?.['quick_check']);
    if (found !== 'ok')
      throw new StoreError('corrupt', `The database is damaged, and so is every copy of it (SQLite says: ${found}).`);
    // One of an older build may have no such table yet.
    const sealed = db.prepare(`SELECT count(*) AS n FROM sqlite_schema WHERE name = 'secrets'`).get()?.['n'] === 1;
    const fleets = db.prepare('SELECT fleet, head FROM fleets ORDER BY fleet').all();
    return {
      deployment: String(db.prepare('SELECT deployment FROM store').get()?.['deployment']),
      fleets: fleets.map(({ fleet, head }) => ({ fleet: String(fleet), head: Number(head) })),
      secrets: sealed ? Number(db.prepare('SELECT count(*) AS n FROM secrets').get()?.['n']) : 0,
    };
  } finally {
    db.close();
  }
}
