/**
 * A plugin that is a folder of this host, taken as it is. It is read without following a link, file by file, and a `.git` at
 * its top is left out.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { wordsOf } from '../core/error-words.ts';
import type { TreeEntry } from '../core/plugin-tree.ts';
import { pathProblem, treeProblem, type Listed } from './checks.ts';
import { transient } from './failure.ts';
import { TREE_BYTES, TREE_FILES } from './limits.ts';

/** What lies there, checked. */
export function readFolder(folder: string, called: string): readonly TreeEntry[] {
  const listed = look(folder, called);
  return listed.map((entry): TreeEntry => {
    if (entry.kind === 'link') return { path: entry.path, kind: 'link', sha256: hexOf(entry.to) };
    const kind = entry.kind === 'program' ? 'program' : 'file';
    return { path: entry.path, kind, sha256: hexOf(contents(join(folder, entry.path), called)) };
  });
}

/** Copies it into an empty folder; what was copied is what is answered. */
export function copyFolder(folder: string, into: string, called: string): readonly TreeEntry[] {
  const listed = look(folder, called);
  const taken: TreeEntry[] = [];
  for (const entry of listed) {
    const file = join(into, entry.path);
    mkdirSync(dirname(file), { recursive: true });
    if (entry.kind === 'link') {
      symlinkSync(entry.to, file);
      taken.push({ path: entry.path, kind: 'link', sha256: hexOf(entry.to) });
    } else if (entry.kind !== 'other') {
      const bytes = contents(join(folder, entry.path), called);
      writeFileSync(file, bytes, { flag: 'wx' });
      if (entry.kind === 'program') chmodSync(file, 0o755);
      taken.push({ path: entry.path, kind: entry.kind, sha256: hexOf(bytes) });
    }
  }
  return taken;
}

function look(folder: string, called: string): readonly Listed[] {
  const found: Listed[] = [];
  const fail = (problem: string): Error => transient('bad-tree', `${called} cannot be installed: ${problem}`);
  const walk = (path: string): void => {
    for (const name of readdirSync(join(folder, path)).sort()) {
      if (path === '' && name === '.git') continue;
      const here = path === '' ? name : `${path}/${name}`;
      const problem = pathProblem(here);
      if (problem !== null) throw fail(problem);
      const stat = lstatSync(join(folder, here));
      if (stat.isDirectory()) walk(here);
      else if (stat.isSymbolicLink())
        found.push({ path: here, kind: 'link', sizeBytes: stat.size, to: readlinkSync(join(folder, here)) });
      else if (stat.isFile())
        found.push({ path: here, kind: (stat.mode & 0o100) === 0 ? 'file' : 'program', sizeBytes: stat.size });
      else found.push({ path: here, kind: 'other', what: 'a device, a socket or a pipe' });
      if (found.length > TREE_FILES) return;
    }
  };
  try {
    walk('');
  } catch (error) {
    if (error instanceof Error && 'detail' in error) throw error;
    throw transient('fetch-failed', `${called} cannot be read: ${wordsOf(error)}`, error);
  }
  const problem = treeProblem(found);
  if (problem !== null) throw fail(problem);
  return found;
}

function contents(file: string, called: string): Buffer {
  try {
    const open = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(open);
      if (!stat.isFile() || stat.size > TREE_BYTES) throw new Error('it has just been replaced by something else');
      return readFileSync(open);
    } finally {
      closeSync(open);
    }
  } catch (error) {
    throw transient('fetch-failed', `${called} cannot be read: ${file}: ${wordsOf(error)}`, error);
  }
}

const hexOf = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');
