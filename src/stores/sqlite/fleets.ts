/** The SQL of fleets: one row each, with the head of its log and its epoch. */
import type { DatabaseSync } from 'node:sqlite';
import type { LogHead } from '../rules.ts';

export interface FleetRecord extends LogHead {
  readonly id: number;
  readonly fleet: string;
}

export function fleetSql(db: DatabaseSync) {
  const all = db.prepare('SELECT id, fleet, head, last_at AS lastAt, epoch FROM fleets ORDER BY fleet');
  const find = db.prepare('SELECT id, fleet, head, last_at AS lastAt, epoch FROM fleets WHERE fleet = ?');
  const insert = db.prepare(
    `INSERT INTO fleets (fleet, head, last_at, epoch) SELECT ?, 0, 0, epoch_floor FROM store WHERE true
     ON CONFLICT (fleet) DO NOTHING`,
  );
  const remove = db.prepare('DELETE FROM fleets WHERE id = ?');
  const moveHead = db.prepare('UPDATE fleets SET head = ?, last_at = ? WHERE id = ?');
  const raiseEpoch = db.prepare('UPDATE fleets SET epoch = epoch + 1 WHERE id = ? RETURNING epoch');
  const raiseFloor = db.prepare('UPDATE store SET epoch_floor = max(epoch_floor, ?)');
  const deployment = db.prepare('SELECT deployment FROM store');

  return {
    all(): readonly FleetRecord[] {
      return all.all() as unknown as readonly FleetRecord[];
    },
    find(fleet: string): FleetRecord | undefined {
      return find.get(fleet) as unknown as FleetRecord | undefined;
    },
    /** Starts at the epoch floor: a fleet of this name may have been dropped, and its old owner may still be around. */
    insert(fleet: string): void {
      insert.run(fleet);
    },
    remove(id: number): void {
      remove.run(id);
    },
    moveHead(id: number, head: number, lastAt: number): void {
      moveHead.run(head, lastAt, id);
    },
    raiseEpoch(id: number): number {
      return Number(raiseEpoch.get(id)?.['epoch']);
    },
    raiseFloor(epoch: number): void {
      raiseFloor.run(epoch);
    },
    deployment(): string {
      return String(deployment.get()?.['deployment']);
    },
  };
}
