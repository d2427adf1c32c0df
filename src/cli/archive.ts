/**
 * An exported log, served to the commands of this process as a server would serve a living fleet: the same code over a store
 * in memory, on a port of the loopback that only this process knows the token of. Nothing is owned, ticked or done.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { wordsOf } from '../core/error-words.ts';
import { LogFileError, readLogFile, type LogFile } from '../core/log-file.ts';
import { createApp, listen } from '../http/server.ts';
import { createControl } from '../runtime/control/index.ts';
import { lookingOnly } from '../runtime/control/looking-only.ts';
import { levelSwitch, silentLog } from '../runtime/log.ts';
import { Registry } from '../runtime/registry.ts';
import { Runtime } from '../runtime/runtime.ts';
import { Vault } from '../runtime/secrets/vault.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { Targets } from '../runtime/targets.ts';
import { VERSION } from '../runtime/version.ts';
import type { World } from '../runtime/world.ts';
import { createMemoryDisk, createMemoryStore, type MemoryDisk } from '../stores/memory.ts';
import type { Endpoint } from './discover.ts';
import { Failure } from './failure.ts';

export interface Archive {
  readonly endpoint: Endpoint;
  /** Fleet time when it was exported: what "now" means in it. */
  readonly now: number;
  close(): Promise<void>;
}

export async function openArchive(file: string): Promise<Archive> {
  const { head, rows } = await readArchive(file);
  const disk = diskOf(head, rows);
  const store = createMemoryStore({ disk });
  const targets = new Targets(() => null, store.deployment, systemClock, silentLog);
  // No value of a secret is in the log, so there is none to be kept here.
  const key = { where: 'nowhere', read: () => null, make: () => randomBytes(32) };
  const vault = new Vault({ store, key, withoutLost: true });
  const runtime: Runtime = new Runtime('exported-log', {
    store,
    vault,
    clock: systemClock,
    log: silentLog,
    targets,
    probe: () => Promise.reject(new Error('an exported log has no agents')),
    plugins: { trackEveryMs: 0, resolve: noPlugins, fetch: noPlugins },
    env: () => ({}),
    isVisited: () => false,
    ticked: () => undefined,
  });
  await runtime.open(head.fleet, head.at);
  const world: World = {
    version: VERSION,
    store,
    clock: systemClock,
    log: silentLog,
    logLevel: levelSwitch({ level: 'silent' }, silentLog),
    runtime,
    targets,
    vault,
    registry: new Registry({
      key: randomBytes(32),
      folder: null,
      agentUrl: 'http://127.0.0.1',
      store,
      clock: systemClock,
      log: silentLog,
      fleets: () => runtime.fleets(),
      fleet: (name) => runtime.fleet(name),
      isAwaited: () => false,
    }),
    targetTypes: new Map(),
    channels: new Map(),
    pluginPolicy: { sources: null, requirePinned: false, plainHttp: false },
    newId: () => randomBytes(8).toString('hex'),
    newSecret: () => randomBytes(32).toString('base64url'),
    lag: () => ({ worstMs: 0, meanMs: 0 }),
    metrics: () => Promise.resolve(''),
  };
  const control = createControl(world);
  const { token } = await control.createToken({ name: 'reader', scope: 'admin', fleets: null, expiresInMs: null });
  const listening = await listen(createApp(lookingOnly(control)), { host: '127.0.0.1', port: 0 });
  return {
    endpoint: { url: new URL(`${listening.url}/`), token, tokenFrom: file },
    now: head.at,
    async close() {
      await listening.close(0);
      await targets.close();
      await world.registry.stop();
      await store.close();
    },
  };
}

const noPlugins = (): Promise<never> => Promise.reject(new Error('an exported log fetches nothing'));

/** Throws a `Failure` that says what is wrong with it. */
export async function readArchive(file: string): Promise<LogFile> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new Failure('unreadable', `${file} cannot be read: ${wordsOf(error)}`);
  }
  try {
    return readLogFile(text);
  } catch (error) {
    if (error instanceof LogFileError) throw new Failure('no-log', `${file} cannot be looked at: ${error.message}`);
    throw error;
  }
}

function diskOf(head: LogFile['head'], rows: LogFile['rows']): MemoryDisk {
  const disk = createMemoryDisk({ deployment: 'exported' });
  const { snapshot } = head;
  const last = rows.at(-1);
  disk.fleets.set(head.fleet, {
    head: last?.seq ?? snapshot?.seq ?? 0,
    lastAt: last?.at ?? snapshot?.at ?? 0,
    epoch: 0,
    rows: [...rows],
    snapshots: snapshot === null ? [] : [snapshot],
    secrets: [],
  });
  return disk;
}
