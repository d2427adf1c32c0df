/** The SQL of sealed secrets; what is in them cannot be read here. */
import type { DatabaseSync } from 'node:sqlite';
import type { SealedSecret } from '../../ports/store.ts';

export function secretSql(db: DatabaseSync) {
  const all = db.prepare('SELECT name, version, sealed FROM secrets WHERE fleet_id = ? ORDER BY name, version');
  const put = db.prepare(
    `INSERT INTO secrets (fleet_id, name, version, sealed) VALUES (?, ?, ?, ?)
     ON CONFLICT (fleet_id, name, version) DO NOTHING`,
  );
  const remove = db.prepare('DELETE FROM secrets WHERE fleet_id = ? AND name = ? AND version <= ?');
  const removeAll = db.prepare('DELETE FROM secrets WHERE fleet_id = ?');

  return {
    all(fleetId: number): readonly SealedSecret[] {
      return all.all(fleetId).map((row) => ({
        name: String(row['name']),
        version: Number(row['version']),
        sealed: row['sealed'] as Uint8Array,
      }));
    },
    put(fleetId: number, { name, version, sealed }: SealedSecret): boolean {
      return put.run(fleetId, name, version, sealed).changes === 1;
    },
    remove(fleetId: number, name: string, upTo: number): number {
      return Number(remove.run(fleetId, name, upTo).changes);
    },
    removeAll(fleetId: number): void {
      removeAll.run(fleetId);
    },
  };
}
