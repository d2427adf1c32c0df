/**
 * Whether an instance has become what was declared, judged from what the API shows of it. The same judgement as the
 * server's for `?wait=`, plus two things that only somebody who has just applied must look at:
 *
 *  1. RUNNING counts only with the declared spec and config in force: what is shown may be older than what was applied.
 *  2. Where nothing declares liveness, RUNNING counts once it has lasted: a crash at start takes a moment.
 */
import type { HoldReason } from '../core/model.ts';
import type { InstanceView } from '../runtime/api.ts';

export type Verdict = 'settled' | 'failed' | 'held' | 'proving' | 'working';

/** Holds that end by themselves before long; behind the others it is no use to wait. */
const PASSING: ReadonlySet<string> = new Set<HoldReason>([
  'unsynced',
  'backoff',
  'rollout',
  'budget',
  'busy',
  'predecessor',
]);

/** `proving`: as declared, but only for as long as it stays so. */
export function verdictOf(view: InstanceView): Verdict {
  if (view.desired === 'deleted' || view.operation !== null) return 'working';
  if (view.hold !== null && !PASSING.has(view.hold.reason)) return view.hold.reason === 'gave-up' ? 'failed' : 'held';
  switch (view.phase) {
    case 'RUNNING':
      if (!asDeclared(view)) return 'working';
      return live(view) ? 'settled' : 'proving';
    case 'SLEEPING':
    case 'STOPPED':
      return 'settled';
    case 'ERROR':
      return 'failed';
    case 'DEGRADED':
      return view.hold === null && view.lastError !== null ? 'failed' : 'working';
    case 'CREATING':
    case 'OFFLINE':
      // External: what is awaited is its own heartbeat, and nothing that Holdfast does.
      return view.targetType === 'external' ? 'settled' : 'working';
    case 'PENDING':
    case 'RECONCILING':
    case 'UNKNOWN':
    case 'DELETING':
      return 'working';
  }
}

function asDeclared({ hashes, targetType }: InstanceView): boolean {
  const { infra, config } = hashes;
  // What runs elsewhere is not ours to provision: nothing is ever applied.
  const same = targetType === 'external' || infra.declared === infra.applied;
  return same && (config.declared === null || config.declared === config.applied);
}

function live({ conditions }: InstanceView): boolean {
  return conditions.some(({ type, status }) => type === 'AgentLive' && status === 'true');
}
