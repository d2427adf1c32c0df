/**
 * Leaves nothing behind of an end-to-end test, however its process ends. It is told on its standard input what there is to
 * remove, one `server PID`, `deployment ID` or `mount FOLDER` per line; the end of that input, which a SIGKILL of the test
 * brings about as well, is when it removes all of it: servers, then whatever carries the mark of a deployment below the
 * folder of the test, then the folder. A pid alone is never killed, since it may be somebody else's by now: a server has
 * that folder in its command line.
 */
import { existsSync, globSync, readFileSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { openProcessTable } from '../../src/targets/process/table.ts';

const [folder = ''] = process.argv.slice(2);
if (!folder.includes('holdfast-e2e-')) throw new Error(`${folder} is no folder of a test`);
const SWEEPS = 50;
/** What a dying server may still have begun to spawn is seen by a sweep after this. */
const QUIET_SWEEPS = 3;
const SWEEP_PAUSE_MS = 50;
const SWEEP_DEADLINE_MS = 10_000;

const told: { readonly [what in 'server' | 'deployment' | 'mount']: Set<string> } = {
  server: new Set(),
  deployment: new Set(),
  mount: new Set(),
};
for await (const line of createInterface({ input: process.stdin })) {
  const [what = '', ...rest] = line.split(' ');
  if (what in told) told[what as keyof typeof told].add(rest.join(' '));
}

for (const pid of told.server) if (commandOf(Number(pid)).includes(folder)) kill(Number(pid));
for (const database of globSync(join(folder, '**/holdfast.db'))) addDeployment(database);
await sweep();
for (const mount of told.mount) spawnSync('umount', ['-l', mount]);
rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });

/** '' when there is no such process. */
function commandOf(pid: number): string {
  try {
    return existsSync('/proc/self/cmdline')
      ? readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      : spawnSync('ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout;
  } catch {
    return '';
  }
}

/** Of a server that was started and not yet told of. */
function addDeployment(database: string): void {
  try {
    const db = new DatabaseSync(database, { readOnly: true, timeout: 1_000 });
    const row = db.prepare('SELECT deployment FROM store').get();
    if (typeof row?.['deployment'] === 'string') told.deployment.add(row['deployment']);
    db.close();
  } catch {
    // Damaged on purpose, or never filled: whoever ran on it was told of when it was whole.
  }
}

async function sweep(): Promise<void> {
  // One table each: a table remembers who is not of the deployment that it serves.
  const tables = [...told.deployment].map((id) => [id, openProcessTable()] as const);
  for (let sweeps = 0, quiet = 0; sweeps < SWEEPS && quiet < QUIET_SWEEPS; sweeps += 1) {
    const signal = AbortSignal.timeout(SWEEP_DEADLINE_MS);
    const found = await Promise.all(tables.map(([id, table]) => table.marked(id, signal)));
    const pids = found.flat().map(({ pid }) => pid);
    quiet = pids.length === 0 ? quiet + 1 : 0;
    for (const pid of pids) kill(pid);
    await setTimeout(SWEEP_PAUSE_MS);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already: what is wanted.
  }
}
