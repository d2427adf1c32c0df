/** The embedded store: the contract, and what only a database in a folder can do wrong. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { NewEvent } from '../../src/core/events.ts';
import { StoreError } from '../../src/ports/store.ts';
import type { Store } from '../../src/ports/store.ts';
import { openStore } from '../../src/stores/open.ts';
import { openSqliteStore } from '../../src/stores/sqlite/index.ts';
import { SCHEMA_VERSION } from '../../src/stores/sqlite/migrations.ts';
import { realComponent } from '../support/require.ts';
import { storeModel } from './store.model.ts';
import { storeContract } from './store.suite.ts';
import type { MakeHarness } from './store.suite.ts';

const CHILD = join(import.meta.dirname, '../support/store-child.ts');
const DEADLINE_MS = 20_000;

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-sqlite-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Works on the database of a folder behind the store's back. */
function withDatabase(folder: string, work: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(join(folder, 'holdfast.db'));
  try {
    work(db);
  } finally {
    db.close();
  }
}

function refuses(work: Promise<unknown>, code: StoreError['code'], words: RegExp): Promise<void> {
  return assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof StoreError, `not a StoreError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  });
}

const makeHarness: MakeHarness = async (t) => {
  const folder = makeFolder(t);
  let time = 0;
  const change = (sql: string, ...values: (string | number)[]): void =>
    withDatabase(folder, (db) => {
      const { changes } = db
        .prepare(`${sql} WHERE seq = ? AND fleet_id = (SELECT id FROM fleets WHERE fleet = ?)`)
        .run(...values);
      assert.equal(changes, 1);
    });
  return {
    open: () => openSqliteStore(folder, { mono: () => time }),
    beside: async (open) => open,
    async damage(fleet, seq, row) {
      for (const [column, value] of Object.entries(row)) {
        change(`UPDATE events SET ${column} = ?`, value, seq, fleet);
      }
    },
    async lose(fleet, seq) {
      change('DELETE FROM events', seq, fleet);
    },
    async passLeaseTime(ms) {
      time += ms;
    },
  };
};

storeContract('sqlite', makeHarness);
storeModel('sqlite', 100, makeHarness);

const fact = (message: string): NewEvent => ({ type: 'target.stale', data: { target: 't', message } });
const now = (): number => 1;

type Child = ChildProcessByStdio<null, Readable, null>;

function startChild(folder: string): Child {
  return spawn(process.execPath, [CHILD, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Kills the child at its `lines`-th line; returns all the lines it had printed. Fails after a deadline. */
async function killAfter(child: Child, lines: number): Promise<readonly string[]> {
  const printed: string[] = [];
  const tooLate = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
  for await (const line of createInterface({ input: child.stdout })) {
    printed.push(line);
    if (printed.length === lines) child.kill('SIGKILL');
  }
  clearTimeout(tooLate);
  assert.ok(printed.length >= lines, `the child ended after ${printed.length} of ${lines} lines`);
  return printed;
}

describe('sqlite: crashes', () => {
  test('a process killed at any instant loses nothing that was acknowledged', async (t) => {
    const folder = makeFolder(t);
    let head = 0;
    for (let round = 1; round <= 15; round += 1) {
      // At least "open" and one acknowledged append; how far behind the child is when the signal arrives is chance.
      const printed = await killAfter(startChild(folder), 2 + Math.floor(Math.random() * 150));
      const acknowledged = Number(printed.at(-1));

      const store = await openSqliteStore(folder);
      const [fleet] = await store.fleets();
      const log = await store.read('f', { after: 0, limit: 1_000_000 });
      assert.ok(acknowledged > head);
      assert.ok(log.length >= acknowledged, `round ${round}: ${acknowledged} acknowledged, ${log.length} found`);
      assert.ok(log.length <= acknowledged + 3, 'more than the one append that was under way');
      assert.equal(fleet?.head, log.length);
      assert.equal(fleet.epoch, round);
      log.forEach((event, i) => {
        assert.equal(event.seq, i + 1);
        assert.ok(event.type === 'target.stale', `event ${event.seq} is ${event.type}`);
      });
      const snapshot = await store.snapshot('f');
      if (snapshot !== null) assert.equal(snapshot.body, `state at ${snapshot.seq}`);
      head = log.length;
      await store.close();
    }
  });
});

describe('sqlite: the folder', () => {
  test('a second Holdfast on a folder is refused with its name and the pid of the first, until that is killed', async (t) => {
    const folder = makeFolder(t);
    const child = startChild(folder);
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'open');
    const words = `The data folder ${folder} is in use by another Holdfast (pid ${child.pid}): stop that one first`;
    await refuses(openStore(folder), 'locked', new RegExp(words.replaceAll(/[()]/g, '\\$&')));
    child.kill('SIGKILL');
    for (let line = await lines.next(); line.done !== true; line = await lines.next());

    const store = await openStore(folder);
    assert.ok(await store.acquire('f', 'the next', 1_000), 'the dead owner has no lease any more');
    await store.close();
  });

  test('a second store in one process is refused, and does not free the lock of the first', async (t) => {
    const folder = makeFolder(t);
    const first = await openSqliteStore(folder);
    await refuses(openSqliteStore(folder), 'locked', /in use/);
    await refuses(openSqliteStore(folder), 'locked', new RegExp(`pid ${process.pid}`));
    const outside = spawnSync(process.execPath, [CHILD, folder], { encoding: 'utf8', timeout: DEADLINE_MS });
    assert.match(outside.stderr, /is in use by another Holdfast/);
    await first.ensureFleet('f');
    await first.close();
    await (await openSqliteStore(folder)).close();
  });

  test('a start that fails frees the folder', async (t) => {
    const folder = makeFolder(t);
    writeFileSync(join(folder, 'holdfast.db'), 'no database at all, but long enough to be looked at'.repeat(100));
    await refuses(openSqliteStore(folder), 'corrupt', /damaged.*restore it from a backup/);
    rmSync(join(folder, 'holdfast.db'));
    await (await openSqliteStore(folder)).close();
  });

  test('a folder that cannot be made is refused', async (t) => {
    const folder = makeFolder(t);
    writeFileSync(join(folder, 'file'), '');
    await refuses(openSqliteStore(join(folder, 'file', 'data')), 'unreachable', /file\/data cannot be made/);
  });

  test('only its owner may look into a folder that Holdfast made', async (t) => {
    const folder = join(makeFolder(t), 'a', 'b');
    const store = await openSqliteStore(folder);
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    await store.close();
  });
});

describe('sqlite: the database', () => {
  test('data of a build that knew no secrets is taken on as it is', async (t) => {
    const folder = makeFolder(t);
    const store = await openSqliteStore(folder);
    await store.ensureFleet('f');
    await store.append('f', [fact('before')], now);
    await store.close();
    withDatabase(folder, (db) => db.exec('DROP TABLE secrets; PRAGMA user_version = 1'));
    const again = await openSqliteStore(folder);
    assert.equal((await again.read('f', { after: 0, limit: 9 })).length, 1);
    assert.equal(await again.putSecret('f', { name: 's', version: 1, sealed: Uint8Array.of(1) }), true);
    assert.equal((await again.secrets('f')).length, 1);
    await again.close();
  });

  test('a newer schema is refused in one sentence, and left as it is', async (t) => {
    const folder = makeFolder(t);
    await (await openSqliteStore(folder)).close();
    withDatabase(folder, (db) => db.exec(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`));
    const before = readFileSync(join(folder, 'holdfast.db'));
    const words = new RegExp(`data in ${folder} was written by a newer Holdfast \\(schema ${SCHEMA_VERSION + 1}`);
    await refuses(openSqliteStore(folder), 'newer-schema', words);
    assert.deepEqual(readFileSync(join(folder, 'holdfast.db')), before);
  });

  test("somebody else's database is not touched", async (t) => {
    const folder = makeFolder(t);
    withDatabase(folder, (db) => db.exec('CREATE TABLE theirs (a)'));
    await refuses(openSqliteStore(folder), 'corrupt', /not made by Holdfast/);
  });

  test('damaged pages are reported, never read as if they were data', async (t) => {
    const folder = makeFolder(t);
    const store = await openSqliteStore(folder);
    await store.ensureFleet('f');
    await store.append(
      'f',
      Array.from({ length: 500 }, () => fact('x'.repeat(200))),
      now,
    );
    await store.close();
    const file = openSync(join(folder, 'holdfast.db'), 'r+');
    for (let page = 8; page < 30; page += 1) writeSync(file, Buffer.alloc(4_096, 0xff), 0, 4_096, page * 4_096);
    closeSync(file);
    const readAgain = async (): Promise<void> => {
      const again = await openSqliteStore(folder);
      try {
        await again.read('f', { after: 0, limit: 1_000 });
      } finally {
        await again.close();
      }
    };
    await refuses(readAgain(), 'corrupt', /is damaged/);
  });

  /** Fills a store until it refuses; then nothing may be half-written, and reading must go on. */
  async function fillUp(store: Store): Promise<number> {
    await store.ensureFleet('f');
    const lease = await store.acquire('f', 'a', 60_000);
    assert.ok(lease);
    const batch = Array.from({ length: 20 }, () => fact('x'.repeat(1_000)));
    let written = 0;
    const write = async (): Promise<void> => {
      for (let i = 0; i < 10_000; i += 1) {
        const added =
          i % 2 === 0
            ? await store.append('f', batch, now)
            : await store.tick('f', lease.epoch, written, now, () => batch);
        written = added.at(-1)?.seq ?? written;
      }
    };
    await refuses(write(), 'full', /No space is left .*nothing was written/);
    assert.ok(written > 0);
    const log = await store.read('f', { after: 0, limit: 1_000_000 });
    assert.equal(log.length, written);
    assert.equal(log.at(-1)?.seq, written);
    assert.equal((await store.fleets())[0]?.head, written);
    return written;
  }

  test('a database that may not grow refuses as a whole, and works again when it may', async (t) => {
    const folder = makeFolder(t);
    const store = await openSqliteStore(folder, { maxPages: 60 });
    const written = await fillUp(store);
    await store.saveSnapshot('f', { seq: written, at: 1, logic: 1, body: '' });
    assert.ok((await store.retain('f', { sinceAt: 2, events: 20 })) > 0);
    assert.equal((await store.append('f', [fact('again')], now))[0]?.seq, written + 1);
    await store.close();
    const larger = await openSqliteStore(folder);
    assert.equal((await larger.append('f', [fact('again')], now))[0]?.seq, written + 2);
    await larger.close();
  });

  test('a disk that is really full refuses as a whole, and works again when there is space', async (t) => {
    const folder = makeFolder(t);
    const mounted = await realComponent(t, 'a disk of 1 MiB (tmpfs, as root)', () => {
      const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { encoding: 'utf8' });
      if (mount.status !== 0) throw new Error(mount.error?.message ?? mount.stderr);
      return folder;
    });
    if (mounted === null) return;
    try {
      const store = await openSqliteStore(folder);
      const written = await fillUp(store);
      assert.equal(spawnSync('mount', ['-o', 'remount,size=4m', folder]).status, 0);
      assert.equal((await store.append('f', [fact('again')], now))[0]?.seq, written + 1);
      await store.close();
    } finally {
      spawnSync('umount', ['-l', folder]);
    }
  });
});
