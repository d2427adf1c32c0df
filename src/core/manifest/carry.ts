/**
 * Re-applying what was declared before must not bring in what only Holdfast changed (L78). So a section that reads as it
 * did in the last manifest keeps what was frozen then, be the defaults of this build what they may; only a section that
 * somebody edited is frozen anew. "Reads as it did" compares the two declared documents, not the frozen results.
 */
import { canonicalJson } from '../hash.ts';
import type { Json, JsonObject, Policy, Spec } from '../model.ts';
import { freezePolicy } from './freeze.ts';
import { policySchema } from './schema.ts';

/** Section of the manifest → what it becomes in the spec. */
const SECTIONS: { readonly [section: string]: keyof Spec } = {
  lifecycle: 'lifecycle',
  labels: 'labels',
  idleAfter: 'idleAfterMs',
  onComplete: 'onComplete',
  onDelete: 'onDelete',
  reuseData: 'reuseData',
  run: 'run',
  health: 'health',
  heartbeat: 'heartbeat',
  config: 'config',
  plugins: 'plugins',
  expose: 'expose',
  onSilent: 'onSilent',
  onDegraded: 'onDegraded',
  drift: 'drift',
};

/** The new spec with every section that nobody edited as it was frozen before. */
export function carryOver(before: Spec, after: Spec, declaredBefore: Json, declaredAfter: Json): Spec {
  if (before.target !== after.target || before.targetType !== after.targetType) return after;
  if (canonicalJson(declaredBefore) === canonicalJson(declaredAfter)) return before;
  const carried: { [key: string]: unknown } = { ...after };
  for (const [section, key] of Object.entries(SECTIONS)) {
    // An older log may hold specs without a key that this build has; then there is nothing to keep.
    if (sameSection(section, declaredBefore, declaredAfter) && key in before) carried[key] = before[key];
  }
  return carried as unknown as Spec;
}

/** The declared instance of a normalised manifest; null when it was not in it. */
export function declaredIn(normalised: Json, name: string): Json {
  return section(section(normalised, 'instances'), name);
}

/** The policy, in which what nobody edited is as it was. */
export function carryPolicy(
  before: Policy | null,
  after: Policy,
  normalisedBefore: Json,
  normalisedAfter: Json,
): Policy {
  if (before === null || normalisedBefore === null) return after;
  const declaredBefore = section(normalisedBefore, 'policy');
  const declaredAfter = section(normalisedAfter, 'policy');
  const readable = policySchema.safeParse(declaredBefore);
  if (!readable.success) return after;
  if (canonicalJson(declaredBefore) === canonicalJson(declaredAfter)) return before;
  // Edited: what changed between the two readings of this build is the edit; the rest stays as it was.
  const then = freezePolicy(readable.data);
  return {
    ...edited(before, then, after),
    rollout: edited(before.rollout, then.rollout, after.rollout),
  };
}

function edited<T extends object>(before: T, then: T, now: T): T {
  const result: T = { ...now };
  for (const key of Object.keys(now) as (keyof T)[]) {
    if (then[key] === now[key] && key in before) result[key] = before[key];
  }
  return result;
}

function sameSection(name: string, before: Json, after: Json): boolean {
  return canonicalJson(section(before, name)) === canonicalJson(section(after, name));
}

function section(value: Json, name: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return null;
  return (value as JsonObject)[name] ?? null;
}
