/**
 * What SQLite's result codes mean to an operator. Codes: https://www.sqlite.org/rescode.html; an extended code carries
 * its primary one in the low byte.
 */
import { wordsOf } from '../../core/error-words.ts';
import { StoreError } from '../../ports/store.ts';

export const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

/** True for an error of `node:sqlite` with the given primary code. */
export function isSqlite(error: unknown, code: number): boolean {
  return primaryCode(error) === code;
}

/** An error of SQLite as the sentence that names the folder; any other error unchanged. */
export function storeError(error: unknown, folder: string, tried: string): unknown {
  const code = primaryCode(error);
  if (code === null) return error;
  const said = wordsOf(error);
  switch (code) {
    case SQLITE_FULL:
      return new StoreError(
        'full',
        `No space is left for the data in ${folder} (tried to ${tried}; nothing was written): free some space.`,
        { cause: error },
      );
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new StoreError(
        'corrupt',
        `The database in ${folder} is damaged (tried to ${tried}; SQLite says: ${said}): restore it from a backup.`,
        { cause: error },
      );
    case SQLITE_BUSY:
      return new StoreError(
        'locked',
        `The database in ${folder} is kept locked by another program, perhaps an open sqlite3 (tried to ${tried}).`,
        { cause: error },
      );
    default:
      return new StoreError(
        'unreachable',
        `The database in ${folder} cannot be used (tried to ${tried}; SQLite says: ${said}, code ${code}).`,
        { cause: error },
      );
  }
}

/** null for what does not come from SQLite, and for its code 1 (a wrong statement: a bug, not a state of the world). */
function primaryCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null;
  const code = error.errcode & 0xff;
  return code === 1 ? null : code;
}
