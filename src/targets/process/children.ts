/**
 * The children of this process. Parenthood belongs to the process, not to a target object: only here is the exit code of
 * an agent known, and only here is it known at once, so a target that is opened anew finds them again.
 */
import type { ChildProcess } from 'node:child_process';

export interface RawExit {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface OwnChild {
  readonly pid: number;
  /** Resolves when the kernel has handed us its end; from then on it is no zombie. */
  readonly ended: Promise<RawExit>;
}

/** Bounded by the agents that run. */
const children = new Map<number, OwnChild>();

/** To be called in the same turn as the spawn, before the end of it can be told. */
export function registerChild(child: ChildProcess, pid: number): OwnChild {
  const ended = new Promise<RawExit>((resolve) => {
    child.once('exit', (code, signal) => {
      if (children.get(pid) === own) children.delete(pid);
      resolve({ code, signal });
    });
  });
  const own: OwnChild = { pid, ended };
  children.set(pid, own);
  return own;
}

/** The child of ours with this pid. Its pid cannot be another's: it is not reused before the end was told. */
export function ownChild(pid: number): OwnChild | null {
  return children.get(pid) ?? null;
}
