/**
 * Failures in the words of the port: who is at fault, whether trying again can help, and a sentence for the reader.
 */
import { wordsOf } from '../../core/error-words.ts';
import type { Look } from '../../core/model.ts';
import { TargetError } from '../../ports/target.ts';

/** The instance cannot run as declared; only another spec (or a repaired host) helps. */
export function terminal(code: string, message: string, cause?: unknown): TargetError {
  return new TargetError({ class: 'terminal', fault: 'instance', code, message }, null, { cause });
}

/** This try failed, the next may not. */
export function transient(code: string, message: string, cause?: unknown): TargetError {
  return new TargetError({ class: 'transient', fault: 'instance', code, message }, null, { cause });
}

/** The world is not what the caller thought; look again. */
export function conflict(code: string, message: string, saw: Look): TargetError {
  return new TargetError({ class: 'conflict', fault: 'instance', code, message }, saw);
}

/** The host itself fails (disk, process table, limits): no instance is to blame. */
export function hostFault(code: string, message: string, cause?: unknown): TargetError {
  return new TargetError({ class: 'transient', fault: 'target', code, message }, null, { cause });
}

/** The `errno` name of a system error, or ''. */
export function errnoOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string')
    return error.code;
  return '';
}

/** Runs file work of our own; what goes wrong there is the host's fault, told with what was being done. */
export function hostWork<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof TargetError) throw error;
    throw hostFault('host-file', `could not ${doing}: ${wordsOf(error)}`, error);
  }
}
