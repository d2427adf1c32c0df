/**
 * The box that an instance's plugins lie in, wherever that is: a folder of this host, a volume of an engine.
 *
 *   current -> .sets/N          what the agent sees, `$HOLDFAST_PLUGINS`: one folder for each plugin, by its name
 *   .sets/N/<name> -> ../../.trees/M
 *   .sets/N/plugins.json        what each is, and which files came with it
 *   .trees/M                    one plugin's files
 *
 *  1. A change is staged beside what is in force, read back, and comes into force by the one link `current`: whoever looks sees
 *     all of the old or all of the new, also after a kill in the midst of it.
 *  2. What is there is told by the box: a plugin counts only if its folder is linked and every file that came with it is as it
 *     came. What an agent adds to a plugin's folder is no difference, and goes with it.
 *  3. What is in no set in force is left over from something that was broken off; it is in nobody's way and is replaced.
 *  4. Nothing else in the box is touched.
 */
import type { InstalledPlugin } from '../core/model.ts';
import { treeDigest, type TreeEntry } from '../core/plugin-tree.ts';
import type { PluginTree } from '../ports/plugin-source.ts';
import { TargetError, type PluginAbility, type Subject } from '../ports/target.ts';

/** The set in force. */
export interface SetFound {
  readonly set: number;
  readonly record: string;
  /** name → slot that its folder leads to. */
  readonly links: ReadonlyMap<string, number>;
}

/** One box: how it is read and written. Every verb ends soon after its signal aborts. */
export interface BoxDrive {
  /** null: nothing was ever installed here. */
  set(signal: AbortSignal): Promise<SetFound | null>;
  /** Of these paths, what is there in that slot. */
  tree(slot: number, paths: ReadonlySet<string>, signal: AbortSignal): Promise<readonly TreeEntry[]>;
  /** Replaces whatever lies in that slot. */
  putTree(slot: number, tree: PluginTree, signal: AbortSignal): Promise<void>;
  /** Replaces whatever lies there; not in force yet. */
  putSet(set: number, record: string, links: ReadonlyMap<string, number>, signal: AbortSignal): Promise<void>;
  /** Brings a set into force, at once. */
  swap(set: number, signal: AbortSignal): Promise<void>;
  /** Removes what is in no set in force. What cannot be removed now is in nobody's way. */
  discard(set: number | null, slots: readonly number[], signal: AbortSignal): Promise<void>;
}

interface Kept extends InstalledPlugin {
  readonly name: string;
  readonly slot: number;
  readonly files: readonly string[];
}

