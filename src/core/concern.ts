/**
 * A concern counts its own failures and nothing else's: a plugin in backoff never delays the healing of a crash (L82).
 *
 * The first failure is healed at once. Quick ones in a row wait 1 s × 2ⁿ, at most 5 min, ±10 % by a hash of who and which
 * attempt, so that a fleet that fails together does not retry together, and a replay waits exactly as long.
 */
import type { FailureDetail } from './events.ts';
import { jitter } from './hash.ts';
import {
  BACKOFF_BASE_MS,
  BACKOFF_CAP_MS,
  BACKOFF_JITTER,
  CONFLICTS_BEFORE_TRANSIENT,
  MESSAGE_CHARS,
} from './limits.ts';
import type { Concern, ConcernName, Instance } from './model.ts';

export interface Failure {
  readonly concern: ConcernName;
  readonly cause: Concern['cause'];
  readonly class: FailureDetail['class'];
  readonly code: string;
  readonly message: string;
  readonly at: number;
  readonly seq: number;
  /** The attempt or life was short; only quick failures back off. */
  readonly quick: boolean;
  readonly operation: string | null;
  readonly attempt: number | null;
  /** Its cause was counted before; this only says more about it. */
  readonly counted: boolean;
}

const FRESH: Concern = {
  failures: 0,
  streak: 0,
  conflicts: 0,
  notBefore: 0,
  gaveUpAt: null,
  terminal: false,
  cause: 'operation',
  failedAt: 0,
  seq: 0,
  error: null,
};

export const concernOf = (inst: Instance, name: ConcernName): Concern => inst.concerns[name] ?? FRESH;

/** Wait before the next attempt after `streak` quick failures in a row, ms. */
function backoffMs(uid: string, concern: ConcernName, streak: number): number {
  if (streak <= 1) return 0;
  const raw = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(streak - 2, 30));
  return Math.round(raw * (1 + BACKOFF_JITTER * (2 * jitter(uid, concern, streak) - 1)));
}

/** Folds one failure into its concern. `giveUpAfter` is the policy's; `stop` never gives up. */
export function recordFailure(inst: Instance, failure: Failure, giveUpAfter: number): void {
  const before = concernOf(inst, failure.concern);
  const conflicts = failure.class === 'conflict' ? before.conflicts + 1 : 0;
  const counts = !failure.counted && (failure.class !== 'conflict' || conflicts >= CONFLICTS_BEFORE_TRANSIENT);
  const failures = before.failures + (counts ? 1 : 0);
  const streak = counts ? (failure.quick ? before.streak + 1 : 1) : before.streak;
  const tireless = failure.concern === 'stop';
  const terminal = failure.class === 'terminal' && !tireless;
  const gaveUp = terminal || (!tireless && counts && failures >= giveUpAfter);
  inst.concerns[failure.concern] = {
    failures,
    streak,
    conflicts,
    notBefore: counts ? failure.at + backoffMs(inst.uid, failure.concern, streak) : before.notBefore,
    gaveUpAt: gaveUp ? failure.at : before.gaveUpAt,
    terminal: terminal || before.terminal,
    cause: failure.counted ? before.cause : failure.cause,
    failedAt: failure.at,
    seq: failure.seq,
    error: {
      code: failure.code,
      message: failure.message.slice(0, MESSAGE_CHARS),
      at: failure.at,
      seq: failure.seq,
      operation: failure.operation,
      attempt: failure.attempt,
    },
  };
}

/** The concern succeeded for good: nothing of it is remembered. */
export function forgive(inst: Instance, name: ConcernName): void {
  delete inst.concerns[name];
}

/** Somebody asked to try again, or what is wanted changed: the count starts anew, the last error stays until a success. */
export function pardon(inst: Instance, name: ConcernName): void {
  const concern = inst.concerns[name];
  if (concern === undefined) return;
  if (concern.error === null) delete inst.concerns[name];
  else
    inst.concerns[name] = {
      ...FRESH,
      cause: concern.cause,
      failedAt: concern.failedAt,
      seq: concern.seq,
      error: concern.error,
    };
}

/** What made it give up is gone: it may act again, and the count stands. */
export function relent(inst: Instance, name: ConcernName): void {
  const concern = inst.concerns[name];
  if (concern !== undefined && concern.gaveUpAt !== null && !concern.terminal)
    inst.concerns[name] = { ...concern, gaveUpAt: null };
}

export function pardonAll(inst: Instance): void {
  for (const name of Object.keys(inst.concerns)) pardon(inst, name);
}

/** An operation of the concern succeeded. The error of a repeated failure stays until it is forgiven (`forgive`). */
export function recordSuccess(inst: Instance, name: ConcernName): void {
  const concern = inst.concerns[name];
  if (concern === undefined) return;
  const proved = name !== 'run';
  if (proved || concern.failures === 0) forgive(inst, name);
  else if (concern.conflicts > 0) inst.concerns[name] = { ...concern, conflicts: 0 };
}
