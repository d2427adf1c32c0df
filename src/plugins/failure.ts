/** Failures of a plugin: never anybody's fault but its own, so that none opens a target's breaker. */
import { TargetError } from '../ports/target.ts';

/** The next try may find it well: a branch moves, a server comes back. */
export function transient(code: string, message: string, cause?: unknown): TargetError {
  return new TargetError({ class: 'transient', fault: 'instance', code, message }, null, { cause });
}

/** The same again would be the same again: what it names cannot change. */
export function terminal(code: string, message: string, cause?: unknown): TargetError {
  return new TargetError({ class: 'terminal', fault: 'instance', code, message }, null, { cause });
}

/** What was fetched is not to be delivered. Final only where the ref can never mean anything else. */
export const refused = (pinned: boolean, code: string, message: string): TargetError =>
  pinned ? terminal(code, message) : transient(code, message);
