/**
 * What applying a manifest would do to each instance, decided before anything is written; `diff` and `apply` are the
 * same call.
 *
 * Promises:
 *  1. Every instance, declared or living, has a result: what is no longer in the file is named, never passed over (L56).
 *  2. What nobody edited keeps its recorded spec and hashes, whatever this build would make of it today (L78).
 *  3. A changed target without `replace`, a prune without the right count, and a name whose data outlived an earlier instance
 *     without `reuseData` (L80) are problems; nothing may then be applied.
 */
import { canonicalJson, hashMatches } from '../hash.ts';
import type { Desired, Json, Policy, Spec, SpecHashes } from '../model.ts';
import { carryOver, carryPolicy, declaredIn } from './carry.ts';
import type { ManifestContext, TargetTypeInfo } from './context.ts';
import { declaredConfigHash, infraPart, specHashes } from './hashes.ts';
import { listNames } from './problems.ts';
import type { Manifest, ManifestInstance } from './read.ts';
import { differences, policyInWords, specInWords } from './words.ts';
import type { Difference } from './words.ts';

/** An instance as it is in the fleet now; `name`s whose deletion was asked may be left out or be `deleted`. */
export interface CurrentInstance {
  readonly spec: Spec;
  readonly hashes: SpecHashes;
  readonly generation: number;
  readonly desired: Desired;
}

export interface PlanInput {
  readonly current: ReadonlyMap<string, CurrentInstance>;
  /** null: the fleet has no policy yet. */
  readonly currentPolicy: Policy | null;
  /** The manifest as last applied, normalised (`FleetState.manifest`); null when there was none. */
  readonly previous: Json;
  readonly next: Manifest;
  readonly context: Pick<ManifestContext, 'targets' | 'channels' | 'secrets'>;
  /** May an instance be replaced by a new one on another target? */
  readonly replace: boolean;
  /** How many instances the operator expects to be deleted; null: none are asked to be. */
  readonly prune: number | null;
  /** Data that earlier instances left, by name: what it is called where it is. */
  readonly retained?: ReadonlyMap<string, readonly string[]>;
}

export type PlanResult = 'created' | 'updated' | 'unchanged' | 'pruned' | 'undeclared';
export type PlanEffect = 'none' | 'config' | 'restart' | 'recreate' | 'delete';

export interface PlannedInstance {
  readonly name: string;
  readonly result: PlanResult;
  /** The strongest thing that this does to what runs. */
  readonly effect: PlanEffect;
  /** Paths that made the difference. */
  readonly because: readonly string[];
  readonly diff: readonly Difference[];
  /** What a person should know besides; null: nothing. */
  readonly note: string | null;
  /** What to record in `spec.applied`; null: nothing. `uid: new` starts another incarnation at generation 1. */
  readonly apply: {
    readonly spec: Spec;
    readonly hashes: SpecHashes;
    readonly generation: number;
    readonly uid: 'same' | 'new';
  } | null;
}

export interface PlanProblem {
  readonly kind: 'target-immutable' | 'prune-count' | 'retained-data';
  /** null: about the manifest as a whole. */
  readonly instance: string | null;
  readonly message: string;
}

export interface Plan {
  readonly results: readonly PlannedInstance[];
  readonly policy: { readonly policy: Policy; readonly changed: boolean; readonly diff: readonly Difference[] };
  /** Conflicts (409): while there is one, nothing may be applied. */
  readonly problems: readonly PlanProblem[];
  /** Applying it would change nothing and leaves nothing undeclared. */
  readonly same: boolean;
}

