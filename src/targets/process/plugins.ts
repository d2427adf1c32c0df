/**
 * Plugins of a process: a box in the data folder, beside its record. A process that runs is not asked: it sees the new files at
 * their next opening, through the link `current`.
 */
import { createHash } from 'node:crypto';
import {
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { copyFile, lstat, mkdir, readFile, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { wordsOf } from '../../core/error-words.ts';
import type { TreeEntry } from '../../core/plugin-tree.ts';
import { TargetError } from '../../ports/target.ts';
import type { BoxDrive } from '../plugin-box.ts';
import { errnoOf } from './failure.ts';
import { PLUGIN_FILES_REMEMBERED } from './limits.ts';

export interface BoxDrives {
  /** What an agent of that box is told. */
  pathFor(folder: string): string;
  drive(folder: string): BoxDrive;
  remove(folder: string): void;
}

export function openBoxes(): BoxDrives {
  /** Path → digest of a file that has not been touched since: a look costs one `lstat` each. */
  const known = new Map<string, { readonly stamp: string; readonly sha256: string }>();

  /** null: there is no such file or link. */
  async function entryAt(folder: string, path: string): Promise<TreeEntry | null> {
    const file = join(folder, path);
    try {
      const stat = await lstat(file, { bigint: true });
      if (stat.isSymbolicLink()) return { path, kind: 'link', sha256: hexOf(await readlink(file)) };
      if (!stat.isFile()) return null;
      const kind = (stat.mode & 0o100n) === 0n ? 'file' : 'program';
      const stamp = `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
      const before = known.get(file);
      if (before?.stamp === stamp) return { path, kind, sha256: before.sha256 };
      const sha256 = hexOf(await readFile(file));
      if (known.size >= PLUGIN_FILES_REMEMBERED) known.clear();
      known.set(file, { stamp, sha256 });
      return { path, kind, sha256 };
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error))) return null;
      throw error;
    }
  }

  return {
    pathFor: (folder) => join(folder, 'current'),
    remove: (folder) => rmSync(folder, { recursive: true, force: true }),

    drive(folder) {
      const setAt = (set: number): string => join(folder, '.sets', String(set));
      const treeAt = (slot: number): string => join(folder, '.trees', String(slot));
      const doing = <T>(what: string, work: () => Promise<T>): Promise<T> =>
        work().catch((error: unknown) => {
          if (errnoOf(error) === '' || error instanceof TargetError) throw error;
          const full = errnoOf(error) === 'ENOSPC' ? '; free some space' : '';
          throw new TargetError(
            {
              class: 'transient',
              fault: 'instance',
              code: errnoOf(error) === 'ENOSPC' ? 'disk-full' : 'plugin-files',
              message: `could not ${what} below ${folder}: ${wordsOf(error)}${full}`,
            },
            null,
            { cause: error },
          );
        });

      return {
        set: () =>
          doing('read the plugins', async () => {
            try {
              const set = Number(/^\.sets\/(\d+)$/.exec(readlinkSync(join(folder, 'current')))?.[1] ?? Number.NaN);
              if (Number.isNaN(set)) return null;
              const record = readFileSync(join(setAt(set), 'plugins.json'), 'utf8');
              return { set, record, links: linksIn(setAt(set)) };
            } catch (error) {
              if (['ENOENT', 'ENOTDIR', 'EINVAL'].includes(errnoOf(error))) return null;
              throw error;
            }
          }),

        tree: (slot, paths, signal) =>
          doing('read a plugin back', async () => {
            const found: TreeEntry[] = [];
            for (const path of paths) {
              signal.throwIfAborted();
              const entry = await entryAt(treeAt(slot), path);
              if (entry !== null) found.push(entry);
            }
            return found;
          }),

        putTree: (slot, tree, signal) =>
          doing(`stage plugin ${tree.source}`, async () => {
            const place = treeAt(slot);
            rmSync(place, { recursive: true, force: true });
            mkdirSync(place, { recursive: true, mode: 0o755 });
            // Links come last, so that nothing is written through one.
            const order = [...tree.entries].sort((a, b) => Number(a.kind === 'link') - Number(b.kind === 'link'));
            for (const { path, kind } of order) {
              signal.throwIfAborted();
              await mkdir(dirname(join(place, path)), { recursive: true });
              if (kind === 'link') symlinkSync(readlinkSync(join(tree.folder, path)), join(place, path));
              else await copyFile(join(tree.folder, path), join(place, path), constants.COPYFILE_EXCL);
            }
          }),

        putSet: (set, record, links) =>
          doing('stage the plugins', async () => {
            rmSync(setAt(set), { recursive: true, force: true });
            mkdirSync(setAt(set), { recursive: true, mode: 0o755 });
            writeFileSync(join(setAt(set), 'plugins.json'), record);
            for (const [name, slot] of links) symlinkSync(`../../.trees/${slot}`, join(setAt(set), name));
          }),

        swap: (set) =>
          doing('bring the plugins into force', async () => {
            const draft = join(folder, '.current');
            rmSync(draft, { force: true });
            symlinkSync(`.sets/${set}`, draft);
            renameSync(draft, join(folder, 'current'));
          }),

        async discard(set, slots) {
          try {
            if (set !== null) rmSync(setAt(set), { recursive: true, force: true });
            for (const slot of slots) rmSync(treeAt(slot), { recursive: true, force: true });
          } catch {
            // In nobody's way; whoever needs the place next clears it, or says why it cannot.
          }
        },
      };
    },
  };
}

const hexOf = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/** The folders of the set that lead to a slot. */
function linksIn(folder: string): ReadonlyMap<string, number> {
  const links = new Map<string, number>();
  for (const found of readdirSync(folder, { withFileTypes: true })) {
    if (!found.isSymbolicLink()) continue;
    const slot = /^\.\.\/\.\.\/\.trees\/(\d+)$/.exec(readlinkSync(join(folder, found.name)))?.[1];
    if (slot !== undefined) links.set(found.name, Number(slot));
  }
  return links;
}
