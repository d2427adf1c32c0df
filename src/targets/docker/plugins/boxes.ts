/**
 * Plugins of containers: each instance that declares some has a volume for them, which its agent finds, read-only, at
 * `$HOLDFAST_PLUGINS`. It outlives every container, and goes with the instance's data.
 *
 * A container gets its mounts when it is made: so the first plugin of an instance, and the end of its last one, make another
 * container (`infraOf`); all changes between go into the volume of the one there is.
 */
import type { VolumeInspectInfo } from 'dockerode';
import { readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { PluginTree } from '../../../ports/plugin-source.ts';
import { TargetError, type PluginAbility, type Subject } from '../../../ports/target.ts';
import type { Locks } from '../../locks.ts';
import { pluginBox, type BoxDrive, type SetFound } from '../../plugin-box.ts';
import type { Engine } from '../engine.ts';
import { terminal } from '../failure.ts';
import { ownerIn, PLUGIN_VOLUME, volumeLabels, volumeName, type Labels, type Scope } from '../labels.ts';
import { CALL_MS, CHANGE_MS, PLUGIN_LOOK_EVERY_MS } from '../limits.ts';
import type { Mount } from '../volumes.ts';
import { nothingAt, type Item } from './archive.ts';
import { boxContainers, type BoxContainer } from './box-container.ts';
import { CURRENT, NEXT } from './swap-program.ts';

/** Where the agent finds it. */
export const AGENT_BOX = '/holdfast/plugins';
export const PLUGINS_SEEN = `${AGENT_BOX}/${CURRENT}`;

export interface Boxes {
  readonly ability: PluginAbility;
  /** What its container needs; the volume is there. */
  mounts(subject: Subject, signal: AbortSignal): Promise<readonly Mount[]>;
  isBox(subject: Subject, volume: string): boolean;
  /** Lets go of its volume, so that it can be removed. */
  release(subject: Subject, signal: AbortSignal): Promise<void>;
}

export function openBoxes(engine: Engine, scope: Scope, locks: Locks): Boxes {
  const containers = boxContainers(engine, scope);
  const nameOf = (subject: Subject): string => volumeName(scope, subject, PLUGIN_VOLUME);
  const labelsOf = (subject: Subject): Labels => volumeLabels(scope, subject, PLUGIN_VOLUME);
  const hold = <T>(subject: Subject, signal: AbortSignal, work: () => Promise<T>): Promise<T> =>
    locks.hold(`plugins ${subject.uid}`, signal, work);

  /** Is it there? Made if told to. */
  async function volume(subject: Subject, make: boolean, signal: AbortSignal): Promise<boolean> {
    const name = nameOf(subject);
    const found = await engine.find<VolumeInspectInfo>(
      { method: 'GET', path: `/volumes/${encodeURIComponent(name)}`, doing: `look for volume ${name}` },
      signal,
    );
    if (found !== null && ownerIn(found.Labels, scope)?.uid !== subject.uid)
      throw terminal('volume-taken', `volume ${name} is not ours; plugins are not put there. Rename or remove it`);
    if (found !== null || !make) return found !== null;
    const body = { Name: name, Labels: labelsOf(subject) };
    await engine.ask(
      { method: 'POST', path: '/volumes/create', body, doing: `create volume ${name}`, withinMs: CHANGE_MS },
      signal,
    );
    return true;
  }

  /** Its container is made when something is to be read or written, and is gone at the end. */
  async function opened<T>(subject: Subject, work: (drive: BoxDrive) => Promise<T>): Promise<T> {
    let made: Promise<BoxContainer> | null = null;
    const reach = (signal: AbortSignal): Promise<BoxContainer> =>
      (made ??= containers.open(subject, { name: nameOf(subject), labels: labelsOf(subject) }, signal));
    try {
      return await work({
        async set(signal) {
          const there = await volume(subject, false, signal);
          return there ? setIn(await reach(signal), signal) : null;
        },
        async tree(slot, paths, signal) {
          const box = await reach(signal);
          const found = await box.read(`.trees/${slot}`, (path) => (paths.has(path) ? 'digest' : null), signal);
          return (found ?? []).map(({ entry }) => entry);
        },
        async putTree(slot, tree, signal) {
          await volume(subject, true, signal);
          await (await reach(signal)).write(treeItems(slot, tree), `stage plugin ${tree.source}`, signal);
        },
        async putSet(set, record, links, signal) {
          const box = await reach(signal);
          await box.write(setItems(set, record, links), 'stage the plugins', signal);
        },
        swap: async (_set, signal) => (await reach(signal)).swap(signal),
        async discard(set, slots, signal) {
          const places = [...(set === null ? [] : [`.sets/${set}`]), ...slots.map((slot) => `.trees/${slot}`)];
          if (places.length === 0) return;
          const box = await reach(signal);
          // In nobody's way; whoever needs the place next replaces it, or says why not.
          await box.write(places.map(nothingAt), 'remove what is not in force', signal).catch(() => undefined);
        },
      });
    } finally {
      // Whoever comes next removes it if this fails.
      if (made !== null) await containers.remove(subject, AbortSignal.timeout(CALL_MS)).catch(() => undefined);
    }
  }

  return {
    ability: pluginBox(PLUGIN_LOOK_EVERY_MS, (subject, signal, work) =>
      hold(subject, signal, () => opened(subject, work).catch((error: unknown) => Promise.reject(ofPlugin(error)))),
    ),
    async mounts(subject, signal) {
      if (subject.spec.plugins.length === 0) return [];
      await volume(subject, true, signal);
      return [{ volume: nameOf(subject), path: AGENT_BOX, readOnly: true }];
    },
    isBox: (subject, name) => name === nameOf(subject),
    release: (subject, signal) => hold(subject, signal, () => containers.remove(subject, signal)),
  };
}

/** A disk that has no room for a plugin keeps that plugin out, and no other instance waiting. */
function ofPlugin(error: unknown): unknown {
  if (!(error instanceof TargetError) || error.detail.code !== 'disk-full') return error;
  const message = `${error.detail.message}; free some space there`;
  return new TargetError({ ...error.detail, fault: 'instance', message }, null, { cause: error });
}

/** One question: each costs an engine a process of its own. */
async function setIn(box: BoxContainer, signal: AbortSignal): Promise<SetFound | null> {
  const wanted = (path: string): 'digest' | 'text' => (path === RECORD ? 'text' : 'digest');
  const found = (await box.read(`${CURRENT}/.`, wanted, signal)) ?? [];
  const links = new Map<string, number>();
  let set: number | null = null;
  let record = '';
  for (const { entry, to, text } of found) {
    const slot = /^\.\.\/\.\.\/\.trees\/(\d+)$/.exec(to ?? '')?.[1];
    if (slot !== undefined) links.set(entry.path, Number(slot));
    if (entry.path === NUMBER && /^\d+$/.test(to ?? '')) set = Number(to);
    if (entry.path === RECORD) record = text ?? '';
  }
  return set === null ? null : { set, record, links };
}

const RECORD = 'plugins.json';
/** A link to the set's own number, so that one look at `current` says which it is. */
const NUMBER = '.set';

/** Links come last, so that nothing is written through one. */
function* treeItems(slot: number, { entries, folder }: PluginTree): Generator<Item> {
  const place = `.trees/${slot}`;
  yield { path: '.trees', kind: 'folder' };
  yield nothingAt(place);
  yield { path: place, kind: 'folder' };
  for (const { path, kind } of entries)
    if (kind !== 'link') yield { path: `${place}/${path}`, kind, file: join(folder, path) };
  for (const { path, kind } of entries)
    if (kind === 'link') yield { path: `${place}/${path}`, kind, to: readlinkSync(join(folder, path)) };
}

function* setItems(set: number, record: string, links: ReadonlyMap<string, number>): Generator<Item> {
  const place = `.sets/${set}`;
  yield { path: '.sets', kind: 'folder' };
  yield nothingAt(place);
  yield { path: place, kind: 'folder' };
  yield { path: `${place}/${RECORD}`, kind: 'bytes', bytes: record, mode: 0o644 };
  yield { path: `${place}/${NUMBER}`, kind: 'link', to: String(set) };
  for (const [name, slot] of links) yield { path: `${place}/${name}`, kind: 'link', to: `../../.trees/${slot}` };
  yield { path: NEXT, kind: 'link', to: place };
}
