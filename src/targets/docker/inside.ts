/**
 * Looking into a running container: a command run in it, and what it uses.
 */
import type { Engine } from './engine.ts';
import { CHANGE_MS, EXEC_OUTPUT_BYTES } from './limits.ts';
import { framesOf } from './lines.ts';
import { collect } from './logs.ts';

export interface Executed {
  readonly code: number | null;
  /** Both streams, in the order they came; the last `EXEC_OUTPUT_BYTES`. */
  readonly output: Buffer;
}

export interface Usage {
  /** Without the page cache, which the kernel gives back when it is asked for. */
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  /** Cores in use over the last second. */
  readonly cpus: number;
  readonly processes: number;
}

/** To its end. Aborting ends the wait; the command itself runs on, since the engine has no way to end it. */
export async function execute(
  engine: Engine,
  id: string,
  command: readonly string[],
  signal: AbortSignal,
): Promise<Executed> {
  const doing = `run ${command[0] ?? 'nothing'} in ${id}`;
  const body = { AttachStdout: true, AttachStderr: true, Cmd: command };
  const { Id } = await engine.ask<{ Id: string }>(
    { method: 'POST', path: `/containers/${id}/exec`, body, doing },
    signal,
  );
  const start = {
    method: 'POST',
    path: `/exec/${Id}/start`,
    body: { Detach: false, Tty: false },
    doing,
    withinMs: CHANGE_MS,
  } as const;
  const output = await collect(framesOf(await engine.stream(start, signal)), EXEC_OUTPUT_BYTES);
  const { ExitCode } = await engine.ask<{ ExitCode: number | null }>(
    { method: 'GET', path: `/exec/${Id}/json`, doing },
    signal,
  );
  return { code: ExitCode, output };
}

interface CpuStats {
  readonly cpu_usage: { readonly total_usage: number };
  readonly system_cpu_usage?: number;
  readonly online_cpus?: number;
}

interface StatsAnswer {
  readonly cpu_stats: CpuStats;
  readonly precpu_stats: CpuStats;
  readonly memory_stats: {
    readonly usage?: number;
    readonly limit?: number;
    readonly stats?: { readonly [name: string]: number };
  };
  readonly pids_stats: { readonly current?: number };
}

/** One sample; the engine takes a second for it. Formulas: Engine API, "ContainerStats". */
export async function usage(engine: Engine, id: string, signal: AbortSignal): Promise<Usage> {
  const question = {
    method: 'GET',
    path: `/containers/${id}/stats`,
    query: { stream: false },
    doing: `measure ${id}`,
  } as const;
  const {
    cpu_stats: now,
    precpu_stats: before,
    memory_stats: memory,
    pids_stats: pids,
  } = await engine.ask<StatsAnswer>(question, signal);
  const system = (now.system_cpu_usage ?? 0) - (before.system_cpu_usage ?? 0);
  const own = now.cpu_usage.total_usage - before.cpu_usage.total_usage;
  const cache = memory.stats?.['total_inactive_file'] ?? memory.stats?.['inactive_file'] ?? 0; // cgroup v1, v2
  return {
    memoryBytes: Math.max(0, (memory.usage ?? 0) - cache),
    memoryLimitBytes: memory.limit ?? 0,
    cpus: system > 0 ? (own / system) * (now.online_cpus ?? 1) : 0,
    processes: pids.current ?? 0,
  };
}
