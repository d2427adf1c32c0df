/** Checked plugins at rest in a temporary folder, as sources hand them over; gone with the test that made them. */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { treeDigest, type TreeEntry } from '../../src/core/plugin-tree.ts';
import type { PluginTree } from '../../src/ports/plugin-source.ts';

type TreeFile = string | { readonly link: string } | { readonly program: string };

export interface TreeAsk {
  readonly files?: { readonly [path: string]: TreeFile };
  readonly source?: string;
  readonly ref?: string;
  readonly restart?: boolean;
  readonly needs?: readonly string[];
}

export function pluginTree(name: string, ask: TreeAsk = {}): PluginTree {
  const { ref = 'v1', restart = false, needs = [] } = ask;
  const files: { readonly [path: string]: TreeFile } = {
    'plugin.json': JSON.stringify({ name, version: ref, restart, needs }),
    ...ask.files,
  };
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-tree-'));
  const entries = Object.entries(files).map(([path, is]): TreeEntry => {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    if (typeof is === 'object' && 'link' in is) symlinkSync(is.link, file);
    else writeFileSync(file, typeof is === 'string' ? is : is.program);
    const program = typeof is === 'object' && 'program' in is;
    if (program) chmodSync(file, 0o755);
    const bytes = typeof is === 'string' ? is : 'link' in is ? is.link : is.program;
    const kind = typeof is === 'string' ? 'file' : program ? 'program' : 'link';
    return { path, kind, sha256: createHash('sha256').update(bytes).digest('hex') };
  });
  const digest = treeDigest(entries);
  return {
    source: ask.source ?? `git+file:///srv/${name}`,
    ref,
    sha: digest.slice(7, 47),
    treeDigest: digest,
    name,
    version: ref,
    restart,
    needs,
    entries,
    sizeBytes: entries.reduce((sum, { path }) => sum + lstatSync(join(folder, path)).size, 0),
    folder,
    release: () => rmSync(folder, { recursive: true, force: true }),
  };
}
