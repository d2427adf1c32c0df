/** That the logs of the end-to-end tests are decided again at their end is worth something only if it can fail. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { openSqliteStore } from '../../src/stores/sqlite/index.ts';
import { databaseComplaints, storeComplaints } from '../support/verified.ts';
import { FLEET, Stage } from './stage.ts';

test('a log that this build would have decided otherwise is found, in its database and through its store', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-verified-'));
  try {
    const stage = new Stage();
    await stage.runtime.start();
    await stage.up(['a', 'b']);
    const [first, ...rest] = await stage.store.read(FLEET, { after: 0, limit: 1_000 });
    assert.ok(first !== undefined);
    const store = await openSqliteStore(folder);
    await store.ensureFleet(FLEET);
    for (const event of [first, ...rest]) await store.append(FLEET, [event], () => event.at);
    const file = join(folder, 'holdfast.db');
    assert.deepEqual(databaseComplaints(file), []);
    assert.deepEqual(await storeComplaints(store), []);

    const db = new DatabaseSync(file);
    db.exec(`UPDATE events SET data = replace(data, '"type":"provision"', '"type":"start"')`);
    db.close();
    assert.match(databaseComplaints(file).join(), /fleet demo would be decided otherwise in \d+ places/);
    assert.match((await storeComplaints(store)).join(), /would be decided otherwise/);
    await store.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
