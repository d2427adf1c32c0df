/**
 * One Holdfast per data folder, proved for as long as the process lives.
 *
 * The proof is an exclusive transaction on a database of its own (`holdfast.lock`), open until the end: the kernel
 * drops its fcntl lock with the process, however that dies, and does not hand it on to the agents the process starts
 * (as a `flock` would be). A pid file alone proves nothing: after a kill -9 it stays, and pids are used again. The
 * main database is left free of it, so that `sqlite3` and backups can read a running one.
 *
 * Never open `holdfast.lock` by any other way in this process: closing any descriptor of it would drop the lock.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../../ports/store.ts';
import { isSqlite, SQLITE_BUSY, storeError } from './errors.ts';

export interface FolderLock {
  release(): void;
}

export function lockFolder(folder: string): FolderLock {
  const pidFile = join(folder, 'holdfast.pid');
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(folder, 'holdfast.lock'), { timeout: 0 });
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock?.close();
    if (!isSqlite(error, SQLITE_BUSY)) throw storeError(error, folder, 'lock it');
    throw new StoreError(
      'locked',
      `The data folder ${folder} is in use by another Holdfast${ownerText(pidFile)}: ` +
        'stop that one first, or start this one with another data folder.',
      { cause: error },
    );
  }
  const held = lock;
  // Only for the sentence above; the lock itself is what counts, so a full disk does not matter here.
  attempt(() => writeFileSync(pidFile, `${process.pid}\n`));
  return {
    release() {
      // The file first: after the lock is gone it may already be the next owner's.
      attempt(() => rmSync(pidFile, { force: true }));
      held.close();
    },
  };
}

function ownerText(pidFile: string): string {
  const pid = attempt(() => Number.parseInt(readFileSync(pidFile, 'utf8'), 10));
  return pid !== undefined && Number.isInteger(pid) ? ` (pid ${pid})` : '';
}

/** For the pid file, which is a hint: where it cannot be read or written, the sentence only says less. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}
