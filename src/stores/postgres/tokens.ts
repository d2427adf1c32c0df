/** The SQL of API tokens; only hashes are stored. */
import type { TokenRow } from '../../ports/store.ts';
import type { Query } from './database.ts';

export async function listTokens(query: Query): Promise<readonly TokenRow[]> {
  const rows = await query(
    'list_tokens',
    'SELECT name, hash, scope, fleets, created_at, expires_at FROM holdfast.tokens ORDER BY name',
  );
  return rows.map(([name, hash, scope, fleets, createdAt, expiresAt]) => ({
    name: String(name),
    hash: String(hash),
    scope: scope as TokenRow['scope'],
    fleets: typeof fleets === 'string' ? (JSON.parse(fleets) as readonly string[]) : null,
    createdAt: Number(createdAt),
    expiresAt: expiresAt === null ? null : Number(expiresAt),
  }));
}

export async function putToken(query: Query, token: TokenRow): Promise<boolean> {
  const rows = await query(
    'put_token',
    `INSERT INTO holdfast.tokens (name, hash, scope, fleets, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (name) DO NOTHING RETURNING 1`,
    [
      token.name,
      token.hash,
      token.scope,
      token.fleets === null ? null : JSON.stringify(token.fleets),
      token.createdAt,
      token.expiresAt,
    ],
  );
  return rows.length === 1;
}

export async function removeToken(query: Query, name: string): Promise<boolean> {
  return (await query('remove_token', 'DELETE FROM holdfast.tokens WHERE name = $1 RETURNING 1', [name])).length === 1;
}
