/** The SQL of snapshots: the newest few of each fleet. */
import type { Snapshot } from '../../ports/store.ts';
import { SNAPSHOTS_KEPT } from '../rules.ts';
import type { Query } from './database.ts';

/** The same seq again comes from an owner that was replaced; that of the newer logic is the one to keep. */
export async function putSnapshot(query: Query, fleetId: number, s: Snapshot): Promise<void> {
  await query(
    'put_snapshot',
    `INSERT INTO holdfast.snapshots AS kept (fleet_id, seq, at, logic, body) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (fleet_id, seq) DO UPDATE SET at = excluded.at, logic = excluded.logic, body = excluded.body
     WHERE excluded.logic >= kept.logic`,
    [fleetId, s.seq, s.at, s.logic, s.body],
  );
}

export async function removeOldSnapshots(query: Query, fleetId: number): Promise<void> {
  await query(
    'remove_old_snapshots',
    `DELETE FROM holdfast.snapshots WHERE fleet_id = $1 AND seq NOT IN
       (SELECT seq FROM holdfast.snapshots WHERE fleet_id = $1 ORDER BY seq DESC LIMIT ${SNAPSHOTS_KEPT})`,
    [fleetId],
  );
}

export async function newestSnapshot(query: Query, fleetId: number, atMost: number): Promise<Snapshot | null> {
  const [row] = await query(
    'newest_snapshot',
    `SELECT seq, at, logic, body FROM holdfast.snapshots
     WHERE fleet_id = $1 AND seq <= $2 ORDER BY seq DESC LIMIT 1`,
    [fleetId, atMost],
  );
  if (row === undefined) return null;
  return { seq: Number(row[0]), at: Number(row[1]), logic: Number(row[2]), body: String(row[3]) };
}

export async function newestSnapshotSeq(query: Query, fleetId: number): Promise<number | null> {
  const [row] = await query('newest_snapshot_seq', 'SELECT max(seq) FROM holdfast.snapshots WHERE fleet_id = $1', [
    fleetId,
  ]);
  return typeof row?.[0] === 'number' ? row[0] : null;
}

export async function removeAllSnapshots(query: Query, fleetId: number): Promise<void> {
  await query('remove_all_snapshots', 'DELETE FROM holdfast.snapshots WHERE fleet_id = $1', [fleetId]);
}
