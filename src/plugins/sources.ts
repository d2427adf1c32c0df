/**
 * Declared plugins, fetched and checked: by git from gitea, GitHub or any repository, or from a folder of this host.
 *
 *  1. What a manifest may declare is asked again here: what is allowed may have changed since.
 *  2. The cache is asked before the network. Who got a tree with a secret header shares it with nobody of another fleet or
 *     header: to know a sha is not to have access.
 *  3. Nothing is handed over that does not pass `checks`, whose `plugin.json` is not valid, or that has another digest than the
 *     declared integrity.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { wordsOf } from '../core/error-words.ts';
import { secretNames, withSecrets } from '../core/manifest/references.ts';
import { forbidden, isWholeSha, parseSource, type PluginPolicy, type PluginSource } from '../core/plugin-source.ts';
import { sameDigest, treeDigest, type TreeEntry } from '../core/plugin-tree.ts';
import type { PluginSettings } from '../core/server-file.ts';
import type { PluginSources, PluginTree, WantedPlugin } from '../ports/plugin-source.ts';
import { TargetError } from '../ports/target.ts';
import { openCache, type About, type Held } from './cache.ts';
import { refused, terminal, transient } from './failure.ts';
import { copyFolder, readFolder } from './folder.ts';
import { GitError, openGit } from './git.ts';
import { FETCH_MS, FETCHES_AT_ONCE, FETCHES_WAITING, KNOWN_SHAS, MANIFEST_BYTES, RESOLVE_MS } from './limits.ts';
import { MANIFEST_FILE, readPluginManifest } from './manifest.ts';
import { fetchCommit, remoteSha, takeOut, type Remote } from './repository.ts';
import { sharing } from './shared.ts';

export interface SourcesOptions {
  /** A folder of this process's own. */
  readonly folder: string;
  readonly settings: PluginSettings;
  readonly policy: PluginPolicy;
  /** The present value of a fleet's secret. */
  readonly secret: (fleet: string, name: string) => Promise<string>;
}

