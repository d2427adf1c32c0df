/**
 * Applying a manifest: read it whole, plan it against the fleet, write what changes in one append, all or nothing.
 *
 * The plan is made on the state at the head of the log and appended only if the head is still there; so two people who
 * apply at once never mix (the second is planned again on the first's result).
 */
import { wordsOf } from '../../core/error-words.ts';
import type { NewEvent } from '../../core/events.ts';
import type { ManifestContext } from '../../core/manifest/context.ts';
import { planManifest, type Plan } from '../../core/manifest/plan.ts';
import { instanceLine, readManifest, type Manifest } from '../../core/manifest/read.ts';
import type { FleetState } from '../../core/model.ts';
import { secretVersions } from '../../core/secrets.ts';
import { StoreError } from '../../ports/store.ts';
import { Refusal, type ApplyAsk, type ApplyResult } from '../api.ts';
import type { World } from '../world.ts';
import { append, upToDate } from './fleets.ts';
import { retainedFor } from './volumes.ts';
import { emptyState } from '../../core/evolve.ts';

/** Tries before giving in to a log that never stands still. */
const MAX_TRIES = 10;

export async function apply(world: World, fleetName: string | null, ask: ApplyAsk): Promise<ApplyResult> {
  let context = contextOf(world, fleetName, world.runtime.fleet(fleetName ?? '')?.loop.state ?? null);
  let manifest = read(ask.text, context);
  for (let attempt = 1; ; attempt += 1) {
    const fleet = ask.dryRun ? world.runtime.fleet(manifest.fleet) : await world.runtime.ensure(manifest.fleet);
    if (fleet !== null) await upToDate(fleet, 0);
    const state = fleet?.loop.state ?? emptyState(manifest.fleet);
    if (!sameVersions(context.secrets, secretVersions(state))) {
      context = contextOf(world, fleetName, state);
      manifest = read(ask.text, context);
    }
    const plan = planned(state, manifest, ask, context, await retainedFor(world, state, manifest));
    if (ask.dryRun || fleet === null) return answer(ask, manifest, plan, state.seq);
    const events = eventsOf(world, state, manifest, plan, ask);
    if (events.length === 0) return answer(ask, manifest, plan, state.seq);
    try {
      const written = await append(world, fleet, events, state.seq);
      return answer(ask, manifest, plan, written[written.length - 1]?.seq ?? state.seq);
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'conflict') throw error;
      if (attempt >= MAX_TRIES)
        throw new Refusal(
          'unavailable',
          'busy',
          `fleet "${manifest.fleet}" changed each of the ${MAX_TRIES} times this was tried; nothing was applied, try again`,
        );
      // Somebody was quicker: fold what they wrote before planning again.
      await fleet.loop
        .peek(() => undefined)
        .catch((failed: unknown) => {
          throw new Refusal('unavailable', 'log-not-readable', `nothing was applied: ${wordsOf(failed)}`);
        });
    }
  }
}

/** Secrets count with the version that they have at the head of the log. */
function contextOf(world: World, fleetName: string | null, state: FleetState | null): ManifestContext {
  return {
    targets: world.targetTypes,
    channels: world.channels,
    secrets: state === null ? new Map<string, number>() : secretVersions(state),
    // Before the fleet is known nothing can be missed; it is read again when it is.
    unsetSecrets: fleetName === null && state === null ? 'allow' : 'refuse',
    revealed: (text) => world.vault.redactor.find(text),
    plugins: world.pluginPolicy,
    allowRelative: false,
    ...(fleetName !== null && { fleet: fleetName }),
  };
}

function read(text: string, context: ManifestContext): Manifest {
  const found = readManifest(text, context);
  if (found.ok) return found.manifest;
  const errors = found.errors.map(({ path, line, message }) => ({ path, line, message }));
  throw new Refusal(
    'invalid',
    'manifest',
    `the manifest has ${errors.length === 1 ? 'an error' : `${errors.length} errors`}; nothing was applied`,
    errors,
  );
}

function sameVersions(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): boolean {
  return before.size === now.size && [...now].every(([name, version]) => before.get(name) === version);
}

function planned(
  state: FleetState,
  next: Manifest,
  ask: ApplyAsk,
  context: ManifestContext,
  retained: ReadonlyMap<string, readonly string[]>,
): Plan {
  if (ask.ifMatch !== null && ask.ifMatch !== (state.revision ?? '')) {
    throw new Refusal(
      'stale-revision',
      'revision',
      `the manifest is at revision ${state.revision ?? '(none)'}, not at ${ask.ifMatch}; read it again before you change it`,
    );
  }
  const current = new Map(
    [...state.names].flatMap(([name, uid]) => {
      const inst = state.instances.get(uid);
      return inst === undefined ? [] : [[name, inst] as const];
    }),
  );
  const plan = planManifest({
    current,
    currentPolicy: state.revision === null ? null : state.policy,
    previous: state.manifest,
    next,
    context,
    replace: ask.replace,
    prune: ask.prune,
    retained,
  });
  if (plan.problems.length > 0 && !ask.dryRun) {
    const errors = plan.problems.map(({ instance, message }) => ({
      path: instance === null ? 'instances' : `instances.${instance}`,
      line: instance === null ? null : instanceLine(ask.text, instance),
      message,
    }));
    throw new Refusal(
      'conflict',
      plan.problems[0]?.kind ?? 'conflict',
      plan.problems.map(({ message }) => message).join('; '),
      errors,
    );
  }
  return plan;
}

function eventsOf(world: World, state: FleetState, manifest: Manifest, plan: Plan, ask: ApplyAsk): readonly NewEvent[] {
  const { by } = ask;
  const { revision } = manifest;
  const events: NewEvent[] = [];
  if (revision !== state.revision)
    events.push({ type: 'manifest.applied', data: { revision, manifest: manifest.normalised }, by });
  if (plan.policy.changed) events.push({ type: 'policy.changed', data: { policy: plan.policy.policy }, by });
  for (const { name, result, apply: change } of plan.results) {
    const uid = state.names.get(name);
    const inst = uid === undefined ? undefined : state.instances.get(uid);
    if (result === 'pruned' && inst !== undefined) events.push(deletion(inst.uid, name, inst.spec.onDelete, true, ask));
    if (change === null) continue;
    const { spec, hashes, generation } = change;
    const fresh = change.uid === 'new';
    // Moved to another target: the old one goes, as its own onDelete says.
    if (fresh && inst !== undefined && inst.desired !== 'deleted')
      events.push(deletion(inst.uid, name, inst.spec.onDelete, false, ask));
    const target = fresh ? world.newId() : (inst?.uid ?? world.newId());
    events.push({
      type: 'spec.applied',
      instance: name,
      uid: target,
      data: { spec, hashes, generation, revision },
      by,
    });
  }
  return events;
}

const deletion = (uid: string, instance: string, data: 'keep' | 'delete', prune: boolean, ask: ApplyAsk): NewEvent => ({
  type: 'spec.deleted',
  instance,
  uid,
  data: { data, forget: false, prune },
  by: ask.by,
});

function answer(ask: ApplyAsk, manifest: Manifest, plan: Plan, seq: number): ApplyResult {
  const results = plan.results.map(({ name, result, effect, because, diff, note }) => ({
    name,
    result,
    effect,
    because,
    diff,
    note,
  }));
  const problems = plan.problems.map(({ instance, message }) => ({ instance, message }));
  return { dryRun: ask.dryRun, revision: manifest.revision, seq, results, problems };
}