export function planManifest(input: PlanInput): Plan {
  const { next } = input;
  const living = new Map([...input.current].filter(([, instance]) => instance.desired !== 'deleted'));
  const problems: PlanProblem[] = [];
  const results: PlannedInstance[] = [];
  for (const name of [...new Set([...living.keys(), ...next.specs.keys()])].sort()) {
    const current = living.get(name);
    const declared = next.specs.get(name);
    if (declared === undefined) results.push(planUndeclared(name, input.prune !== null));
    else if (current === undefined) results.push(planCreated(name, declared));
    else results.push(planDeclared(name, current, declared, input, problems));
    if (declared !== undefined && results.at(-1)?.apply?.uid === 'new')
      checkRetained(name, declared.spec, input, problems);
  }
  checkPrune(results, input.prune, problems);
  const policy = planPolicy(input);
  const same = !policy.changed && results.every(({ result }) => result === 'unchanged');
  return { results, policy, problems, same };
}

// ── one instance ────────────────────────────────────────────────────────────────────────────────────────────────────

function planCreated(name: string, { spec, hashes }: ManifestInstance): PlannedInstance {
  const apply = { spec, hashes, generation: 1, uid: 'new' as const };
  return { name, result: 'created', effect: 'none', because: [], diff: [], note: null, apply };
}

function planUndeclared(name: string, pruned: boolean): PlannedInstance {
  const rest = { name, because: ['instances'], diff: [], apply: null };
  return pruned
    ? { ...rest, result: 'pruned', effect: 'delete', note: null }
    : {
        ...rest,
        result: 'undeclared',
        effect: 'none',
        note: 'no longer in the manifest, and kept: prune or delete it, or declare it again',
      };
}

function planDeclared(
  name: string,
  current: CurrentInstance,
  declared: ManifestInstance,
  input: PlanInput,
  problems: PlanProblem[],
): PlannedInstance {
  const { context } = input;
  if (current.spec.target !== declared.spec.target || current.spec.targetType !== declared.spec.targetType) {
    return planMoved(name, current, declared, input.replace, problems);
  }
  const before = declaredIn(input.previous, name);
  const after = declaredIn(input.next.normalised, name);
  // Not in the last manifest: what its spec was frozen from is not known, so the frozen results are compared.
  const spec = before === null ? declared.spec : carryOver(current.spec, declared.spec, before, after);
  const type = context.targets.get(spec.target)!;
  const hashes = keptHashes(current, spec, type, context);
  const diff = differences(specInWords(current.spec), specInWords(spec));
  const rotated = hashes.config !== current.hashes.config && sameConfig(current.spec, spec);
  const because = [...diff.map(({ path }) => path), ...(rotated ? ['config.value'] : [])];
  const note = noteOf(current, rotated);
  if (because.length === 0) return { name, result: 'unchanged', effect: 'none', because, diff, note, apply: null };
  const effect = effectOf(current, spec, hashes, type, context);
  const apply = { spec, hashes, generation: current.generation + 1, uid: 'same' as const };
  return { name, result: 'updated', effect, because, diff, note, apply };
}

function planMoved(
  name: string,
  current: CurrentInstance,
  declared: ManifestInstance,
  replace: boolean,
  problems: PlanProblem[],
): PlannedInstance {
  const { spec: from } = current;
  const { spec: to, hashes } = declared;
  if (!replace) {
    const where = (spec: Spec): string => `"${spec.target}" (${spec.targetType})`;
    problems.push({
      kind: 'target-immutable',
      instance: name,
      message: `${name} lives on target ${where(from)} and cannot move to ${where(to)}: say replace to delete it there and create a new one, or declare it under another name`,
    });
  }
  const diff = differences(specInWords(from), specInWords(to));
  const because = diff.map(({ path }) => path).filter((path) => path === 'target' || path === 'targetType');
  const apply = { spec: to, hashes, generation: 1, uid: 'new' as const };
  const note = 'another target: the old one is deleted as its onDelete says, and a new one created';
  return { name, result: 'updated', effect: 'recreate', because, diff, note, apply: replace ? apply : null };
}

/**
 * The recorded hash for every part that did not change. Both sides of the comparison are made by this build, so neither
 * another way of hashing nor another idea of what belongs to infra can look like a change (L78).
 */
