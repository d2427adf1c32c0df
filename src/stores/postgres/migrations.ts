/**
 * The schema, as the list of steps that lead to it. A step that was released is never edited: a new one is added behind
 * it. All missing steps run in one transaction under an advisory lock, so that of replicas that start together one
 * migrates and the others find it done; a replica of an older build is refused.
 */
import { newerSchema } from '../rules.ts';
import type { Database, Query } from './database.ts';

/** "holdfast" as a number; only has to differ from other users of advisory locks on the same database. */
const MIGRATION_LOCK = '7525353960498717556';

/**
 * `data` is text, not jsonb: a log gives back the bytes it was given, and jsonb orders keys anew and refuses \u0000.
 * Tables are in a schema of their own, so that Holdfast can share a database.
 */
const STEPS: readonly string[] = [
  `
  CREATE SCHEMA holdfast;
  CREATE TABLE holdfast.store (
    one integer PRIMARY KEY CHECK (one = 1),
    version integer NOT NULL,
    deployment text NOT NULL,
    epoch_floor bigint NOT NULL
  );
  INSERT INTO holdfast.store VALUES (1, 0, gen_random_uuid()::text, 0);
  CREATE TABLE holdfast.fleets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fleet text COLLATE "C" NOT NULL UNIQUE,
    head bigint NOT NULL,
    last_at bigint NOT NULL,
    epoch bigint NOT NULL,
    lease_owner text,
    lease_until timestamptz
  );
  CREATE TABLE holdfast.events (
    fleet_id bigint NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    type text NOT NULL,
    v integer NOT NULL,
    instance text,
    uid text,
    data text NOT NULL,
    "by" text,
    PRIMARY KEY (fleet_id, seq)
  );
  CREATE INDEX events_of_uid ON holdfast.events (fleet_id, uid, seq) WHERE uid IS NOT NULL;
  CREATE TABLE holdfast.snapshots (
    fleet_id bigint NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    logic integer NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (fleet_id, seq)
  );
  CREATE TABLE holdfast.tokens (
    name text COLLATE "C" PRIMARY KEY,
    hash text NOT NULL,
    scope text NOT NULL,
    fleets text,
    created_at bigint NOT NULL,
    expires_at bigint
  );
  `,
  `
  CREATE TABLE holdfast.secrets (
    fleet_id bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (fleet_id, name, version)
  );
  `,
];

/** The schema of this build. */
export const SCHEMA_VERSION = STEPS.length;

/** Returns the deployment's id. */
export async function migrate(db: Database): Promise<string> {
  const { where } = db.server;
  // Without the lock first: a start must not wait for another one's migration if there is nothing to do.
  const present = await versionOf(db.query('read its schema'), where);
  if (present < SCHEMA_VERSION) {
    await db.transact('migrate its schema', async (query) => {
      await query('', 'SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
      const found = await versionOf(query, where);
      for (const step of STEPS.slice(found)) await steps(query, step);
      if (found < SCHEMA_VERSION) await query('', 'UPDATE holdfast.store SET version = $1', [SCHEMA_VERSION]);
    });
  }
  const [row] = await db.query('read its id')('', 'SELECT deployment FROM holdfast.store');
  return String(row?.[0]);
}

async function versionOf(query: Query, where: string): Promise<number> {
  // CREATE … IF NOT EXISTS would need a right that a careful operator takes away afterwards. And `to_regclass` answers
  // from the session's cache: after the wait for the lock it did not see what the other replica had just made.
  const exists = await query('', `SELECT FROM pg_tables WHERE schemaname = 'holdfast' AND tablename = 'store'`);
  if (exists.length === 0) return 0;
  const [row] = await query('', 'SELECT version FROM holdfast.store');
  const found = Number(row?.[0]);
  if (found > SCHEMA_VERSION) throw newerSchema(where, found, SCHEMA_VERSION);
  return found;
}

/** One statement at a time: a prepared query holds only one. No step has a semicolon inside a statement. */
async function steps(query: Query, step: string): Promise<void> {
  for (const statement of step.split(';')) {
    if (statement.trim() !== '') await query('', statement);
  }
}
