/**
 * Looking into a running container: a command run in it, and what it uses.
 */
import type { ContainerInspectInfo } from 'dockerode';
import type { Executed, Usage } from '../../ports/target.ts';
import { becomesTrue } from '../wait.ts';
import type { Engine } from './engine.ts';
import { CHANGE_MS, EXEC_CODE_MS, EXEC_OUTPUT_BYTES, EXEC_POLL_MS, HEALTH_WORDS_CHARS } from './limits.ts';
import { framesOf } from './lines.ts';
import { collect } from './logs.ts';
import { healthIn } from './looks.ts';

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
  let bytes = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const part of framesOf(await engine.stream(start, signal))) {
      bytes += part.length;
      yield part;
    }
  };
  const output = await collect(counted(), EXEC_OUTPUT_BYTES);
  let code: number | null = null;
  // The output may end a moment before the engine knows how the command did.
  await becomesTrue(
    async () => {
      const { ExitCode, Running } = await engine.ask<{ ExitCode: number | null; Running: boolean }>(
        { method: 'GET', path: `/exec/${Id}/json`, doing },
        signal,
      );
      code = Running ? null : ExitCode;
      return !Running;
    },
    EXEC_POLL_MS,
    EXEC_CODE_MS,
    signal,
  );
  return { code, output, cut: bytes > output.length };
}

/** The verdict of the engine's own check, with the end of what the check wrote where it failed; null: it has none. */
export function verdict(info: ContainerInspectInfo): { ok: boolean; message: string } | null {
  const status = healthIn(info);
  if (status === null) return null;
  const said = info.State.Health?.Log?.at(-1);
  const words = said === undefined || status === 'healthy' ? '' : `: ${said.Output.trim().slice(-HEALTH_WORDS_CHARS)}`;
  return { ok: status === 'healthy', message: `the engine's health check says ${status}${words}` };
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
