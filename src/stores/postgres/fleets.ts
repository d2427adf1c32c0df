/** The SQL of fleets: one row each, with the head of its log, its epoch and its lease. */
import type { FleetRow } from '../../ports/store.ts';
import type { LogHead } from '../rules.ts';
import type { Query } from './database.ts';

export interface FleetRecord extends LogHead {
  readonly id: number;
}

export async function listFleets(query: Query): Promise<readonly FleetRow[]> {
  const rows = await query('list_fleets', 'SELECT fleet, head, epoch FROM holdfast.fleets ORDER BY fleet');
  return rows.map(([fleet, head, epoch]) => ({ fleet: String(fleet), head: Number(head), epoch: Number(epoch) }));
}

export async function findFleet(query: Query, fleet: string): Promise<FleetRecord | undefined> {
  return record(
    await query('find_fleet', 'SELECT id, head, last_at, epoch FROM holdfast.fleets WHERE fleet = $1', [fleet]),
  );
}

/** The lock under which every append runs; whoever waited for it sees what the one before committed. */
export async function lockFleet(query: Query, fleet: string): Promise<FleetRecord | undefined> {
  return record(
    await query('lock_fleet', 'SELECT id, head, last_at, epoch FROM holdfast.fleets WHERE fleet = $1 FOR UPDATE', [
      fleet,
    ]),
  );
}

/**
 * The lock for making and dropping fleets, always taken before a fleet's own. Without it, a fleet made while one of its
 * name is being dropped would start from the epoch floor as it was before.
 */
export async function lockStore(query: Query): Promise<void> {
  await query('lock_store', 'SELECT 1 FROM holdfast.store FOR UPDATE');
}

/** Starts at the epoch floor: a fleet of this name may have been dropped, and its old owner may still be around. */
export async function insertFleet(query: Query, fleet: string): Promise<void> {
  await query(
    'insert_fleet',
    `INSERT INTO holdfast.fleets (fleet, head, last_at, epoch) SELECT $1, 0, 0, epoch_floor FROM holdfast.store
     ON CONFLICT (fleet) DO NOTHING`,
    [fleet],
  );
}

export async function raiseFloor(query: Query, epoch: number): Promise<void> {
  await query('raise_floor', 'UPDATE holdfast.store SET epoch_floor = greatest(epoch_floor, $1)', [epoch]);
}

export async function removeFleet(query: Query, id: number): Promise<void> {
  await query('remove_fleet', 'DELETE FROM holdfast.fleets WHERE id = $1', [id]);
}

/**
 * One statement decides and takes, by the server's clock alone: replicas' clocks differ. `clock_timestamp()`, not
 * `now()`, which is the time before the wait for the row.
 */
export async function takeFleet(query: Query, fleet: string, owner: string, leaseMs: number): Promise<number | null> {
  const [row] = await query(
    'take_fleet',
    `UPDATE holdfast.fleets
     SET epoch = epoch + 1, lease_owner = $2, lease_until = clock_timestamp() + $3 * interval '1 millisecond'
     WHERE fleet = $1 AND (lease_owner IS NULL OR lease_owner = $2 OR lease_until <= clock_timestamp())
     RETURNING epoch`,
    [fleet, owner, leaseMs],
  );
  return row === undefined ? null : Number(row[0]);
}

/** Also an expired lease, as long as nobody took it. */
export async function extendLease(query: Query, fleet: string, epoch: number, leaseMs: number): Promise<boolean> {
  const rows = await query(
    'extend_lease',
    `UPDATE holdfast.fleets SET lease_until = clock_timestamp() + $3 * interval '1 millisecond'
     WHERE fleet = $1 AND epoch = $2 AND lease_owner IS NOT NULL RETURNING 1`,
    [fleet, epoch, leaseMs],
  );
  return rows.length === 1;
}

export async function dropLease(query: Query, fleet: string, epoch: number): Promise<void> {
  await query(
    'drop_lease',
    'UPDATE holdfast.fleets SET lease_owner = NULL, lease_until = NULL WHERE fleet = $1 AND epoch = $2',
    [fleet, epoch],
  );
}

function record([row]: readonly (readonly unknown[])[]): FleetRecord | undefined {
  if (row === undefined) return undefined;
  const [id, head, lastAt, epoch] = row;
  return { id: Number(id), head: Number(head), lastAt: Number(lastAt), epoch: Number(epoch) };
}
