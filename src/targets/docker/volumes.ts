/**
 * Data volumes. A volume is made once, empty, for an instance that never had it; from then on it is expected, and an instance
 * whose volume is gone is not started (`data_missing`). It outlives its container always, and its instance unless told. What an
 * earlier instance of that name left is taken over where the spec says `reuseData`, and else keeps the new one from being made:
 * neither may somebody inherit by having a name, nor begin empty beside data that was perhaps meant for it (L80).
 *
 * What an image itself declares as a volume is given a named one too: an anonymous one would stay behind at every update, and
 * the agent's data with it (L39).
 */
import type { VolumeInspectInfo } from 'dockerode';
import { TargetError, type RetainedVolume, type Subject, type VolumesAbility } from '../../ports/target.ts';
import { unlessStatus, type Engine } from './engine.ts';
import { dataMissing, terminal, transient } from './failure.ts';
import type { Image } from './images.ts';
import {
  deploymentIn,
  nameFilter,
  ownerIn,
  PLUGIN_VOLUME,
  scopeFilter,
  volumeKeyIn,
  volumeLabels,
  volumeName,
  volumePrefix,
  type Owner,
  type Scope,
} from './labels.ts';
import { CHANGE_MS } from './limits.ts';
import type { Records } from './records.ts';
import { runOf } from './run.ts';

export interface Mount {
  readonly volume: string;
  readonly path: string;
  /** What we put there; never filled from the image. */
  readonly readOnly?: true;
}

interface Wanted extends Mount {
  readonly key: string;
  readonly takenOver: boolean;
}

/** What is to be mounted where, all of it there. `held`: volumes that its present container has. */
export async function volumesFor(
  engine: Engine,
  scope: Scope,
  records: Records,
  subject: Subject,
  image: Image,
  held: readonly string[],
  signal: AbortSignal,
): Promise<readonly Mount[]> {
  const expected = new Set([...records.get(subject.uid).volumes, ...held]);
  const declared = wantedBy(scope, subject, image);
  const own = await Promise.all(declared.map((one) => inspect(engine, one.volume, signal)));
  const isNew = (one: Wanted, i: number): boolean => own[i] === null && !one.takenOver && !expected.has(one.volume);
  const earlier = declared.some(isNew) ? await earlierVolumes(engine, scope, subject, signal) : [];
  const wanted = declared.map((one, i) => (isNew(one, i) ? heirOf(scope, subject, one, expected, earlier) : one));
  const found = await Promise.all(
    wanted.map((one, i) =>
      one === declared[i] ? Promise.resolve(own[i] ?? null) : inspect(engine, one.volume, signal),
    ),
  );
  for (const [i, one] of wanted.entries()) {
    const there = found[i] ?? null;
    if (there === null && (one.takenOver || expected.has(one.volume)))
      throw dataMissing(`${subject.fleet}/${subject.instance}`, one.volume, null);
    if (there !== null) await refuseOthers(engine, scope, subject, there, signal);
  }
  // Only when nothing stands in the way: a refused declaration leaves nothing behind.
  for (const [i, one] of wanted.entries()) if (!found[i]) await create(engine, scope, subject, one, signal);
  records.put(subject.uid, { volumes: [...new Set([...expected, ...wanted.map(({ volume }) => volume)])].sort() });
  return wanted.map(({ volume, path }) => ({ volume, path }));
}

/** Removes what is the instance's own: by label, or taken over from a predecessor of the same name. Never others'. */
export async function removeVolumes(
  engine: Engine,
  scope: Scope,
  records: Records,
  subject: Subject,
  signal: AbortSignal,
): Promise<void> {
  const own = await list(engine, { label: scopeFilter(scope, subject.uid) }, signal);
  const declared = Object.values(runOf(subject.spec).volumes).flatMap(({ name }) => (name === null ? [] : [name]));
  const names = new Set(own.map(({ Name }) => Name));
  for (const name of [...declared, ...records.get(subject.uid).volumes]) {
    const owner = ownerIn((await inspect(engine, name, signal))?.Labels, scope);
    if (owner?.fleet === subject.fleet && owner.instance === subject.instance) names.add(name);
  }
  for (const name of names) await removeVolume(engine, name, signal);
}

