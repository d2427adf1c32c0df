/**
 * The process table by `ps`, for hosts without `/proc` (macOS, BSD). Best effort by nature: start times have the
 * resolution of a second, and an environment is seen only where `ps eww` shows it (one's own processes, on macOS).
 */
import { execFile } from 'node:child_process';
import { wordsOf } from '../../core/error-words.ts';
import { hostFault } from './failure.ts';
import { PS_DEADLINE_MS, PS_OUTPUT_BYTES } from './limits.ts';
import { markFromEnv } from './mark.ts';
import type { MarkedProcess, ProcessEntry, ProcessTable } from './table.ts';

/** `lstart` is computed from the boot time, which some systems round differently from call to call. */
const START_SLACK_MS = 2_000;
const COLUMNS = 'pid=,ppid=,pgid=,stat=,lstart=';
const LINE = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.+?)\s*$/;

export function openPsTable(): ProcessTable {
  return {
    kind: 'ps',
    boot: '',
    pollMs: 200,

    async startOf(pid, signal) {
      const lines = await rows(['-o', COLUMNS, '-p', String(pid)], signal);
      return lines.find(({ entry }) => entry.pid === pid)?.entry.start ?? null;
    },

    async look(pids, signal) {
      const found = new Map<number, ProcessEntry>();
      if (pids.length === 0) return found;
      const wanted = new Set(pids);
      for (const { entry, zombie } of await rows(['-A', '-o', COLUMNS], signal)) {
        if (!zombie && wanted.has(entry.pid)) found.set(entry.pid, entry);
      }
      return found;
    },

    sameStart: (a, b) => a === b || Math.abs(Number(a) - Number(b)) <= START_SLACK_MS,

    async marked(deployment, signal, uid) {
      // The options without a dash are the BSD ones, which procps and macOS share: all, with environment, unshortened.
      const text = await ps(['axeww', '-o', 'pid=,command='], signal);
      const marks = new Map<number, MarkedProcess['mark']>();
      for (const line of text.split('\n')) {
        if (!line.includes(`HOLDFAST_DEPLOYMENT=${deployment}`)) continue;
        const words = line.trim().split(/\s+/);
        const mark = markFromEnv(words);
        if (mark?.deployment !== deployment || (uid !== undefined && mark.uid !== uid)) continue;
        marks.set(Number(words[0]), mark);
      }
      if (marks.size === 0) return [];
      const ours: MarkedProcess[] = [];
      for (const { entry, zombie } of await rows(['-A', '-o', COLUMNS], signal)) {
        const mark = marks.get(entry.pid);
        if (mark && !zombie) ours.push({ ...entry, mark });
      }
      return ours;
    },
  };
}

async function rows(args: readonly string[], signal: AbortSignal): Promise<{ entry: ProcessEntry; zombie: boolean }[]> {
  const found: { entry: ProcessEntry; zombie: boolean }[] = [];
  for (const line of (await ps(args, signal)).split('\n')) {
    const match = LINE.exec(line);
    if (!match) continue;
    const [pid, ppid, pgid] = [Number(match[1]), Number(match[2]), Number(match[3])];
    const state = match[4] ?? '';
    const startMs = Date.parse(`${match[5]} UTC`);
    const start = String(startMs);
    found.push({
      entry: { pid, ppid, pgid, leader: pid === pgid, start },
      zombie: state.startsWith('Z'),
    });
  }
  return found;
}

/** Runs `ps`; an exit of 1 without words means that no process matched. */
function ps(args: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const env = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
    execFile(
      'ps',
      [...args],
      { env, signal, timeout: PS_DEADLINE_MS, killSignal: 'SIGKILL', maxBuffer: PS_OUTPUT_BYTES },
      (error, stdout, stderr) => {
        if (signal.aborted) reject(signal.reason);
        else if (error === null || (error.code === 1 && stderr === '')) resolve(stdout);
        else {
          const words = stderr.trim() || wordsOf(error);
          reject(hostFault('process-table', `could not list processes by "ps ${args.join(' ')}": ${words}`, error));
        }
      },
    );
  });
}
