/**
 * The process table by Linux' `/proc` (proc(5): `stat` fields 3–6 and 22; `environ`).
 *
 * A sweep must cost little: `stat` is read only of what is ours or new. Whoever was seen not to be ours is trusted to
 * stay so for `FOREIGN_TRUST_MS` (only a reused pid could change it, and a process of ours that we did not spawn
 * ourselves is older than we are, so the first, complete scan has found it). `stat` is read synchronously: 4 µs, against
 * 60 µs by the thread pool. `environ` takes a lock of the other process, so it is read beside the loop, under a deadline.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { wordsOf } from '../../core/error-words.ts';
import { ownChild } from './children.ts';
import { errnoOf, hostFault } from './failure.ts';
import { ENVIRON_PARALLEL, ENVIRON_READ_MS, FOREIGN_TRUST_MS, YOUNG_MS } from './limits.ts';
import { markFromEnv, type Mark } from './mark.ts';
import type { MarkedProcess, ProcessEntry, ProcessTable } from './table.ts';
import { settlesWithin, unlessAborted } from '../wait.ts';

/** `sysconf(_SC_CLK_TCK)`: what user space sees is 100 on every Linux of today. */
const TICKS_PER_SECOND = 100;
const STAT_BYTES = 4096;
/** A scan serves many; none of them may end it. Its reads have deadlines. */
const NEVER = new AbortController().signal;
/** Errors that say: no such process (any more), or none that could be ours. */
const NOT_OURS = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'];

interface Known {
  readonly entry: ProcessEntry;
  /** null: not ours. */
  readonly mark: Mark | null;
}

interface Stat {
  readonly entry: ProcessEntry;
  readonly zombie: boolean;
}

export function openProcTable(): ProcessTable {
  const buffer = Buffer.allocUnsafe(STAT_BYTES);
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  /** Bounded by the host's process table: rebuilt from what is there at each scan. */
  let known = new Map<number, Known>();
  let trustedUntil = 0;
  /** One scan at a time, and one to come, however many ask: hundreds of verbs at once share a few scans. */
  let running: Promise<readonly MarkedProcess[]> = Promise.resolve([]);
  let queued: Promise<readonly MarkedProcess[]> | null = null;

  function living(pid: number): ProcessEntry | null {
    const stat = readStat(pid, buffer);
    return stat === null || stat.zombie ? null : stat.entry;
  }

  return {
    kind: 'proc',
    boot,
    pollMs: 20,
    startOf: (pid) => Promise.resolve(readStat(pid, buffer)?.entry.start ?? null),
    sameStart: (a, b) => a === b,

    look(pids) {
      const found = new Map<number, ProcessEntry>();
      for (const pid of pids) {
        const entry = living(pid);
        if (entry) found.set(pid, entry);
      }
      return Promise.resolve(found);
    },

    async marked(deployment, signal, uid) {
      signal.throwIfAborted();
      // A scan that began before the question may have missed the answer; one that is still to begin serves all who wait.
      queued ??= running
        .catch(() => undefined) // Whoever asked for that one was told.
        .then(() => {
          queued = null;
          return (running = scan(deployment));
        });
      const ours = await unlessAborted(queued, signal);
      return uid === undefined ? ours : ours.filter(({ mark }) => mark.uid === uid);
    },
  };

  async function scan(deployment: string): Promise<readonly MarkedProcess[]> {
    const recheck = performance.now() >= trustedUntil;
    const next = new Map<number, Known>();
    const ours: MarkedProcess[] = [];
    const strangers: ProcessEntry[] = [];
    for (const name of readdirSync('/proc')) {
      const pid = Number(name);
      if (!Number.isInteger(pid)) continue;
      const before = known.get(pid);
      if (before && before.mark === null && !recheck) {
        next.set(pid, before);
        continue;
      }
      // An own child keeps its pid, and with it its start time, until its end was told: nothing to be read.
      const entry = before?.mark && ownChild(pid) ? before.entry : living(pid);
      if (entry === null) continue;
      if (before?.mark && before.entry.start === entry.start) {
        next.set(pid, before);
        ours.push({ ...entry, mark: before.mark });
      } else {
        strangers.push(entry);
      }
    }
    const youngTicks = (readUptimeMs() - YOUNG_MS) * (TICKS_PER_SECOND / 1000);
    for (let at = 0; at < strangers.length; at += ENVIRON_PARALLEL) {
      const batch = strangers.slice(at, at + ENVIRON_PARALLEL);
      const marks = await Promise.all(batch.map((entry) => readMark(entry.pid, deployment)));
      for (const [i, entry] of batch.entries()) {
        const mark = marks[i] ?? null;
        if (mark !== null || Number(entry.start) < youngTicks) next.set(entry.pid, { entry, mark });
        if (mark !== null) ours.push({ ...entry, mark });
      }
    }
    known = next;
    if (recheck) trustedUntil = performance.now() + FOREIGN_TRUST_MS;
    return ours;
  }
}

function readStat(pid: number, buffer: Buffer): Stat | null {
  let length: number;
  try {
    const file = openSync(`/proc/${pid}/stat`, 'r');
    try {
      length = readSync(file, buffer, 0, STAT_BYTES, 0);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (NOT_OURS.includes(errnoOf(error))) return null;
    throw hostFault('process-table', `could not read /proc/${pid}/stat: ${wordsOf(error)}`, error);
  }
  const text = buffer.toString('latin1', 0, length);
  // The second field is the name in parentheses, and may itself hold spaces and parentheses.
  const field = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = field[0] ?? '';
  const start = field[19];
  if (start === undefined) return null;
  const pgid = Number(field[2]);
  const leader = pgid === pid && Number(field[3]) === pid;
  const entry = { pid, ppid: Number(field[1]), pgid, leader, start };
  return { entry, zombie: state === 'Z' || state === 'X' || state === 'x' };
}

function readUptimeMs(): number {
  return Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1000;
}

/** The mark of this deployment in a process' environment; null when it carries none. */
async function readMark(pid: number, deployment: string): Promise<Mark | null> {
  const reading = readFile(`/proc/${pid}/environ`, 'utf8').catch((error: unknown) => {
    if (NOT_OURS.includes(errnoOf(error))) return '';
    throw hostFault('process-table', `could not read /proc/${pid}/environ: ${wordsOf(error)}`, error);
  });
  if (!(await settlesWithin(reading, ENVIRON_READ_MS, NEVER))) {
    throw hostFault(
      'process-table',
      `process ${pid} did not let its environment be read within ${ENVIRON_READ_MS} ms, so it is unknown whether it is ours`,
    );
  }
  const text = await reading;
  if (!text.includes(`HOLDFAST_DEPLOYMENT=${deployment}\0`)) return null;
  const mark = markFromEnv(text.split('\0'));
  return mark?.deployment === deployment ? mark : null;
}
