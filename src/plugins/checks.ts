/**
 * What a plugin's tree may be, whoever made it: decided on its listing, before a byte of it is written anywhere.
 *
 * A tree that passes can be copied to any file system without leaving its folder or losing a file: plain files and links that
 * end inside it, in plain relative paths, no two of which are one where case or Unicode form do not count.
 */
import { LINK_HOPS, NAME_BYTES, PATH_BYTES, TREE_BYTES, TREE_FILES } from './limits.ts';

export type Listed =
  | { readonly path: string; readonly kind: 'file' | 'program'; readonly sizeBytes: number }
  | { readonly path: string; readonly kind: 'link'; readonly sizeBytes: number; readonly to: string }
  /** What has no business in a plugin: "a submodule", "a device". */
  | { readonly path: string; readonly kind: 'other'; readonly what: string };

/** The first thing wrong with it in words, or null. */
export function treeProblem(entries: readonly Listed[]): string | null {
  if (entries.length === 0) return 'it holds no file';
  if (entries.length > TREE_FILES) return `it holds more than ${TREE_FILES} files`;
  let sizeBytes = 0;
  for (const entry of entries) {
    const problem =
      pathProblem(entry.path) ?? (entry.kind === 'other' ? `${shown(entry.path)} is ${entry.what}` : null);
    if (problem !== null) return problem;
    if (entry.kind !== 'other') sizeBytes += entry.sizeBytes;
    if (sizeBytes > TREE_BYTES) return `it holds more than ${TREE_BYTES / 1024 / 1024} MiB`;
  }
  return collision(entries) ?? straying(entries);
}

/** Paths come from outside and go into messages. */
const shown = (path: string): string => JSON.stringify(path.length > 120 ? `${path.slice(0, 120)}…` : path);

export function pathProblem(path: string): string | null {
  if (path === '' || path.startsWith('/')) return `${shown(path)} is no relative path`;
  // U+FFFD stands where bytes were no UTF-8.
  if (/[\p{Cc}\\\ufffd]/u.test(path) || !path.isWellFormed())
    return `${shown(path)} has characters that a path must not have`;
  if (Buffer.byteLength(path) > PATH_BYTES) return `${shown(path)} is longer than ${PATH_BYTES} bytes`;
  for (const name of path.split('/')) {
    if (name === '' || name === '.' || name === '..') return `${shown(path)} leads out of its folder, or nowhere`;
    if (Buffer.byteLength(name) > NAME_BYTES) return `${shown(path)} has a name of more than ${NAME_BYTES} bytes`;
    // What a tool would take for a repository, and run the hooks of.
    if (folded(name) === '.git') return `${shown(path)} is part of a repository inside it`;
  }
  return null;
}

const folded = (text: string): string => text.normalize('NFKC').toLowerCase().normalize('NFKC');

/** Two paths that some file system takes for one, or a file where another needs a folder. */
function collision(entries: readonly Listed[]): string | null {
  const seen = new Map<string, { readonly path: string; readonly folder: boolean }>();
  for (const { path } of entries) {
    const parts = path.split('/');
    for (let n = 1; n <= parts.length; n += 1) {
      const here = { path: parts.slice(0, n).join('/'), folder: n < parts.length };
      const before = seen.get(folded(here.path));
      if (before === undefined) seen.set(folded(here.path), here);
      else if (before.path !== here.path || !before.folder || !here.folder)
        return `${shown(before.path)} and ${shown(here.path)} are one where case or Unicode form do not count`;
    }
  }
  return null;
}

/** A link that does not end at something inside. */
function straying(entries: readonly Listed[]): string | null {
  const links = new Map<string, string>();
  const there = new Set<string>();
  for (const entry of entries) {
    if (entry.kind === 'link') links.set(entry.path, entry.to);
    const parts = entry.path.split('/');
    for (let n = 1; n <= parts.length; n += 1) there.add(parts.slice(0, n).join('/'));
  }
  for (const [path, to] of links) {
    const end = followed(path, links);
    if (end === null) return `the link ${shown(path)} leads out of it, to ${shown(to)}`;
    if (end !== '' && !there.has(end)) return `the link ${shown(path)} leads to ${shown(to)}, which is not in it`;
  }
  return null;
}

/** Where a link ends, as a kernel would find it: every part that is itself a link is followed. null: outside, or in a circle. */
function followed(link: string, links: ReadonlyMap<string, string>): string | null {
  const here: string[] = [];
  const rest = link.split('/');
  for (let hops = 0; ;) {
    const part = rest.shift();
    if (part === undefined) return here.join('/');
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (here.pop() === undefined) return null;
      continue;
    }
    here.push(part);
    const to = links.get(here.join('/'));
    if (to === undefined) continue;
    hops += 1;
    if (hops > LINK_HOPS || to === '' || to.startsWith('/') || /[\p{Cc}\ufffd]/u.test(to)) return null;
    here.pop();
    rest.unshift(...to.split('/'));
  }
}
