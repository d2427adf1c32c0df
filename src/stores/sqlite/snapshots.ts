/** The SQL of snapshots: the newest few of each fleet. */
import type { DatabaseSync } from 'node:sqlite';
import type { Snapshot } from '../../ports/store.ts';
import { SNAPSHOTS_KEPT } from '../rules.ts';

export function snapshotSql(db: DatabaseSync) {
  // The same seq again comes from an owner that was replaced; that of the newer logic is the one to keep.
  const put = db.prepare(
    `INSERT INTO snapshots (fleet_id, seq, at, logic, body) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (fleet_id, seq) DO UPDATE SET at = excluded.at, logic = excluded.logic, body = excluded.body
     WHERE excluded.logic >= snapshots.logic`,
  );
  const removeOld = db.prepare(
    `DELETE FROM snapshots WHERE fleet_id = ?1 AND seq NOT IN
       (SELECT seq FROM snapshots WHERE fleet_id = ?1 ORDER BY seq DESC LIMIT ${SNAPSHOTS_KEPT})`,
  );
  const newest = db.prepare(
    'SELECT seq, at, logic, body FROM snapshots WHERE fleet_id = ? AND seq <= ? ORDER BY seq DESC LIMIT 1',
  );
  const newestSeq = db.prepare('SELECT max(seq) AS seq FROM snapshots WHERE fleet_id = ?');
  const removeAll = db.prepare('DELETE FROM snapshots WHERE fleet_id = ?');

  return {
    put(fleetId: number, s: Snapshot): void {
      put.run(fleetId, s.seq, s.at, s.logic, s.body);
    },
    removeOld(fleetId: number): void {
      removeOld.run(fleetId);
    },
    newest(fleetId: number, atMost: number): Snapshot | null {
      const row = newest.get(fleetId, atMost) as unknown as Snapshot | undefined;
      return row === undefined ? null : { seq: row.seq, at: row.at, logic: row.logic, body: row.body };
    },
    newestSeq(fleetId: number): number | null {
      const seq = newestSeq.get(fleetId)?.['seq'];
      return typeof seq === 'number' ? seq : null;
    },
    removeAll(fleetId: number): void {
      removeAll.run(fleetId);
    },
  };
}
