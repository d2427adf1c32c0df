/** The SQL of sealed secrets; what is in them cannot be read here. */
import type { SealedSecret } from '../../ports/store.ts';
import type { Query } from './database.ts';

export async function listSecrets(query: Query, fleet: string): Promise<readonly SealedSecret[]> {
  const rows = await query(
    'list_secrets',
    `SELECT name, version, sealed FROM holdfast.secrets
     WHERE fleet_id = (SELECT id FROM holdfast.fleets WHERE fleet = $1) ORDER BY name, version`,
    [fleet],
  );
  return rows.map(([name, version, sealed]) => ({
    name: String(name),
    version: Number(version),
    sealed: new Uint8Array(sealed as Uint8Array),
  }));
}

export async function putSecret(
  query: Query,
  fleetId: number,
  { name, version, sealed }: SealedSecret,
): Promise<boolean> {
  const rows = await query(
    'put_secret',
    `INSERT INTO holdfast.secrets (fleet_id, name, version, sealed) VALUES ($1, $2, $3, $4)
     ON CONFLICT (fleet_id, name, version) DO NOTHING RETURNING 1`,
    [fleetId, name, version, sealed],
  );
  return rows.length === 1;
}

export async function removeSecrets(query: Query, fleetId: number, name: string, upTo: number): Promise<number> {
  const rows = await query(
    'remove_secrets',
    'DELETE FROM holdfast.secrets WHERE fleet_id = $1 AND name = $2 AND version <= $3 RETURNING 1',
    [fleetId, name, upTo],
  );
  return rows.length;
}

export async function removeAllSecrets(query: Query, fleetId: number): Promise<void> {
  await query('remove_all_secrets', 'DELETE FROM holdfast.secrets WHERE fleet_id = $1', [fleetId]);
}
