/**
 * The schema, as the list of steps that lead to it. A step that was released is never edited: a new one is added behind
 * it. `user_version` is the number of steps that a database has seen; each runs in a transaction with its own count, so
 * a crash leaves a database between two steps, never inside one.
 */
import type { DatabaseSync } from 'node:sqlite';
import { StoreError } from '../../ports/store.ts';
import * as rules from '../rules.ts';
import { transact } from './database.ts';

/** "hold" in ASCII: tells our database from any other (https://www.sqlite.org/pragma.html#pragma_application_id). */
const APPLICATION_ID = 0x686f6c64;

/**
 * Events are clustered by (fleet, seq): a replay is one walk along the leaves, without a second look-up per row. Ids
 * are numbers because the key is repeated in each row and in the index. Times have no index: `seq` orders them too.
 */
const STEPS: readonly string[] = [
  `
  CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    deployment TEXT NOT NULL,
    epoch_floor INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE fleets (
    id INTEGER PRIMARY KEY,
    fleet TEXT NOT NULL UNIQUE,
    head INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    epoch INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE events (
    fleet_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    type TEXT NOT NULL,
    v INTEGER NOT NULL,
    instance TEXT,
    uid TEXT,
    data TEXT NOT NULL,
    "by" TEXT,
    PRIMARY KEY (fleet_id, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX events_of_uid ON events (fleet_id, uid) WHERE uid IS NOT NULL;
  CREATE TABLE snapshots (
    fleet_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    logic INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (fleet_id, seq)
  ) STRICT;
  CREATE TABLE tokens (
    name TEXT PRIMARY KEY,
    hash TEXT NOT NULL,
    scope TEXT NOT NULL,
    fleets TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
  ) STRICT, WITHOUT ROWID;
  `,
  `
  CREATE TABLE secrets (
    fleet_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (fleet_id, name, version)
  ) STRICT, WITHOUT ROWID;
  `,
];

/** The schema of this build. */
export const SCHEMA_VERSION = STEPS.length;

export function migrate(db: DatabaseSync, folder: string, newDeployment: () => string): void {
  const found = checkSchema(db, folder);
  for (let version = found; version < SCHEMA_VERSION; version += 1) {
    transact(db, () => {
      db.exec(STEPS[version] ?? '');
      if (version === 0) {
        db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
        db.prepare('INSERT INTO store (one, deployment, epoch_floor) VALUES (1, ?, 0)').run(newDeployment());
      }
      db.exec(`PRAGMA user_version = ${version + 1}`);
    });
  }
}

/** The schema that was found. One of a newer build is refused, and so is content that is not ours: it is never migrated. */
export function checkSchema(db: DatabaseSync, folder: string): number {
  const version = pragma(db, 'user_version');
  if (version > SCHEMA_VERSION) throw rules.newerSchema(folder, version, SCHEMA_VERSION);
  const id = pragma(db, 'application_id');
  const tables = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'];
  if (id === APPLICATION_ID || (version === 0 && id === 0 && tables === 0)) return version;
  throw new StoreError('corrupt', `The database in ${folder} was not made by Holdfast: choose another data folder.`);
}

function pragma(db: DatabaseSync, name: 'user_version' | 'application_id'): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}
