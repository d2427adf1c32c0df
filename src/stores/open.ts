/** Opens the store that an operator named: a PostgreSQL URL, or a data folder. */
import type { Store } from '../ports/store.ts';
import { openSqliteStore } from './sqlite/index.ts';

/** Rejects with `StoreError` in one sentence when it cannot be used. */
export async function openStore(urlOrFolder: string): Promise<Store> {
  if (!/^postgres(ql)?:/i.test(urlOrFolder)) return openSqliteStore(urlOrFolder);
  // Loaded only when asked for: `pg` costs a start on SQLite some 40 ms.
  const { openPostgresStore } = await import('./postgres/index.ts');
  return openPostgresStore(urlOrFolder);
}
