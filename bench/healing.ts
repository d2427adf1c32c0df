/**
 * How soon an agent runs again after `kill -9`: from the kill to the first line of the new life. The same script under a real
 * Holdfast (a process of its own, SQLite, process target, as installed) and under PM2 of the same run, kill by kill in turn.
 *
 * Each agent is killed once: Holdfast heals a first failure at once and lets quick repeats wait (1 s, 2 s, …), PM2 restarts
 * every time at once; this is about the healing, not about the patience. A third contestant shows what of it is the start of
 * Node: the same script, spawned.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { atMost, known, median, quantile, type Bench, type Figure } from './figure.ts';
import { openPm2, type Pm2App } from './pm2.ts';
import { apply, startServer } from './server.ts';

const ROUNDS = 24;
const WARM_UP_ROUNDS = 2;
const AGENTS = ROUNDS + WARM_UP_ROUNDS;
const STAMP_DEADLINE_MS = 30_000;

/**
 * Writes the time of its first line, then lives on. The name appears whole or not at all. It is CommonJS, which both can start
 * without a detour, and monotonic time is the same for all processes of a machine.
 */
const AGENT = `const now = process.hrtime.bigint();
const { renameSync, writeFileSync } = require('node:fs');
const file = process.env.STAMPS + '/' + process.env.AGENT + '.' + process.pid;
writeFileSync(file + '.new', String(now));
renameSync(file + '.new', file);
setInterval(() => undefined, 60000);
`;

type Side = 'holdfast' | 'pm2' | 'pm2-bare';
const SIDES: readonly Side[] = ['holdfast', 'pm2', 'pm2-bare'];

export const bench: Bench = async function* healing() {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const script = join(folder, 'agent.cjs');
  writeFileSync(script, AGENT);
  const stamps = new Stamps(folder);
  const names = (side: Side): string[] => Array.from({ length: AGENTS }, (_, i) => `${side}-${i}`);
  const env = (name: string): { [key: string]: string } => ({ AGENT: name, STAMPS: folder });
  const pm2 = await openPm2(join(folder, 'pm2'));
  const data = join(folder, 'data');
  const server = await startServer(data, ['--stop-agents']);
  const clean = cleanUp(async () => {
    await Promise.allSettled([server.end('SIGTERM'), pm2.end()]);
    rmSync(folder, { recursive: true, force: true });
  });
  try {
    const instances = Object.fromEntries(
      names('holdfast').map((name) => [
        name,
        { target: 'process', run: { command: [process.execPath, script], cwd: folder, env: env(name) } },
      ]),
    );
    await apply(server, data, 'heal', JSON.stringify({ version: 1, fleet: 'heal', instances }));
    const apps = (side: Side): Pm2App[] =>
      names(side).map((name) => ({ name, script, env: env(name), interpreter: process.execPath, pmx: side === 'pm2' }));
    await pm2.start([...apps('pm2'), ...apps('pm2-bare')]);
    for (const side of SIDES) for (const name of names(side)) await stamps.life(name, null);
    const times = await rounds(stamps, (name) => spawned(stamps, script, { ...env(name) }));
    yield* figures(times, pm2.version);
  } finally {
    await clean();
  }
};

/** Runs once: at the end, or when the benchmark is interrupted, for PM2's daemon would outlive it. */
function cleanUp(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null;
  const once = (): Promise<void> => (done ??= work());
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void once().finally(() => process.exit(1)));
  return once;
}

type Times = { readonly [S in Side | 'spawn']: number[] };

async function rounds(stamps: Stamps, spawnedMs: (name: string) => Promise<number>): Promise<Times> {
  const times: Times = { holdfast: [], pm2: [], 'pm2-bare': [], spawn: [] };
  for (let round = 0; round < AGENTS; round += 1) {
    const measured = round >= WARM_UP_ROUNDS;
    // Who goes first changes, so that nobody always follows the same other.
    const turn = round % SIDES.length;
    for (const side of [...SIDES.slice(turn), ...SIDES.slice(0, turn)]) {
      const ms = await heal(stamps, `${side}-${round}`);
      if (measured) times[side].push(ms);
    }
    const ms = await spawnedMs(`spawn-${round}`);
    if (measured) times.spawn.push(ms);
  }
  return times;
}

function* figures(times: Times, version: string): Generator<Figure> {
  const [mine, theirs, bare] = [median(times.holdfast), median(times.pm2), median(times['pm2-bare'])];
  yield known('kill -9 to the first line of the next life: Holdfast', mine, 'ms');
  yield known('  90 % of them', quantile(times.holdfast, 0.9), 'ms');
  yield known(`  PM2 ${version}`, theirs, 'ms');
  yield known('  90 % of them', quantile(times.pm2, 0.9), 'ms');
  yield known('  PM2 without its module in the agent (pmx: false)', bare, 'ms');
  yield known('  the same script, only spawned', median(times.spawn), 'ms');
  yield atMost('  Holdfast, as a share of PM2', mine / theirs, '×', 0.6, `PM2 ${version}, its defaults`);
  yield known('  Holdfast, as a share of PM2 without its module', mine / bare, '×');
}

async function heal(stamps: Stamps, name: string): Promise<number> {
  const { pid } = await stamps.life(name, null);
  const killedAt = process.hrtime.bigint();
  process.kill(pid, 'SIGKILL');
  const { at } = await stamps.life(name, pid);
  // The next kill finds everybody at rest.
  await wait(150);
  return Number(at - killedAt) / 1e6;
}

async function spawned(stamps: Stamps, script: string, env: { [key: string]: string }): Promise<number> {
  const began = process.hrtime.bigint();
  const child = spawn(process.execPath, [script], { env, stdio: 'ignore' });
  const { at } = await stamps.life(env['AGENT'] ?? '', null);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return Number(at - began) / 1e6;
}

/** What the agents wrote: `<name>.<pid>`, with the time of their first line. */
class Stamps {
  private readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** The newest life of this name that is not `before`, as soon as it is there. */
  async life(name: string, before: number | null): Promise<{ pid: number; at: bigint }> {
    const deadline = performance.now() + STAMP_DEADLINE_MS;
    for (;;) {
      for (const file of readdirSync(this.folder)) {
        if (!file.startsWith(`${name}.`) || file.endsWith('.new')) continue;
        const pid = Number(file.slice(name.length + 1));
        if (pid === before) continue;
        return { pid, at: BigInt(readFileSync(join(this.folder, file), 'utf8')) };
      }
      if (performance.now() > deadline)
        throw new Error(`no life of ${name} after ${before ?? 'its declaration'} within ${STAMP_DEADLINE_MS} ms`);
      await wait(5);
    }
  }
}
