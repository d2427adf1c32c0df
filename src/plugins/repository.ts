/**
 * One remote repository: what a ref is, and the files of a commit. Files come out of the object database as they are stored:
 * nothing is checked out, so no filter, attribute or line ending touches them.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { wordsOf } from '../core/error-words.ts';
import type { TreeEntry } from '../core/plugin-tree.ts';
import { isWholeSha } from '../core/plugin-source.ts';
import { treeProblem, type Listed } from './checks.ts';
import { refused, transient } from './failure.ts';
import { GitError, type Git, type GitAsk, type Transport } from './git.ts';
import { REFS_BYTES, TREE_BYTES, TREE_FILES } from './limits.ts';

export interface Remote {
  readonly transport: Transport;
  readonly url: string;
  readonly header: string | null;
  /** For words: the source as declared, with its ref. */
  readonly called: string;
}

/** What the ref is at the remote now; null: no branch and no tag, but perhaps the beginning of a sha. */
export async function remoteSha(
  git: Git,
  remote: Remote,
  ref: string | null,
  signal: AbortSignal,
): Promise<string | null> {
  if (ref !== null && isWholeSha(ref)) return ref;
  const names = ref === null ? ['HEAD'] : ref.startsWith('refs/') ? [ref] : [`refs/heads/${ref}`, `refs/tags/${ref}`];
  const patterns = names.flatMap((name) => (name.startsWith('refs/tags/') ? [name, `${name}^{}`] : [name]));
  const text = await said(git, ['ls-remote', '--quiet', '--', remote.url, ...patterns], {
    transport: remote.transport,
    header: remote.header,
    signal,
  }).catch((error: unknown) => {
    throw unreachable(remote, error);
  });
  const found = new Map(
    text
      .split('\n')
      .map((line) => line.split('\t'))
      .flatMap(([sha = '', name = '']) => (isWholeSha(sha) ? [[name, sha] as const] : [])),
  );
  // An annotated tag is an object of its own; what it points at is the commit.
  const shas = names.map((name) => found.get(`${name}^{}`) ?? found.get(name)).filter((sha) => sha !== undefined);
  if (new Set(shas).size > 1)
    throw transient(
      'ambiguous-ref',
      `${remote.called}: "${ref}" is both a branch and a tag; say refs/heads/${ref} or refs/tags/${ref}`,
    );
  if (shas[0] !== undefined) return shas[0];
  if (ref !== null && /^[0-9a-f]{4,39}$/.test(ref)) return null;
  throw transient(
    'no-such-ref',
    ref === null
      ? `${remote.called}: the repository has no default branch; say which branch, tag or commit after "#"`
      : `${remote.called}: the repository has no branch, tag or commit "${ref}"`,
  );
}

/** A repository of ours, in a folder that is its caller's to remove. */
export interface Fetched {
  readonly folder: string;
  readonly sha: string;
}

