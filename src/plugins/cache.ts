/**
 * Trees that were fetched and checked, by what they are: so that a plugin that many have is fetched once, and one already at
 * its sha is not fetched at all.
 *
 * A tree comes to its place by one rename, so that it is there whole or not at all. What nobody holds is dropped, the longest
 * unused first, when there is too much. The folder is this process's alone; what a kill left half done goes at the next start.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { wordsOf } from '../core/error-words.ts';
import type { TreeEntry } from '../core/plugin-tree.ts';
import { transient } from './failure.ts';
import { CACHE_TREES } from './limits.ts';
import type { PluginManifest } from './manifest.ts';

export interface About extends PluginManifest {
  readonly sha: string;
  readonly treeDigest: string;
  readonly entries: readonly TreeEntry[];
  readonly sizeBytes: number;
}

export interface Held {
  readonly about: About;
  readonly folder: string;
  release(): void;
}

export interface Cache {
  /** null: it is not here. */
  hold(key: string): Held | null;
  /** Puts a tree in its place that `fill` writes into an empty folder, and holds it. */
  put(key: string, fill: (folder: string) => Promise<About>): Promise<Held>;
  /** An empty folder for work, gone afterwards. */
  work<T>(doing: (folder: string) => Promise<T>): Promise<T>;
}

export function openCache(folder: string, maxBytes: number): Cache {
  const trees = join(folder, 'trees');
  const staging = join(folder, 'staging');
  rmSync(staging, { recursive: true, force: true });
  for (const one of [trees, staging]) mkdirSync(one, { recursive: true, mode: 0o700 });
  const holders = new Map<string, number>();
  const fresh = (): string => join(staging, randomBytes(8).toString('hex'));
  const aboutOf = (key: string): string => join(trees, key, 'about.json');

  function hold(key: string): Held | null {
    let about: About;
    try {
      about = JSON.parse(readFileSync(aboutOf(key), 'utf8')) as About;
      const now = new Date();
      utimesSync(aboutOf(key), now, now);
    } catch {
      // Not there, or damaged: it is fetched again, and replaced.
      return null;
    }
    holders.set(key, (holders.get(key) ?? 0) + 1);
    let held = true;
    return {
      about,
      folder: join(trees, key, 'tree'),
      release() {
        if (!held) return;
        held = false;
        const left = (holders.get(key) ?? 1) - 1;
        if (left > 0) holders.set(key, left);
        else holders.delete(key);
      },
    };
  }

  /** The longest unused go first; who cannot be read goes as well. */
  function trim(): void {
    const known = readdirSync(trees).map((key) => {
      try {
        const { sizeBytes } = JSON.parse(readFileSync(aboutOf(key), 'utf8')) as About;
        return { key, sizeBytes, usedMs: statSync(aboutOf(key)).mtimeMs };
      } catch {
        return { key, sizeBytes: 0, usedMs: 0 };
      }
    });
    known.sort((a, b) => a.usedMs - b.usedMs);
    let bytes = known.reduce((sum, one) => sum + one.sizeBytes, 0);
    let count = known.length;
    for (const { key, sizeBytes, usedMs } of known) {
      if (bytes <= maxBytes && count <= CACHE_TREES && usedMs > 0) return;
      if (holders.has(key)) continue;
      rmSync(join(trees, key), { recursive: true, force: true });
      bytes -= sizeBytes;
      count -= 1;
    }
  }

  return {
    hold,
    async put(key, fill) {
      const made = fresh();
      try {
        mkdirSync(join(made, 'tree'), { recursive: true, mode: 0o700 });
        const about = await fill(join(made, 'tree'));
        writeFileSync(join(made, 'about.json'), JSON.stringify(about), { mode: 0o600 });
        if (!holders.has(key)) rmSync(join(trees, key), { recursive: true, force: true });
        renameSync(made, join(trees, key));
        const held = hold(key);
        if (held === null) throw new Error('what was just written cannot be read');
        trim();
        return held;
      } catch (error) {
        if (error instanceof Error && 'code' in error && typeof error.code === 'string')
          throw transient('plugin-cache', `no plugin can be kept below ${folder}: ${wordsOf(error)}`, error);
        throw error;
      } finally {
        rmSync(made, { recursive: true, force: true });
      }
    },
    async work(doing) {
      const place = fresh();
      mkdirSync(place, { recursive: true, mode: 0o700 });
      try {
        return await doing(place);
      } finally {
        rmSync(place, { recursive: true, force: true });
      }
    },
  };
}
