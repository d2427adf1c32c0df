/**
 * A pool of connections in which every wait ends: for a connection, for a lock, for an answer, and for a transaction
 * that was left open. Errors come out as `StoreError` sentences.
 */
import { setTimeout } from 'node:timers/promises';
import pg from 'pg';
import { describeServer, storeError } from './errors.ts';
import type { Server } from './errors.ts';

const MAX_CONNECTIONS = 10;

export interface Timeouts {
  /** For a connection, new or from the pool. */
  readonly connectMs: number;
  /** For the fleet's row: longer than any sane append, shorter than a lease. */
  readonly lockMs: number;
  readonly statementMs: number;
  /** The server ends a transaction whose client fell silent, and with it the lock on the fleet. */
  readonly idleTransactionMs: number;
  /** The client's own end of waiting, for a server or a network that died without a word. */
  readonly answerMs: number;
  readonly closeMs: number;
}

const TIMEOUTS: Timeouts = {
  connectMs: 5_000,
  lockMs: 8_000,
  statementMs: 15_000,
  idleTransactionMs: 15_000,
  answerMs: 20_000,
  closeMs: 5_000,
};

/** Runs one statement. `name` prepares it once per connection. Rows come as arrays: cheaper than objects. */
export type Query = (
  name: string,
  text: string,
  values?: readonly unknown[],
) => Promise<readonly (readonly unknown[])[]>;

export interface Database {
  readonly server: Server;
  /** One statement of its own. `tried` completes "tried to …". */
  readonly query: (tried: string) => Query;
  /**
   * A transaction. READ COMMITTED, said explicitly: after waiting for the fleet's row, the next statement must see what
   * the one before committed; SERIALIZABLE, where it is a server's default, would make each wait a failure instead.
   */
  transact<T>(tried: string, work: (query: Query) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const getTypeParser: typeof pg.types.getTypeParser = (oid, format): ((text: string) => unknown) =>
  oid === pg.types.builtins.INT8 ? Number : (pg.types.getTypeParser(oid, format) as (text: string) => unknown);

/** `shorter`: for tests of what happens when time is over. */
export async function openDatabase(url: string, shorter: Partial<Timeouts> = {}): Promise<Database> {
  const timeouts = { ...TIMEOUTS, ...shorter };
  const server = describeServer(url);
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'holdfast',
    max: MAX_CONNECTIONS,
    keepAlive: true,
    connectionTimeoutMillis: timeouts.connectMs,
    lock_timeout: timeouts.lockMs,
    statement_timeout: timeouts.statementMs,
    idle_in_transaction_session_timeout: timeouts.idleTransactionMs,
    query_timeout: timeouts.answerMs,
    // bigint comes as text by default; sequence numbers and times stay below 2⁵³.
    types: { getTypeParser },
  });
  // A connection that breaks is dropped by the pool, and whoever uses it or needs one next is told by the rejection of
  // the query. These say it a second time; unheard, they would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));

  const on =
    (client: pg.Pool | pg.PoolClient, tried: string): Query =>
    async (name, text, values = []) => {
      try {
        const result = await client.query({ name, text, values: [...values], rowMode: 'array' });
        return result.rows as unknown[][];
      } catch (error) {
        throw storeError(error, server, tried);
      }
    };

  let begin = 'BEGIN ISOLATION LEVEL READ COMMITTED';
  try {
    const [[commits] = []] = await on(pool, 'open it')('', `SELECT current_setting('synchronous_commit')`);
    // What was acknowledged must outlive the server. A stronger setting than "on" is left alone.
    if (commits === 'off') begin += '; SET LOCAL synchronous_commit = on';
  } catch (error) {
    await pool.end();
    throw error;
  }

  let closing: Promise<unknown> | undefined;
  return {
    server,
    query: (tried) => on(pool, tried),

    async transact(tried, work) {
      const client = await pool.connect().catch((error: unknown) => {
        throw storeError(error, server, tried);
      });
      const query = on(client, tried);
      let broken = true;
      try {
        await simple(client, begin, server, tried);
        try {
          const result = await work(query);
          await simple(client, 'COMMIT', server, tried);
          broken = false;
          return result;
        } catch (error) {
          // A failed COMMIT or ROLLBACK leaves `broken`: the connection is cut, which ends the transaction as well.
          await simple(client, 'ROLLBACK', server, tried).then(
            () => (broken = false),
            () => undefined,
          );
          throw error;
        }
      } finally {
        client.release(broken);
      }
    },

    async close() {
      closing ??= pool.end();
      await Promise.race([closing, setTimeout(timeouts.closeMs, undefined, { ref: false })]);
    },
  };
}

async function simple(client: pg.PoolClient, text: string, server: Server, tried: string): Promise<void> {
  try {
    await client.query(text);
  } catch (error) {
    throw storeError(error, server, tried);
  }
}
