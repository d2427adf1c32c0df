/** The SQL of API tokens; only hashes are stored. */
import type { DatabaseSync } from 'node:sqlite';
import type { TokenRow } from '../../ports/store.ts';

export function tokenSql(db: DatabaseSync) {
  const all = db.prepare('SELECT name, hash, scope, fleets, created_at, expires_at FROM tokens ORDER BY name');
  const put = db.prepare(
    `INSERT INTO tokens (name, hash, scope, fleets, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (name) DO NOTHING`,
  );
  const remove = db.prepare('DELETE FROM tokens WHERE name = ?');

  return {
    all(): readonly TokenRow[] {
      return all.all().map((row) => ({
        name: String(row['name']),
        hash: String(row['hash']),
        scope: row['scope'] as TokenRow['scope'],
        fleets: row['fleets'] === null ? null : (JSON.parse(String(row['fleets'])) as readonly string[]),
        createdAt: Number(row['created_at']),
        expiresAt: row['expires_at'] === null ? null : Number(row['expires_at']),
      }));
    },
    put(token: TokenRow): boolean {
      const fleets = token.fleets === null ? null : JSON.stringify(token.fleets);
      return put.run(token.name, token.hash, token.scope, fleets, token.createdAt, token.expiresAt).changes === 1;
    },
    remove(name: string): boolean {
      return remove.run(name).changes === 1;
    },
  };
}
