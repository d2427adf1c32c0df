/**
 * What carries this deployment's label and nobody declares. Listed always, removed only on the operator's word, with the
 * number that the operator saw, on record with who asked, and never when more than half of what is seen is unrecognised: then it is rather us who
 * have forgotten (a restored old log, L53).
 */
import { LEASE_MS } from '../limits.ts';
import { wordsOf } from '../../core/error-words.ts';
import { DEFAULT_DEADLINE_MS } from '../../core/limits.ts';
import type { By } from '../../core/events.ts';
import type { Spec } from '../../core/model.ts';
import type { ListedResource } from '../../ports/target.ts';
import { Refusal, type Orphan } from '../api.ts';
import { withDeadline } from '../deadline.ts';
import type { TargetObserver } from '../observer.ts';
import type { World } from '../world.ts';
import { append, fleetOf } from './fleets.ts';

interface Found {
  readonly observer: TargetObserver;
  readonly item: ListedResource;
}

export function orphans(world: World, fleetName: string): readonly Orphan[] {
  return found(world, fleetName).map(viewOrphan);
}

const viewOrphan = ({ observer, item }: Found): Orphan => ({
  target: observer.name,
  fleet: item.fleet,
  instance: item.instance,
  uid: item.uid,
  ref: item.look.ref,
  state: item.look.state,
});

function found(world: World, fleetName: string): readonly Found[] {
  fleetOf(world, fleetName);
  return world.targets
    .all()
    .flatMap((observer) => observer.orphansOf(fleetName).orphans.map((item) => ({ observer, item })));
}

export async function pruneOrphans(
  world: World,
  fleetName: string,
  expected: number,
  by: By,
): Promise<readonly Orphan[]> {
  const all = found(world, fleetName);
  if (all.length !== expected) {
    throw new Refusal(
      'conflict',
      'orphan-count',
      `there are ${all.length} orphans now, not ${expected}; look at them again first`,
    );
  }
  // By target: what is known on one engine says nothing of another, whose log may be the older.
  for (const observer of world.targets.all()) {
    const { orphans: unknown, recognised } = observer.orphansOf(fleetName);
    if (unknown.length <= recognised) continue;
    const message = `target "${observer.name}" shows ${unknown.length} orphans, and only ${recognised} resources that are recognised: this looks as if the log were older than the world, so nothing is removed`;
    throw new Refusal('conflict', 'mostly-orphans', message);
  }
  for (const one of all) {
    await removeOrphan(world, fleetName, one);
    const { target, instance, uid, ref } = viewOrphan(one);
    const data = { target, instance, uid, ref };
    await append(world, fleetOf(world, fleetName), [{ type: 'orphan.removed', data, by }]);
  }
  return all.map(viewOrphan);
}

async function removeOrphan(world: World, fleet: string, { observer, item }: Found): Promise<void> {
  const deadlineMs = observer.target.traits.deadlinesMs.destroy ?? DEFAULT_DEADLINE_MS;
  const subject = {
    fleet,
    instance: item.instance,
    uid: item.uid,
    generation: 0,
    spec: unknownSpec(observer),
    infraHash: item.look.infra ?? '',
    configHash: null,
    env: {},
  };
  try {
    await withDeadline(world.clock, deadlineMs + LEASE_MS, `removing orphan ${item.instance}`, (signal) =>
      observer.target.destroy(subject, { data: 'keep' }, signal),
    );
  } catch (error) {
    const message = wordsOf(error);
    throw new Refusal(
      'unavailable',
      'orphan-not-removed',
      `orphan ${item.instance} (${item.uid}) on target "${observer.name}" could not be removed: ${message}. Those before it are gone; look at the list again`,
    );
  } finally {
    observer.lookSoon();
  }
}

/** Nothing is known of how it was declared; a target destroys by uid. */
function unknownSpec(observer: TargetObserver): Spec {
  return {
    target: observer.name,
    targetType: observer.target.traits.type,
    lifecycle: 'hot',
    labels: {},
    idleAfterMs: null,
    onComplete: 'restart',
    onDelete: 'keep',
    run: {},
    health: null,
    heartbeat: null,
    config: null,
    plugins: [],
    expose: [],
    onSilent: null,
    onDegraded: null,
    drift: null,
  };
}
