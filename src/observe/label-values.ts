/**
 * Every value that a label may have. Complete by the compiler (a reason that is added to the model and not here is an error),
 * so that each series is there at zero before anything happens, and none but these ever is.
 */
import { INVARIANTS } from '../core/invariants.ts';
import { PHASES, type FlapKind, type HoldReason, type MarkKind, type OperationKind } from '../core/model.ts';

const all = <T extends string>(values: Record<T, 0>): readonly T[] => Object.keys(values) as T[];

export const OPERATIONS = all<OperationKind>({
  provision: 0,
  start: 0,
  stop: 0,
  sleep: 0,
  restart: 0,
  update: 0,
  destroy: 0,
  'apply-config': 0,
  'persist-config': 0,
  'install-plugin': 0,
  'uninstall-plugin': 0,
  probe: 0,
});

const MARKS = all<MarkKind>({
  abort: 0,
  abandon: 0,
  forget: 0,
  forgive: 0,
  'rollout-proved': 0,
  'rollout-failed': 0,
  'rollout-left': 0,
});

const HOLDS = all<HoldReason>({
  unsynced: 0,
  'target-stale': 0,
  'target-refused': 0,
  quarantined: 0,
  conflict: 0,
  'operator-hold': 0,
  breaker: 0,
  'blast-radius': 0,
  backoff: 0,
  'gave-up': 0,
  rollout: 0,
  'rollout-failed': 0,
  budget: 0,
  busy: 0,
  predecessor: 0,
  fault: 0,
});

const FLAPS = all<FlapKind>({
  process_exited: 0,
  container_stopped: 0,
  container_missing: 0,
  instance_terminated: 0,
  instance_stopped: 0,
});

/** What keeps a whole target from being acted on. */
export type Trouble = 'unsynced' | 'stale' | 'refused' | 'breaker' | 'blast-radius';
export const TROUBLES = all<Trouble>({ unsynced: 0, stale: 0, refused: 0, breaker: 0, 'blast-radius': 0 });

export type EffectOutcome = 'attempted' | 'succeeded' | 'failed';

/** By label; a label that is not here (fleet, target, instance) has the values that are declared. */
export const VALUES = {
  action: [...OPERATIONS, ...MARKS],
  operation: OPERATIONS,
  outcome: all<EffectOutcome>({ attempted: 0, succeeded: 0, failed: 0 }),
  invariant: INVARIANTS.map(({ number }) => String(number)),
  flap: FLAPS,
  hold: HOLDS,
  phase: PHASES,
  written: all<'yes' | 'no'>({ yes: 0, no: 0 }),
} as const;