export function openPluginSources({ folder, settings, policy, secret }: SourcesOptions): PluginSources {
  const cache = openCache(folder, settings.cacheBytes);
  const git = openGit(folder, { key: settings.sshKey, knownHosts: settings.sshKnownHosts });
  const full = (): Error => transient('too-many', `more than ${FETCHES_WAITING} plugins wait to be fetched`);
  const fetching = sharing(FETCHES_AT_ONCE, FETCHES_WAITING, FETCH_MS, full);
  const resolving = sharing(FETCHES_AT_ONCE, FETCHES_WAITING, RESOLVE_MS, full);
  /** What the beginning of a sha stood for, by repository. */
  const known = new Map<string, string>();

  async function headerOf({ fleet, header }: WantedPlugin): Promise<string | null> {
    if (header === null) return null;
    const values = new Map<string, string>();
    for (const name of secretNames(header)) values.set(name, await secret(fleet, name));
    const filled = withSecrets(header, (name) => values.get(name) ?? '');
    if (/[\r\n\0]/.test(filled))
      throw terminal('bad-secret', 'the secret in the header of a plugin has more than one line');
    return filled;
  }

  function partsOf(wanted: WantedPlugin): PluginSource {
    const parsed = parseSource(wanted.source);
    if (typeof parsed === 'string') throw terminal('bad-source', `${wanted.source}: ${parsed}`);
    const against = forbidden(wanted, policy);
    if (against !== null) throw terminal('not-allowed', `${wanted.source}: ${against}`);
    return parsed;
  }

  async function remoteOf(wanted: WantedPlugin, source: Exclude<PluginSource, { kind: 'folder' }>): Promise<Remote> {
    const header = await headerOf(wanted);
    const called = calledOf(wanted);
    if (source.kind === 'git') return { transport: source.transport, url: source.url, header, called };
    const url = `${settings[source.host]}/${source.repo}.git`;
    return { transport: url.startsWith('http:') ? 'http' : 'https', url, header, called };
  }

  /** Nothing but equals shares a key. */
  const keyOf = (remote: Remote, wanted: WantedPlugin, ...more: readonly (string | null)[]): string =>
    hexOf([remote.url, ...(remote.header === null ? [] : [wanted.fleet, wanted.header]), ...more]);

  async function shaOf(remote: Remote, wanted: WantedPlugin, signal: AbortSignal): Promise<string | null> {
    const { ref } = wanted;
    if (ref !== null && isWholeSha(ref)) return ref;
    const key = keyOf(remote, wanted, ref);
    const sha = await resolving(key, signal, (joint) => remoteSha(git, remote, ref, joint));
    return sha ?? known.get(key) ?? null;
  }

  async function fetched(wanted: WantedPlugin, signal: AbortSignal): Promise<Held> {
    const source = partsOf(wanted);
    if (source.kind === 'folder') return fromFolder(source.path, wanted);
    const remote = await remoteOf(wanted, source);
    const sha = await shaOf(remote, wanted, signal);
    const here = sha === null ? null : cache.hold(keyOf(remote, wanted, source.sub, sha));
    if (here !== null) return here;
    const ref = sha ?? wanted.ref ?? '';
    const words = { called: remote.called, pinned: isWholeSha(wanted.ref ?? '') };
    const held = await fetching(keyOf(remote, wanted, source.sub, ref), signal, (joint) =>
      cache.work(async (place) => {
        const commit = await fetchCommit(git, remote, ref, place, joint);
        if (sha === null) remember(keyOf(remote, wanted, ref), commit.sha);
        const made = await cache.put(keyOf(remote, wanted, source.sub, commit.sha), async (into) => {
          const entries = await takeOut(git, commit, source.sub, into, words, joint);
          return aboutOf(into, commit.sha, entries, words);
        });
        // Each who waits holds it for itself.
        made.release();
        return made;
      }),
    );
    return cache.hold(keyOf(remote, wanted, source.sub, held.about.sha)) ?? held;
  }

  function remember(key: string, sha: string): void {
    known.set(key, sha);
    for (const oldest of known.keys()) {
      if (known.size <= KNOWN_SHAS) return;
      known.delete(oldest);
    }
  }

  async function fromFolder(path: string, wanted: WantedPlugin): Promise<Held> {
    const called = calledOf(wanted);
    const sha = digestHex(readFolder(path, called));
    const key = hexOf(['folder', path, sha]);
    return (
      cache.hold(key) ??
      cache.put(key, async (into) => {
        const entries = copyFolder(path, into, called);
        if (digestHex(entries) !== sha) throw transient('changed', `${called} changed while it was copied`);
        return aboutOf(into, sha, entries, { called, pinned: false });
      })
    );
  }

  return {
    trackEveryMs: settings.trackEveryMs,

    async resolve(wanted, signal) {
      return inWords(wanted, signal, async () => {
        const source = partsOf(wanted);
        if (source.kind === 'folder') return digestHex(readFolder(source.path, calledOf(wanted)));
        const remote = await remoteOf(wanted, source);
        const sha = await shaOf(remote, wanted, signal);
        if (sha === null)
          throw transient('no-such-ref', `${remote.called}: the beginning of a sha cannot be tracked; it never moves`);
        return sha;
      });
    },

    async fetch(wanted, signal) {
      const held = await inWords(wanted, signal, () => fetched(wanted, signal));
      const { about, folder: place } = held;
      const { integrity } = wanted;
      if (integrity !== null && !sameDigest(integrity, about.treeDigest)) {
        held.release();
        const pinned = isWholeSha(wanted.ref ?? '');
        throw refused(
          pinned,
          'integrity',
          `${calledOf(wanted)} has another content than declared: it is ${about.treeDigest}, and integrity says ${integrity}`,
        );
      }
      const { source, ref } = wanted;
      return { ...about, source, ref, folder: place, release: () => held.release() } satisfies PluginTree;
    },
  };
}

const calledOf = ({ source, ref }: WantedPlugin): string => `plugin ${source}${ref === null ? '' : `#${ref}`}`;
const hexOf = (parts: readonly (string | null)[]): string =>
  createHash('sha256').update(JSON.stringify(parts)).digest('hex');
const digestHex = (entries: readonly TreeEntry[]): string => treeDigest(entries).slice('sha256:'.length);

/** Whatever goes wrong is said of this plugin. */
async function inWords<T>(wanted: WantedPlugin, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TargetError || signal.aborted) throw error;
    const code = error instanceof GitError ? 'fetch-failed' : 'plugin-failed';
    throw transient(code, `${calledOf(wanted)} could not be fetched: ${wordsOf(error)}`, error);
  }
}

function aboutOf(
  folder: string,
  sha: string,
  entries: readonly TreeEntry[],
  { called, pinned }: { readonly called: string; readonly pinned: boolean },
): About {
  const bad = (problem: string): Error => refused(pinned, 'bad-plugin', `${called} cannot be installed: ${problem}`);
  const file = join(folder, MANIFEST_FILE);
  const entry = entries.find(({ path }) => path === MANIFEST_FILE);
  if (entry === undefined) throw bad(`it has no ${MANIFEST_FILE} at its top, with name and version`);
  if (entry.kind === 'link') throw bad(`its ${MANIFEST_FILE} is a link, and must be a file`);
  if (lstatSync(file).size > MANIFEST_BYTES)
    throw bad(`its ${MANIFEST_FILE} is larger than ${MANIFEST_BYTES / 1024} KiB`);
  const read = readPluginManifest(readFileSync(file, 'utf8'));
  if (!read.ok) throw bad(read.problem);
  const sizeBytes = entries.reduce((sum, { path }) => sum + lstatSync(join(folder, path)).size, 0);
  return { ...read.manifest, sha, treeDigest: treeDigest(entries), entries, sizeBytes };
}
