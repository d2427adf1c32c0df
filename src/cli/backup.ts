/**
 * A copy of what cannot be made again of a data folder: the log and the server file. Backup and restore are this one thing in
 * the two directions.
 *
 *  1. Whole or not at all: what is at the place that was named is complete and on the disk; what a crash leaves is called
 *     `….part`, and is begun anew.
 *  2. Nothing is written over: the place is a new folder, or an empty one.
 *  3. Keys are named, not copied: whoever gets a backup must not get what opens it.
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { StoreError } from '../ports/store.ts';
import { AGENT_KEY_FILE, SECRET_KEY_FILE, SERVER_FILE } from '../runtime/data-folder.ts';
import { copyDatabase, type Contents } from '../stores/sqlite/copy.ts';
import { DATABASE_FILE } from '../stores/sqlite/database.ts';
import { Failure } from './failure.ts';

export interface Copied extends Contents {
  readonly from: string;
  readonly into: string;
  /** Of the database. */
  readonly bytes: number;
  /** Files that belong to it and are not in it (3). */
  readonly keys: readonly string[];
}

/** Throws a `Failure`. */
export async function copyFolder(from: string, into: string): Promise<Copied> {
  const part = `${into}.part`;
  try {
    refuseTaken(into);
    rmSync(part, { recursive: true, force: true });
    mkdirSync(part, { recursive: true, mode: 0o700 });
    const database = join(part, DATABASE_FILE);
    const contents = await copyDatabase(from, database);
    const files = [database];
    if (existsSync(join(from, SERVER_FILE))) {
      copyFileSync(join(from, SERVER_FILE), join(part, SERVER_FILE));
      files.push(join(part, SERVER_FILE));
    }
    for (const file of files) chmodSync(file, 0o600);
    for (const path of [...files, part]) onDisk(path);
    const { size: bytes } = statSync(database);
    renameSync(part, into);
    onDisk(dirname(into));
    const keys = contents.secrets === 0 ? [AGENT_KEY_FILE] : [SECRET_KEY_FILE, AGENT_KEY_FILE];
    return { from, into, ...contents, bytes, keys };
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    throw failure(error, from, into);
  }
}

function refuseTaken(into: string): void {
  if (!existsSync(into) || (statSync(into).isDirectory() && readdirSync(into).length === 0)) return;
  throw new Failure('taken', `${into} is not empty, and nothing is written over: name a new or an empty folder.`);
}

function onDisk(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function failure(error: unknown, from: string, into: string): unknown {
  if (error instanceof StoreError) return new Failure(error.code, error.message);
  if (error instanceof Failure || !(error instanceof Error) || !('code' in error)) return error;
  return new Failure('copy', `${from} could not be copied to ${into}: ${error.message}. Nothing was left there.`);
}
