/**
 * Is the agent alive, as far as its spec lets us know? Ages are not judged here: silence is a fact.
 */
import { DEFAULT_SILENT_AFTER_MS, DEFAULT_START_GRACE_MS } from './limits.ts';
import type { Instance } from './model.ts';

/** `awaited`: declared, and not heard since the present life began. */
export type Liveness = 'undeclared' | 'awaited' | 'live' | 'silent';

export function livenessOf(inst: Instance): Liveness {
  const { heartbeat, health } = inst.spec;
  if (heartbeat === null && health === null) return 'undeclared';
  const agent = inst.agent;
  if (agent === null) return 'awaited';
  const awaited = (heartbeat !== null && agent.heard === 'never') || (health !== null && agent.health === 'unasked');
  const silent = (heartbeat !== null && agent.heard === 'silent') || (health !== null && agent.health === 'failing');
  return silent ? 'silent' : awaited ? 'awaited' : 'live';
}

export const startGraceMs = (inst: Instance): number =>
  Math.max(inst.spec.heartbeat?.startGraceMs ?? 0, inst.spec.health?.startGraceMs ?? 0) || DEFAULT_START_GRACE_MS;

export const silentAfterMs = (inst: Instance): number =>
  Math.max(inst.spec.heartbeat?.silentAfterMs ?? 0, inst.spec.health?.silentAfterMs ?? 0) || DEFAULT_SILENT_AFTER_MS;