/** Gets one commit into an empty folder; `ref` is a whole sha, or the beginning of one. */
export async function fetchCommit(
  git: Git,
  remote: Remote,
  ref: string,
  folder: string,
  signal: AbortSignal,
): Promise<Fetched> {
  const here = { transport: null, signal } as const;
  const there = { transport: remote.transport, header: remote.header, signal } as const;
  emptyRepository(folder, ref.length === 64 ? 'sha256' : 'sha1');
  const fetch = (...more: readonly string[]): Promise<void> =>
    git(['-C', folder, 'fetch', '--quiet', '--no-tags', '--no-write-fetch-head', ...more], there);
  try {
    let whole = !isWholeSha(ref);
    if (!whole) {
      try {
        await fetch('--depth=1', '--', remote.url, `+${ref}:refs/wanted`);
      } catch (error) {
        // Old and plain servers hand out what a branch or tag names, and nothing else (L66).
        if (signal.aborted || !/not our ref|unadvertised|shallow|dumb|does not allow/i.test(wordsOf(error)))
          throw error;
        whole = true;
      }
    }
    if (whole) await fetch('--', remote.url, '+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*');
  } catch (error) {
    throw unreachable(remote, error);
  }
  try {
    const text = await said(
      git,
      ['-C', folder, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`],
      here,
    );
    return { folder, sha: text.trim() };
  } catch (error) {
    if (signal.aborted) throw error;
    throw transient(
      'no-such-ref',
      `${remote.called}: the repository has no commit "${ref}" that a branch or tag leads to, or more than one begins so`,
      error,
    );
  }
}

/** Writes the checked tree of a commit into an empty folder. `pinned`: the ref can mean nothing else. */
export async function takeOut(
  git: Git,
  { folder, sha }: Fetched,
  sub: string | null,
  into: string,
  words: { readonly called: string; readonly pinned: boolean },
  signal: AbortSignal,
): Promise<readonly TreeEntry[]> {
  const bad = (problem: string): Error =>
    refused(words.pinned, 'bad-tree', `${words.called} cannot be installed: ${problem}`);
  const tree = sub === null ? `${sha}^{tree}` : `${sha}:${sub}`;
  const ask = { transport: null, signal } as const;
  const objects = await listed(git, folder, tree, ask).catch((error: unknown) => {
    if (signal.aborted || !(error instanceof GitError)) throw error;
    throw bad(sub === null ? error.message : `there is no folder "${sub}" in it`);
  });
  // Where links lead is what their blobs hold; sizes are known, and are checked before anything is read.
  const early = treeProblem(objects.map(({ entry }) => (entry.kind === 'link' ? { ...entry, kind: 'file' } : entry)));
  if (early !== null) throw bad(early);
  const links = objects.filter(({ entry }) => entry.kind === 'link');
  const targets = new Map<string, string>();
  await blobs(git, folder, links, ask, (one, bytes) => targets.set(one.entry.path, bytes.toString('utf8')));
  const entries = objects.map(({ entry }): Listed =>
    entry.kind === 'link' ? { ...entry, to: targets.get(entry.path) ?? '' } : entry,
  );
  const problem = treeProblem(entries);
  if (problem !== null) throw bad(problem);

  const taken: TreeEntry[] = [];
  const files = objects.filter(({ entry }) => entry.kind === 'file' || entry.kind === 'program');
  await blobs(git, folder, files, ask, ({ entry }, bytes) => {
    const file = join(into, entry.path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes, { flag: 'wx' });
    if (entry.kind === 'program') chmodSync(file, 0o755);
    taken.push({ path: entry.path, kind: entry.kind === 'program' ? 'program' : 'file', sha256: hexOf(bytes) });
  });
  // Last: nothing was written through one.
  for (const [path, to] of targets) {
    mkdirSync(dirname(join(into, path)), { recursive: true });
    symlinkSync(to, join(into, path));
    taken.push({ path, kind: 'link', sha256: hexOf(to) });
  }
  return taken;
}

/** All that git needs to take a folder for a repository: nothing in it can be executed. */
function emptyRepository(folder: string, format: 'sha1' | 'sha256'): void {
  for (const part of ['objects', 'refs']) mkdirSync(join(folder, part), { recursive: true });
  writeFileSync(join(folder, 'HEAD'), 'ref: refs/heads/none\n');
  const extension = format === 'sha1' ? '' : `[extensions]\n\tobjectFormat = ${format}\n`;
  const version = format === 'sha1' ? 0 : 1;
  writeFileSync(join(folder, 'config'), `[core]\n\trepositoryformatversion = ${version}\n\tbare = true\n${extension}`);
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Stored {
  readonly entry: Listed;
  readonly object: string;
}

const hexOf = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/** What `git ls-tree` says of every entry, up to one more than a plugin may have. */
async function listed(git: Git, folder: string, tree: string, ask: GitAsk): Promise<readonly Stored[]> {
  const found: Stored[] = [];
  let rest: Buffer = Buffer.alloc(0);
  await git(['-C', folder, 'ls-tree', '-r', '-z', '--long', '--full-tree', tree], {
    ...ask,
    take(chunk) {
      rest = Buffer.concat([rest, chunk]);
      for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
        found.push(stored(rest.subarray(0, end)));
        rest = rest.subarray(end + 1);
        if (found.length > TREE_FILES) return true;
      }
      // One path may not be endless either.
      return rest.length > REFS_BYTES;
    },
  });
  return found;
}

function stored(line: Buffer): Stored {
  const tab = line.indexOf(9);
  const [mode = '', , object = '', size = ''] = line.subarray(0, tab).toString('latin1').split(/ +/);
  const path = line.subarray(tab + 1).toString('utf8');
  const sizeBytes = Number(size);
  switch (mode) {
    case '100644':
    case '100664':
      return { object, entry: { path, kind: 'file', sizeBytes } };
    case '100755':
      return { object, entry: { path, kind: 'program', sizeBytes } };
    case '120000':
      return { object, entry: { path, kind: 'link', sizeBytes, to: '' } };
    case '160000':
      return {
        object,
        entry: { path, kind: 'other', what: 'a submodule: its files must be in the repository itself' },
      };
    default:
      return { object, entry: { path, kind: 'other', what: `neither a file nor a link (mode ${mode})` } };
  }
}

/** Reads blobs in order, one at a time in memory. */
async function blobs(
  git: Git,
  folder: string,
  all: readonly Stored[],
  ask: GitAsk,
  each: (one: Stored, bytes: Buffer) => void,
): Promise<void> {
  if (all.length === 0) return;
  let next = 0;
  let wanted: number | null = null;
  let parts: Buffer[] = [];
  let have = 0;
  const take = (chunk: Buffer): boolean => {
    parts.push(chunk);
    have += chunk.length;
    // "<object> blob <size>\n", the bytes, "\n".
    while (next < all.length && (wanted === null || have > wanted)) {
      const bytes = parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts, have);
      let left = bytes;
      if (wanted === null) {
        const end = bytes.indexOf(10);
        if (end < 0) break;
        const [, kind, size] = bytes.subarray(0, end).toString('latin1').split(' ');
        if (kind !== 'blob' || Number(size) > TREE_BYTES)
          throw new GitError('an object of it is not what it was said to be');
        wanted = Number(size);
        left = bytes.subarray(end + 1);
      }
      if (left.length > wanted) {
        const one = all[next];
        if (one !== undefined) each(one, left.subarray(0, wanted));
        next += 1;
        left = left.subarray(wanted + 1);
        wanted = null;
      }
      parts = [left];
      have = left.length;
    }
    return next === all.length;
  };
  let failed: Error | null = null;
  await git(['-C', folder, 'cat-file', '--batch'], {
    ...ask,
    input: `${all.map(({ object }) => object).join('\n')}\n`,
    take(chunk) {
      try {
        return take(chunk);
      } catch (error) {
        failed = error instanceof Error ? error : new Error(wordsOf(error));
        return true;
      }
    },
  });
  if (failed !== null) throw failed as Error;
  if (next < all.length) throw new GitError('an object of it is missing');
}

async function said(git: Git, args: readonly string[], ask: GitAsk): Promise<string> {
  let text = '';
  await git(args, {
    ...ask,
    take(chunk) {
      text += chunk.toString('utf8');
      return text.length > REFS_BYTES;
    },
  });
  return text;
}

function unreachable(remote: Remote, error: unknown): unknown {
  if (!(error instanceof GitError)) return error;
  const redirect = /redirect|error: 30[0-9]/i.test(error.message)
    ? '; redirects are not followed: declare the address that it leads to'
    : '';
  return transient(
    'fetch-failed',
    `${remote.called} cannot be fetched from ${remote.url}: ${error.message}${redirect}`,
    error,
  );
}
