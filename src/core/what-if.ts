/**
 * What a replay may be asked to change, and what it must refuse: the policy is judged by decisions and can be another; what
 * whoever watched judged by it (ages, above all) is baked into the recorded facts and cannot.
 */
import { eventProblem } from './event-shapes.ts';
import type { EventData, StoredEvent } from './events.ts';
import { DEFAULT_POLICY, type JsonObject, type Policy } from './model.ts';

export type Edit = { readonly drop: number } | { readonly seq: number; readonly data: JsonObject };

export const editedSeq = (edit: Edit): number => ('drop' in edit ? edit.drop : edit.seq);

const POLICY_KEYS: ReadonlySet<string> = new Set(Object.keys(DEFAULT_POLICY));
const ROLLOUT_KEYS: ReadonlySet<string> = new Set(Object.keys(DEFAULT_POLICY.rollout));
/** Times that observers and heartbeat watchers judge; decisions only ever see what they found. */
const BAKED = /^(silentAfter|every|startGrace|sweepEvery|sweepDeadline|deadlines?|grace)(Ms)?$/;

/** Why these changes cannot be tried on a replay that begins after `seq`; null when they can. */
export function refusal(policy: Partial<Policy>, edits: readonly Edit[], seq: number): string | null {
  const keys = [...Object.keys(policy), ...Object.keys(policy.rollout ?? {}).map((key) => `rollout.${key}`)];
  for (const key of keys) {
    const name = key.replace('rollout.', '');
    if (key === name ? POLICY_KEYS.has(key) : ROLLOUT_KEYS.has(name)) continue;
    return keyRefusal(key, [...POLICY_KEYS]);
  }
  const edited = new Set<number>();
  for (const edit of edits) {
    const at = editedSeq(edit);
    if (at <= seq) return `event ${at} cannot be edited: the replay begins after event ${seq}`;
    if (edited.has(at)) return `event ${at} is edited twice`;
    edited.add(at);
  }
  return null;
}

/** Why there is no trying `key`, which is none of the policy's own keys. */
export function keyRefusal(key: string, known: readonly string[]): string {
  return BAKED.test(key.replace('rollout.', ''))
    ? `"${key}" cannot be tried: it is judged by whoever watches, and what came of it is baked into the recorded facts`
    : `"${key}" is no part of the policy; it holds ${known.join(', ')}`;
}

/** Why this event cannot be edited so; null when it can. */
export function editRefusal(event: StoredEvent, edit: Edit): string | null {
  if (event.type === 'tick.decided' || event.type === 'flap.observed') {
    return `event ${event.seq} is a decision (${event.type}); edit the facts, decisions follow from them`;
  }
  if ('drop' in edit) return null;
  const problem = eventProblem(event.type, event.v, edit.data);
  if (problem !== null) return `event ${event.seq} cannot be edited so: ${problem}`;
  return event.type === 'spec.applied' ? bakedIntoSpec(event, edit.data as unknown as EventData['spec.applied']) : null;
}

function bakedIntoSpec(
  event: StoredEvent & { type: 'spec.applied' },
  { spec }: EventData['spec.applied'],
): string | null {
  const before = event.data.spec;
  const baked: readonly (readonly [what: string, same: boolean])[] = [
    ['target', spec.target === before.target && spec.targetType === before.targetType],
    ['heartbeat.silentAfter', spec.heartbeat?.silentAfterMs === before.heartbeat?.silentAfterMs],
    ['heartbeat.every', spec.heartbeat?.everyMs === before.heartbeat?.everyMs],
    [
      'health',
      JSON.stringify({ ...spec.health, startGraceMs: 0 }) === JSON.stringify({ ...before.health, startGraceMs: 0 }),
    ],
  ];
  const changed = baked.find(([, same]) => !same);
  if (changed === undefined) return null;
  return `event ${event.seq} cannot be edited so: "${changed[0]}" was used by those who watched, and is baked into the facts that follow`;
}

/** The recorded policy with the tried one over it. */
export const triedPolicy = (recorded: Policy, tried: Partial<Policy>): Policy => ({
  ...recorded,
  ...tried,
  rollout: { ...recorded.rollout, ...tried.rollout },
});