/** `open`: the box of an instance, under its lock; null where there can be none yet. */
export function pluginBox(
  lookEveryMs: number,
  open: <T>(subject: Subject, signal: AbortSignal, work: (drive: BoxDrive | null) => Promise<T>) => Promise<T>,
): PluginAbility {
  return {
    lookEveryMs,

    install: (subject, tree, signal) =>
      open(subject, signal, async (drive) => {
        if (drive === null) throw fail('conflict', 'no-box', `${subject.instance} has no place for plugins yet`);
        const found = await drive.set(signal);
        const kept = keptIn(found);
        const others = roomFor(subject, tree, kept);
        const slot = freeSlot(kept);
        await drive.putTree(slot, tree, signal);
        await readBack(drive, slot, tree, signal);
        const { source, ref, sha, treeDigest: digest, name, restart, entries } = tree;
        const made: Kept = {
          source,
          ref,
          sha,
          treeDigest: digest,
          restart,
          name,
          slot,
          files: entries.map(({ path }) => path),
        };
        await bring(drive, found, [...others, made], signal);
        const left = kept.filter((one) => !others.includes(one)).map((one) => one.slot);
        await drive.discard(found?.set ?? null, left, signal);
        return asInstalled(made);
      }),

    uninstall: (subject, source, signal) =>
      open(subject, signal, async (drive) => {
        const found = (await drive?.set(signal)) ?? null;
        const kept = keptIn(found);
        const gone = kept.filter((one) => one.source === source);
        if (drive === null || gone.length === 0) return;
        await bring(
          drive,
          found,
          kept.filter((one) => one.source !== source),
          signal,
        );
        await drive.discard(
          found?.set ?? null,
          gone.map(({ slot }) => slot),
          signal,
        );
      }),

    installed: (subject, signal) =>
      open(subject, signal, async (drive) => {
        const found = (await drive?.set(signal)) ?? null;
        if (drive === null || found === null) return [];
        const whole: InstalledPlugin[] = [];
        for (const one of keptIn(found)) {
          if (found.links.get(one.name) !== one.slot) continue;
          const entries = await drive.tree(one.slot, new Set(one.files), signal);
          if (treeDigest(entries) === one.treeDigest) whole.push(asInstalled(one));
        }
        return whole.sort((a, b) => (a.source < b.source ? -1 : 1));
      }),
  };
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const fail = (kind: 'transient' | 'conflict', code: string, message: string): TargetError =>
  new TargetError({ class: kind, fault: 'instance', code, message });

const asInstalled = ({ source, ref, sha, treeDigest: digest, restart }: Kept): InstalledPlugin => ({
  source,
  ref,
  sha,
  treeDigest: digest,
  ...(restart === true && { restart }),
});

/** What stays beside the new one: all but its older self, and but who had its name and is declared no more. */
function roomFor(subject: Subject, tree: PluginTree, kept: readonly Kept[]): readonly Kept[] {
  const declared = new Set(subject.spec.plugins.map(({ source }) => source));
  const others = kept.filter(
    ({ source, name }) => source !== tree.source && (name !== tree.name || declared.has(source)),
  );
  const namesake = others.find(({ name }) => name === tree.name);
  if (namesake !== undefined)
    throw fail(
      'transient',
      'name-taken',
      `plugin ${tree.source} is called "${tree.name}", and so is ${namesake.source}: declare only one of them`,
    );
  const missing = tree.needs.filter((need) => !others.some(({ name }) => name === need));
  if (missing.length > 0)
    throw fail(
      'transient',
      'needs',
      `plugin ${tree.source} needs ${missing.map((name) => `"${name}"`).join(' and ')} beside it; declare what brings that`,
    );
  return others;
}

function freeSlot(kept: readonly Kept[]): number {
  const taken = new Set(kept.map(({ slot }) => slot));
  let slot = 0;
  while (taken.has(slot)) slot += 1;
  return slot;
}

async function readBack(drive: BoxDrive, slot: number, tree: PluginTree, signal: AbortSignal): Promise<void> {
  const entries = await drive.tree(slot, new Set(tree.entries.map(({ path }) => path)), signal);
  const digest = treeDigest(entries);
  if (digest !== tree.treeDigest)
    throw fail(
      'transient',
      'read-back',
      `plugin ${tree.source} was delivered as ${tree.treeDigest}, and read back as ${digest}`,
    );
}

async function bring(
  drive: BoxDrive,
  found: SetFound | null,
  kept: readonly Kept[],
  signal: AbortSignal,
): Promise<void> {
  const next = found?.set === 0 ? 1 : 0;
  const sorted = [...kept].sort((a, b) => (a.name < b.name ? -1 : 1));
  await drive.putSet(
    next,
    JSON.stringify({ v: 1, plugins: sorted }),
    new Map(sorted.map(({ name, slot }) => [name, slot])),
    signal,
  );
  signal.throwIfAborted();
  await drive.swap(next, signal);
}

/** A record that cannot be read is one of nothing: all is installed anew. */
function keptIn(found: SetFound | null): readonly Kept[] {
  if (found === null) return [];
  try {
    const value = JSON.parse(found.record) as { readonly v?: unknown; readonly plugins?: unknown };
    return value.v === 1 && Array.isArray(value.plugins) ? value.plugins.filter(isKept) : [];
  } catch {
    return [];
  }
}

function isKept(value: unknown): value is Kept {
  if (typeof value !== 'object' || value === null) return false;
  const { source, ref, sha, treeDigest: digest, name, slot, files } = value as { readonly [key: string]: unknown };
  const texts = [source, sha, digest, name].every((text) => typeof text === 'string');
  return texts && (ref === null || typeof ref === 'string') && Number.isSafeInteger(slot) && Array.isArray(files);
}
