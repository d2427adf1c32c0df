/** The SQL of the log. */
import type { StoredEvent } from '../../core/events.ts';
import { readStored } from '../rules.ts';
import type { Stamped } from '../rules.ts';
import type { Query } from './database.ts';

type EventTuple = readonly [
  seq: number,
  at: number,
  type: string,
  v: number,
  instance: string | null,
  uid: string | null,
  data: string,
  by: string | null,
];

export interface PageRange {
  readonly after: number;
  readonly to: number;
  readonly limit: number;
}

const COLUMNS = 'seq, at, type, v, instance, uid, data, "by"';
const FLEET_ID = '(SELECT id FROM holdfast.fleets WHERE fleet = $1)';

/**
 * The rows and the new head in one statement, thus one round trip under the lock. Rows travel as one array per column:
 * a VALUES list would be another statement for every count of rows, and ends at 65,535 parameters.
 */
export async function insertEvents(query: Query, fleetId: number, { rows, head, at }: Stamped): Promise<void> {
  await query(
    'insert_events',
    `WITH moved AS (UPDATE holdfast.fleets SET head = $2, last_at = $3 WHERE id = $1)
     INSERT INTO holdfast.events (fleet_id, at, seq, type, v, instance, uid, data, "by")
     SELECT $1, $3, * FROM unnest($4::bigint[], $5::text[], $6::int[], $7::text[], $8::text[], $9::text[], $10::text[])`,
    [
      fleetId,
      head,
      at,
      rows.map((row) => row.seq),
      rows.map((row) => row.type),
      rows.map((row) => row.v),
      rows.map((row) => row.instance),
      rows.map((row) => row.uid),
      rows.map((row) => row.data),
      rows.map((row) => row.by),
    ],
  );
}

export async function pageOfEvents(query: Query, fleet: string, range: PageRange): Promise<readonly StoredEvent[]> {
  const rows = await query(
    'page_of_events',
    `SELECT ${COLUMNS} FROM holdfast.events
     WHERE fleet_id = ${FLEET_ID} AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4`,
    [fleet, range.after, range.to, range.limit],
  );
  return events(fleet, rows);
}

export async function pageOfUid(
  query: Query,
  fleet: string,
  uid: string,
  range: PageRange,
): Promise<readonly StoredEvent[]> {
  const rows = await query(
    'page_of_uid',
    `SELECT ${COLUMNS} FROM holdfast.events
     WHERE fleet_id = ${FLEET_ID} AND uid = $2 AND seq > $3 AND seq <= $4 ORDER BY seq LIMIT $5`,
    [fleet, uid, range.after, range.to, range.limit],
  );
  return events(fleet, rows);
}

export async function oldestEvent(query: Query, fleetId: number): Promise<{ seq: number; at: number } | null> {
  const [row] = await query(
    'oldest_event',
    'SELECT seq, at FROM holdfast.events WHERE fleet_id = $1 ORDER BY seq LIMIT 1',
    [fleetId],
  );
  return row === undefined ? null : { seq: Number(row[0]), at: Number(row[1]) };
}

/**
 * The last seq in [first, head] whose time is ≤ `at`, or 0. By bisection, since times never go back: 20 look-ups in a
 * million events, all in one round trip, where an index on `at` would cost every append a second tree.
 */
export async function lastSeqAt(
  query: Query,
  fleetId: number,
  at: number,
  first: number,
  head: number,
): Promise<number> {
  const [row] = await query(
    'last_seq_at',
    `WITH RECURSIVE half (low, high) AS (
       SELECT $3::bigint - 1, $4::bigint
       UNION ALL
       SELECT CASE WHEN e.at <= $2 THEN e.seq ELSE h.low END, CASE WHEN e.at <= $2 THEN h.high ELSE e.seq - 1 END
       FROM half h JOIN holdfast.events e ON e.fleet_id = $1 AND e.seq = (h.low + h.high + 1) / 2
       WHERE h.low < h.high
     )
     SELECT low FROM half WHERE low = high`,
    [fleetId, at, first, head],
  );
  const found = Number(row?.[0] ?? 0);
  return found < first ? 0 : found;
}

/** Those older than `sinceAt`, and not above `seq`. */
export async function removeEventsUpTo(query: Query, fleetId: number, seq: number, sinceAt: number): Promise<number> {
  const [row] = await query(
    'remove_events',
    `WITH gone AS (DELETE FROM holdfast.events WHERE fleet_id = $1 AND seq <= $2 AND at < $3 RETURNING 1)
     SELECT count(*) FROM gone`,
    [fleetId, seq, sinceAt],
  );
  return Number(row?.[0]);
}

export async function removeAllEvents(query: Query, fleetId: number): Promise<void> {
  await query('remove_all_events', 'DELETE FROM holdfast.events WHERE fleet_id = $1', [fleetId]);
}

function events(fleet: string, rows: readonly (readonly unknown[])[]): readonly StoredEvent[] {
  return rows.map((row) => {
    const [seq, at, type, v, instance, uid, data, by] = row as unknown as EventTuple;
    return readStored(fleet, { seq, at, type, v, instance, uid, data, by });
  });
}
