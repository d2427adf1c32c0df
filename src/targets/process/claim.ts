/**
 * The claim of a deployment on its host: a copied data folder started beside the original would fight it over every
 * agent (L73), so the second one is refused.
 *
 * Promises: exclusive on this host, wherever the data folder, `TMPDIR` and `/tmp` of either are (a copy has other ones);
 * freed by the kernel when the holder dies, even by SIGKILL; not inherited by agents.
 *
 * On Linux an abstract unix socket: it is no file, so no cleaner of `/tmp`, no logout and no private `/tmp` of a service
 * can part the two, and the holder can be asked who it is. Elsewhere an SQLite file, locked for the holder's life.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { platform, userInfo } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { wordsOf } from '../../core/error-words.ts';
import { errnoOf } from './failure.ts';

const ASK_MS = 1_000;
const ANSWER_BYTES = 8_192;

/** A database that nobody refers to is closed by the garbage collector, and its lock is gone: seen in a test. */
const held = new Set<DatabaseSync>();

export interface HostClaim {
  /** Frees it. */
  close(): Promise<void>;
}

/** Another control plane of the same deployment runs on this host. `message` is one clear sentence. */
export class ClaimRefused extends Error {
  override readonly name = 'ClaimRefused';
}

interface Holder {
  readonly pid: number;
  readonly dataDir: string;
}

/** Claims this host for the deployment; rejects with `ClaimRefused` when another process holds it. */
export function claimHost(deployment: string, dataDir: string): Promise<HostClaim> {
  return platform() === 'linux' ? claimBySocket(deployment, dataDir) : claimByFile(deployment, dataDir);
}

export async function claimBySocket(deployment: string, dataDir: string): Promise<HostClaim> {
  const path = `\0holdfast/claim/${short(deployment)}`;
  const holder = JSON.stringify({ pid: process.pid, dataDir } satisfies Holder);
  const server = createServer((asker) => {
    asker.on('error', () => asker.destroy()); // Whoever asked is gone again.
    asker.setTimeout(ASK_MS, () => asker.destroy());
    asker.end(holder);
  });
  try {
    await new Promise<void>((listening, failed) => {
      server.once('error', failed);
      server.listen({ path, exclusive: true }, listening);
    });
  } catch (error) {
    if (errnoOf(error) === 'EADDRINUSE') throw refusal(deployment, dataDir, await ask(path), error);
    throw new ClaimRefused(`could not claim this host for deployment ${deployment}: ${wordsOf(error)}`, {
      cause: error,
    });
  }
  server.on('error', () => undefined); // A connection that cannot be accepted costs an asker its answer, nothing else.
  server.unref();
  return { close: () => new Promise((closed) => server.close(() => closed())) };
}

/** `folder` must be the same for every control plane of this user, whatever its environment. */
export async function claimByFile(
  deployment: string,
  dataDir: string,
  folder = `/tmp/holdfast-${userInfo().uid}`,
): Promise<HostClaim> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const file = join(folder, `${short(deployment)}.claim`);
  const note = `${file}.json`;
  const database = new DatabaseSync(file);
  try {
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (!/locked|busy/i.test(wordsOf(error))) {
      throw new ClaimRefused(`could not claim this host for deployment ${deployment} by ${file}: ${wordsOf(error)}`, {
        cause: error,
      });
    }
    throw refusal(
      deployment,
      dataDir,
      readHolder(() => readFileSync(note, 'utf8')),
      error,
    );
  }
  // The file itself stays: removing it would let two hold "the" file at once.
  writeFileSync(note, JSON.stringify({ pid: process.pid, dataDir } satisfies Holder), { mode: 0o600 });
  held.add(database);
  return {
    close() {
      if (held.delete(database)) database.close();
      return Promise.resolve();
    },
  };
}

function refusal(deployment: string, dataDir: string, holder: Holder | null, cause: unknown): ClaimRefused {
  const who = holder ? `process ${holder.pid} with the data folder ${holder.dataDir}` : 'another process';
  const hint =
    holder && holder.dataDir !== dataDir
      ? `${dataDir} is a copy of it; stop that one first, or give the copy an identity of its own`
      : 'stop that one first';
  return new ClaimRefused(`deployment ${deployment} is already being run on this host by ${who}: ${hint}`, { cause });
}

/** Asks the holder who it is; null when it does not say so in time. */
function ask(path: string): Promise<Holder | null> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ path });
    const over = (): void => {
      socket.destroy();
      resolve(readHolder(() => text));
    };
    socket.setEncoding('utf8').setTimeout(ASK_MS, over);
    socket.on('error', over).on('end', over);
    socket.on('data', (more: string) => {
      text += more;
      if (text.length > ANSWER_BYTES) over();
    });
  });
}

function readHolder(read: () => string): Holder | null {
  try {
    const value: unknown = JSON.parse(read());
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('dataDir' in value)) return null;
    const { pid, dataDir } = value;
    return typeof pid === 'number' && typeof dataDir === 'string' ? { pid, dataDir } : null;
  } catch {
    return null; // The refusal stands without the name of the holder.
  }
}

/** The abstract name space has 107 bytes. */
function short(deployment: string): string {
  return createHash('sha256').update(deployment).digest('hex').slice(0, 32);
}
