/**
 * What the end of one life means, and what a flap of it is called on each type of target.
 */
import type { Exit, ExitClass, FlapKind } from './model.ts';

/** sysexits' EX_CONFIG: the agent says that its configuration is unusable; another start would say it again (L87). */
const EXIT_CONFIG_INVALID = 78;

/** `planned`: an operation of ours was sent to end this life. */
export function classifyExit(exit: Exit | null, planned: boolean): ExitClass {
  if (planned) return 'planned';
  if (exit === null) return 'crash';
  if (exit.oom) return 'oom';
  if (exit.code === EXIT_CONFIG_INVALID) return 'config-invalid';
  if (exit.code === 0) return 'completed';
  if (exit.code === null && exit.signal === null) return 'unknown';
  if (exit.signal === 'SIGKILL' || exit.signal === 'SIGTERM' || exit.signal === 'SIGINT') return 'killed';
  return 'crash';
}

export function exitText(exit: Exit | null): string {
  if (exit === null) return 'it ended; how is not known';
  if (exit.oom) return 'it was killed for want of memory';
  if (exit.code === EXIT_CONFIG_INVALID) return 'it says that its configuration is invalid (exit code 78)';
  if (exit.signal !== null) return `it was ended by ${exit.signal}`;
  if (exit.code !== null) return `it ended with exit code ${exit.code}`;
  return 'it ended; how is not known';
}

const FLAPS: { readonly [type: string]: { readonly stopped: FlapKind; readonly missing: FlapKind } } = {
  process: { stopped: 'process_exited', missing: 'process_exited' },
  ec2: { stopped: 'instance_stopped', missing: 'instance_terminated' },
};

export function flapKind(targetType: string, what: 'stopped' | 'missing'): FlapKind {
  return (FLAPS[targetType] ?? { stopped: 'container_stopped', missing: 'container_missing' })[what];
}