function keptHashes(
  current: CurrentInstance,
  spec: Spec,
  type: TargetTypeInfo,
  context: PlanInput['context'],
): SpecHashes {
  const fresh = specHashes(spec, type, context.secrets);
  return {
    infra: sameInfra(current.spec, spec, type) ? current.hashes.infra : fresh.infra,
    config: keepsConfigHash(current, spec, context) ? current.hashes.config : fresh.config,
  };
}

function keepsConfigHash(current: CurrentInstance, spec: Spec, context: PlanInput['context']): boolean {
  const recorded = current.hashes.config;
  if (!sameConfig(current.spec, spec) || recorded === null) return false;
  const { config } = spec;
  return config === null || hashMatches(recorded, (version) => declaredConfigHash(config, context.secrets, version));
}

function effectOf(
  current: CurrentInstance,
  spec: Spec,
  hashes: SpecHashes,
  type: TargetTypeInfo,
  context: PlanInput['context'],
): PlanEffect {
  if (hashes.infra !== current.hashes.infra) return type.infraEffect ?? 'recreate';
  const pluginsDiffer = canonicalJson(pluginsOf(current.spec)) !== canonicalJson(pluginsOf(spec));
  if (hashes.config === current.hashes.config) return pluginsDiffer ? 'config' : 'none';
  const channel = spec.config === null ? undefined : context.channels.get(spec.config.channel);
  return (spec.config === null ? undefined : channel?.effect?.(spec.config.settings)) ?? 'config';
}

function noteOf(current: CurrentInstance, rotated: boolean): string | null {
  const notes: string[] = [];
  if (rotated) notes.push('a secret in its config has another version than the one recorded');
  if (current.desired === 'stopped') notes.push('stopped by an operator: it stays stopped until it is resumed');
  return notes.length === 0 ? null : notes.join('; ');
}

function sameInfra(before: Spec, after: Spec, type: TargetTypeInfo): boolean {
  return canonicalJson(infraPart(before, type)) === canonicalJson(infraPart(after, type));
}

function sameConfig(before: Spec, after: Spec): boolean {
  return canonicalJson(asJson(before.config)) === canonicalJson(asJson(after.config));
}

function pluginsOf(spec: Spec): Json {
  return spec.plugins.map(asJson);
}

/** Interfaces are no index types to the compiler; these hold JSON only. */
function asJson(value: object | null): Json {
  return value as Json;
}

/** Whoever comes after must not find what was another's, unless somebody says that it is meant for them (L80). */
function checkRetained(name: string, spec: Spec, { retained }: PlanInput, problems: PlanProblem[]): void {
  const left = retained?.get(name) ?? [];
  if (left.length === 0 || spec.reuseData === true) return;
  problems.push({
    kind: 'retained-data',
    instance: name,
    message: `an earlier ${name} left data (${listNames(left)}): say "reuseData: true" if the new one may have it, delete it with "holdfast volumes rm", or choose another name`,
  });
}

// ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────

function checkPrune(results: readonly PlannedInstance[], expected: number | null, problems: PlanProblem[]): void {
  if (expected === null) return;
  const pruned = results.filter(({ result }) => result === 'pruned').map(({ name }) => name);
  if (pruned.length === expected) return;
  const which = pruned.length === 0 ? '' : `: ${listNames(pruned)}`;
  problems.push({
    kind: 'prune-count',
    instance: null,
    message: `prune expects to delete ${expected}, but ${pruned.length} would be deleted${which}`,
  });
}

function planPolicy(input: PlanInput): Plan['policy'] {
  const { currentPolicy, next, previous } = input;
  const policy = carryPolicy(currentPolicy, next.policy, previous, next.normalised);
  const diff = currentPolicy === null ? [] : differences(policyInWords(currentPolicy), policyInWords(policy));
  return { policy, changed: currentPolicy === null || diff.length > 0, diff };
}
