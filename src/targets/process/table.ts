/**
 * The process table of the host as this target needs it: who lives, since when, and who carries our mark.
 *
 * Promises: a zombie is dead; an answer is complete or an error; a pid alone never names a process, only a pid with its
 * start time (and the boot it belongs to) does. A table serves one deployment: it remembers who is not ours.
 */
import { existsSync } from 'node:fs';
import type { Mark } from './mark.ts';
import { openProcTable } from './proc-linux.ts';
import { openPsTable } from './proc-ps.ts';

export interface ProcessEntry {
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  /** Leads its own process group (and session, where the host says so), as every agent does. */
  readonly leader: boolean;
  /** In the words of this table; compared by `sameStart` only. */
  readonly start: string;
}

export interface MarkedProcess extends ProcessEntry {
  readonly mark: Mark;
}

export interface ProcessTable {
  readonly kind: 'proc' | 'ps';
  /** Names this boot of the host; '' where start times are absolute. */
  readonly boot: string;
  /** How often it is fit to be asked while something is waited for, ms. */
  readonly pollMs: number;
  /** Start time of a process of ours that was just spawned, zombie or not; null when it is gone already. */
  startOf(pid: number, signal: AbortSignal): Promise<string | null>;
  /** The living ones among `pids`. */
  look(pids: readonly number[], signal: AbortSignal): Promise<ReadonlyMap<number, ProcessEntry>>;
  sameStart(a: string, b: string): boolean;
  /** Every living process that carries the mark of this deployment (and, if asked, of this uid). */
  marked(deployment: string, signal: AbortSignal, uid?: string): Promise<readonly MarkedProcess[]>;
}

/** `/proc` where there is one, else `ps`. */
export function openProcessTable(): ProcessTable {
  return existsSync('/proc/self/stat') ? openProcTable() : openPsTable();
}
