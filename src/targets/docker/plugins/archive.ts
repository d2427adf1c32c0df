/**
 * Archives (tar) as an engine takes and gives them: the only way into a volume that works whether or not anything runs.
 *
 * Written is item by item, so that no more than one file is held in memory; everything belongs to root and can be read by all.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import tar from 'tar-stream';
import type { TreeEntry } from '../../../core/plugin-tree.ts';

export type Item =
  | { readonly path: string; readonly kind: 'folder' }
  | { readonly path: string; readonly kind: 'link'; readonly to: string }
  | { readonly path: string; readonly kind: 'bytes'; readonly bytes: string | Buffer; readonly mode: number }
  /** The contents of a file of this host. */
  | { readonly path: string; readonly kind: 'file' | 'program'; readonly file: string };

/** Takes the place of whatever is there, a full folder, too: an archive cannot say "remove", but an empty file replaces. */
export const nothingAt = (path: string): Item => ({ path, kind: 'bytes', bytes: '', mode: 0o644 });

export function packed(items: Iterable<Item>): Readable {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    const pack = tar.pack();
    for (const item of items) {
      const content = item.kind === 'bytes' ? item.bytes : 'file' in item ? await readFile(item.file) : '';
      pack.entry(headerOf(item), content);
      yield* written(pack);
    }
    pack.finalize();
    yield* written(pack);
  }
  return Readable.from(bytes());
}

/** A fixed time: the same files are the same archive. */
const MTIME = new Date(0);

function headerOf(item: Item): tar.Headers {
  const { path: name, kind } = item;
  const common = { name, mtime: MTIME, uid: 0, gid: 0 };
  switch (kind) {
    case 'folder':
      return { ...common, type: 'directory', mode: 0o755 };
    case 'link':
      return { ...common, type: 'symlink', linkname: item.to, mode: 0o777 };
    case 'program':
      return { ...common, type: 'file', mode: 0o755 };
    case 'bytes':
      return { ...common, type: 'file', mode: item.mode };
    case 'file':
      return { ...common, type: 'file', mode: 0o644 };
  }
}

function* written(pack: tar.Pack): Generator<Uint8Array> {
  for (let chunk: unknown; (chunk = pack.read()) instanceof Uint8Array;) yield chunk;
}

export interface Found {
  /** As the archive says, below what was asked for: "" is that itself. */
  readonly entry: TreeEntry;
  /** Where a link leads. */
  readonly to: string | null;
  /** Kept of a file where `keep` says so. */
  readonly text: string | null;
}

/** Files and links of an archive of one path; of those that `wanted` passes over, nothing is kept. */
export async function unpacked(
  stream: Readable,
  wanted: (path: string) => 'digest' | 'text' | null,
  signal: AbortSignal,
): Promise<readonly Found[]> {
  const found: Found[] = [];
  const extract = tar.extract();
  extract.on('entry', ({ name, type, mode = 0, linkname }, content, next) => {
    // What was asked for comes first in every path: "3/a/b.txt".
    const path = name.split('/').slice(1).join('/');
    const what = wanted(path);
    if (what !== null && type === 'symlink' && linkname != null) {
      const sha256 = createHash('sha256').update(linkname).digest('hex');
      found.push({ entry: { path, kind: 'link', sha256 }, to: linkname, text: null });
    }
    const hash = createHash('sha256');
    const kept: Buffer[] = [];
    content.on('data', (chunk: Buffer) => {
      if (what === null || type !== 'file') return;
      hash.update(chunk);
      if (what === 'text') kept.push(chunk);
    });
    content.on('error', next);
    content.on('end', () => {
      if (what !== null && type === 'file') {
        const kind = (mode & 0o100) === 0 ? 'file' : 'program';
        const text = what === 'text' ? Buffer.concat(kept).toString() : null;
        found.push({ entry: { path, kind, sha256: hash.digest('hex') }, to: null, text });
      }
      next();
    });
  });
  await pipeline(stream, extract, { signal });
  return found;
}