/** What outlived its instance: volumes of this scope that no container holds. */
export function retainedVolumes(engine: Engine, scope: Scope): VolumesAbility {
  return {
    async retained(signal, how = { sizes: false }) {
      const filter = { label: scopeFilter(scope), dangling: ['true'] };
      const measured = how.sizes ? sizes(engine, signal) : Promise.resolve(new Map<string, number>());
      const [dangling, usage] = await Promise.all([list(engine, filter, signal), measured]);
      const found: RetainedVolume[] = [];
      for (const { Name, Labels } of dangling) {
        const owner = ownerIn(Labels, scope);
        if (owner === null) continue;
        const key = volumeKeyIn(Labels) ?? '';
        const plugins = key === PLUGIN_VOLUME && ({ plugins: true } as const);
        found.push({ name: Name, ...owner, key, ...plugins, sizeBytes: usage.get(Name) ?? null });
      }
      return found.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async remove(name, signal) {
      const there = await inspect(engine, name, signal);
      if (there !== null && ownerIn(there.Labels, scope) === null)
        throw terminal('volume-not-ours', `volume ${name} was not made by this deployment; it is not touched`);
      await removeVolume(engine, name, signal);
    },
  };
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function wantedBy(scope: Scope, subject: Subject, image: Image): readonly Wanted[] {
  const wanted: Wanted[] = Object.entries(runOf(subject.spec).volumes).map(([key, { path, name }]) => ({
    key,
    path,
    volume: name ?? volumeName(scope, subject, key),
    takenOver: name !== null,
  }));
  for (const path of image.volumePaths) {
    if (wanted.some((one) => one.path === path)) continue;
    // Declared keys have no dot.
    const key = `image${path.replace(/[^A-Za-z0-9]+/g, '.').replace(/\.$/, '')}`;
    wanted.push({ key, path, volume: volumeName(scope, subject, key), takenOver: false });
  }
  return wanted;
}

/** Of others who had this name, held by nobody any more. */
async function earlierVolumes(
  engine: Engine,
  scope: Scope,
  subject: Subject,
  signal: AbortSignal,
): Promise<readonly VolumeInspectInfo[]> {
  const named = await list(engine, { label: nameFilter(scope, subject), dangling: ['true'] }, signal);
  return named.filter(({ Labels }) => ownerIn(Labels, scope)?.uid !== subject.uid);
}

/** Where the data of one that has no volume of its own yet is: in one that it took over, in one that it may take over. */
function heirOf(
  scope: Scope,
  subject: Subject,
  one: Wanted,
  expected: ReadonlySet<string>,
  earlier: readonly VolumeInspectInfo[],
): Wanted {
  const prefix = volumePrefix(scope, subject, one.key);
  const taken = [...expected].find((name) => name.startsWith(prefix));
  if (taken !== undefined) return { ...one, volume: taken, takenOver: true };
  const left = earlier.filter(({ Labels }) => volumeKeyIn(Labels ?? {}) === one.key).map(({ Name }) => Name);
  const [first, ...more] = left.sort();
  if (first === undefined) return one;
  const { instance } = subject;
  if (subject.spec.reuseData !== true)
    throw terminal(
      'data_retained',
      `an earlier ${instance} left data in volume ${left.join(', ')}: say "reuseData: true" if the new one may have it, or delete it with "holdfast volumes rm"; it is neither inherited nor passed over unasked`,
    );
  if (more.length > 0)
    throw terminal(
      'data_ambiguous',
      `earlier ones called ${instance} left ${left.length} volumes of the key "${one.key}": ${left.join(', ')}. Delete those that are not meant with "holdfast volumes rm", or name one (run.volumes: { ${one.key}: { path, name } })`,
    );
  return { ...one, volume: first, takenOver: true };
}

/** A volume of another deployment or fleet, or one that somebody else's container holds, is not to be had by its name. */
async function refuseOthers(
  engine: Engine,
  scope: Scope,
  subject: Subject,
  volume: VolumeInspectInfo,
  signal: AbortSignal,
): Promise<void> {
  const owner = ownerIn(volume.Labels, scope);
  if (owner?.uid === subject.uid) return;
  const deployment = deploymentIn(volume.Labels ?? {});
  if (deployment !== null && (owner === null || owner.fleet !== subject.fleet)) {
    const whose = owner === null ? `deployment ${deployment}` : `fleet ${owner.fleet}`;
    throw terminal(
      'volume-taken',
      `volume ${volume.Name} belongs to ${whose}; ${subject.instance} cannot take it over`,
    );
  }
  const filters = JSON.stringify({ volume: [volume.Name] });
  const holders = await engine.ask<readonly { Names: string[]; Labels: { [name: string]: string } }[]>(
    {
      method: 'GET',
      path: '/containers/json',
      query: { all: true, filters },
      doing: `look who holds volume ${volume.Name}`,
    },
    signal,
  );
  const other = holders.find(({ Labels }) => ownerIn(Labels, scope)?.uid !== subject.uid);
  if (other) {
    const name = other.Names[0]?.slice(1) ?? '?';
    throw transient(
      'volume-in-use',
      `volume ${volume.Name} is held by container ${name}; two agents must not share one volume. Remove that container, or name another volume`,
    );
  }
}

async function create(
  engine: Engine,
  scope: Scope,
  owner: Owner,
  { key, volume }: Wanted,
  signal: AbortSignal,
): Promise<void> {
  const body = { Name: volume, Labels: volumeLabels(scope, owner, key) };
  await engine.ask(
    { method: 'POST', path: '/volumes/create', body, doing: `create volume ${volume}`, withinMs: CHANGE_MS },
    signal,
  );
}

const pathOf = (name: string): string => `/volumes/${encodeURIComponent(name)}`;

function inspect(engine: Engine, name: string, signal: AbortSignal): Promise<VolumeInspectInfo | null> {
  return engine.find<VolumeInspectInfo>(
    { method: 'GET', path: pathOf(name), doing: `look for volume ${name}` },
    signal,
  );
}

/** The engine refuses while a container holds it. */
async function removeVolume(engine: Engine, name: string, signal: AbortSignal): Promise<void> {
  await unlessStatus(
    engine.ask({ method: 'DELETE', path: pathOf(name), doing: `remove volume ${name}`, withinMs: CHANGE_MS }, signal),
    404,
  );
}

async function list(
  engine: Engine,
  filter: { readonly [name: string]: readonly string[] },
  signal: AbortSignal,
): Promise<readonly VolumeInspectInfo[]> {
  const query = { filters: JSON.stringify(filter) };
  const answer = await engine.ask<{ Volumes: readonly VolumeInspectInfo[] | null }>(
    { method: 'GET', path: '/volumes', query, doing: 'list volumes' },
    signal,
  );
  return answer.Volumes ?? [];
}

/** Measuring walks through every volume of the engine: where that takes too long, sizes are not known. */
async function sizes(engine: Engine, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
  try {
    const { Volumes } = await engine.ask<{ Volumes: readonly VolumeInspectInfo[] | null }>(
      { method: 'GET', path: '/system/df', doing: 'measure volumes' },
      signal,
    );
    // The engine says -1 where it does not know.
    return new Map(
      (Volumes ?? []).flatMap(({ Name, UsageData }) =>
        UsageData != null && UsageData.Size >= 0 ? [[Name, UsageData.Size] as const] : [],
      ),
    );
  } catch (error) {
    if (error instanceof TargetError && error.detail.code === 'engine-slow') return new Map();
    throw error;
  }
}
