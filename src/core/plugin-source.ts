/**
 * Where a plugin comes from, taken apart, and what of it a server allows (DESIGN §11). Pure, so that a manifest is refused for
 * it before anything is asked of the network; who fetches asks the same again, since what is allowed may have changed since.
 *
 *   gitea://owner/repo[/sub]   github://owner/repo[/sub]            bases are settings of the server
 *   git+https://host/repo.git[//sub]   git+http://…   git+ssh://[user@]host/repo.git[//sub]   git+file:///folder[//sub]
 *   file:/folder             a folder of the server's host, as it is; a ref is but a label, another one takes it in anew
 *
 * Nothing here can carry a password, climb out of its folder, or be taken for an option of a program.
 */
export interface PluginSpec {
  readonly source: string;
  readonly ref: string | null;
  /** Digest that its tree must have (`core/plugin-tree`). */
  readonly integrity: string | null;
  readonly track: boolean;
  /** For a private source: one HTTP header, its secrets as references. */
  readonly header: string | null;
}

/** As it was read back. */
export interface InstalledPlugin {
  readonly source: string;
  readonly ref: string | null;
  readonly sha: string;
  readonly treeDigest: string;
  /** It takes effect, and ends, with a restart only. Left out: it does not need one. */
  readonly restart?: boolean;
}

export type PluginSource =
  | { readonly kind: 'hosted'; readonly host: 'gitea' | 'github'; readonly repo: string; readonly sub: string | null }
  | {
      readonly kind: 'git';
      readonly transport: 'https' | 'http' | 'ssh' | 'file';
      /** As git takes it; of `file` the path alone. */
      readonly url: string;
      readonly sub: string | null;
    }
  | { readonly kind: 'folder'; readonly path: string };

/** What a server allows. */
export interface PluginPolicy {
  /** Patterns of sources, or whole schemes; null: every source there is. */
  readonly sources: readonly string[] | null;
  /** Only what cannot change under its name: a whole sha, or an integrity. */
  readonly requirePinned: boolean;
  /** `git+http`: nobody vouches for what comes over it. */
  readonly plainHttp: boolean;
}

export const PLUGIN_SCHEMES: ReadonlySet<string> = new Set([
  'file',
  'gitea',
  'github',
  'git+file',
  'git+http',
  'git+https',
  'git+ssh',
]);

export const schemeOf = (source: string): string | null => /^([a-z][a-z0-9+.-]*):(?=.)/.exec(source)?.[1] ?? null;

/** Where the path begins in a source that lies on this host ("file:./x", "git+file:///x"); null for any other. */
export function hostPathStart(source: string): number | null {
  const found = /^(?:git\+)?file:(?:\/\/(?=\/))?/.exec(source);
  return found === null ? null : found[0].length;
}

/** The source taken apart, or what is wrong with it in words. */
export function parseSource(source: string): PluginSource | string {
  const scheme = schemeOf(source);
  const rest = scheme === null ? '' : source.slice(scheme.length + 1);
  switch (scheme) {
    case 'gitea':
    case 'github':
      return hosted(scheme, rest);
    case 'git+https':
    case 'git+http':
      return remote(scheme === 'git+http' ? 'http' : 'https', rest);
    case 'git+ssh':
      return remote('ssh', rest);
    case 'git+file':
    case 'file':
      return local(scheme, source.slice(hostPathStart(source) ?? 0));
    default:
      return `expected a source such as "git+https://host/repo.git": it begins with one of ${[...PLUGIN_SCHEMES].join(', ')}`;
  }
}

/** What stands against it under that policy; null: nothing. */
export function forbidden(
  plugin: Pick<PluginSpec, 'source' | 'ref' | 'integrity' | 'track'>,
  policy: PluginPolicy,
): string | null {
  const { source } = plugin;
  if (source.startsWith('git+http:') && !policy.plainHttp)
    return 'git+http is not allowed here (allow.plainHttp): use git+https';
  if (policy.sources !== null && !policy.sources.some((pattern) => matches(pattern, source)))
    return `this source is not allowed here (allow.pluginSources): there are ${policy.sources.join(', ') || 'none'}`;
  if (!policy.requirePinned) return null;
  if (plugin.track) return 'plugins must be pinned here (allow.requirePinned), and one that is tracked is not';
  if (plugin.integrity === null && !isWholeSha(plugin.ref ?? ''))
    return 'plugins must be pinned here (allow.requirePinned): give the whole sha after "#", or an integrity';
  return null;
}

/** A commit by its whole name, so that nothing else can ever be meant. */
export const isWholeSha = (ref: string): boolean => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(ref);

/** Something that git could take for a ref or a sha, and for nothing else. */
export const isRef = (ref: string): boolean =>
  /^(?!-)(?!.*(?:\.\.|@\{|\/\/|\/\.|\.lock(?:\/|$)))[^\s~^:?*[\\\p{Cc}]{1,250}$/u.test(ref) && !/[/.]$|^\//.test(ref);

/** A pattern of `allow.pluginSources`: a scheme, or a source in which "*" is part of one name and "**" is anything. */
export const isPattern = (pattern: string): boolean =>
  PLUGIN_SCHEMES.has(schemeOf(pattern) ?? pattern) && /^\S{1,1000}$/.test(pattern);

function matches(pattern: string, source: string): boolean {
  const scheme = schemeOf(pattern);
  if (scheme === null) return schemeOf(source) === pattern;
  const parts = pattern.split(/(\*\*|\*)/).map((part) => {
    if (part === '**') return '.*';
    return part === '*' ? '[^/]*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${parts.join('')}$`, 's').test(source);
}

// ── each kind ───────────────────────────────────────────────────────────────────────────────────────────────────────

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/;

function hosted(host: 'gitea' | 'github', rest: string): PluginSource | string {
  const [, owner = '', repo = '', sub] = /^\/\/([^/]*)\/([^/]*)(?:\/(.*))?$/.exec(rest) ?? [];
  const name = repo.replace(/\.git$/, '');
  if (!NAME.test(owner) || !NAME.test(name)) return `expected "${host}://owner/repo" or "${host}://owner/repo/folder"`;
  return withSub(sub, (folder) => ({ kind: 'hosted', host, repo: `${owner}/${name}`, sub: folder }));
}

const HOST = '(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\\[[0-9A-Fa-f:.]+\\])(?::\\d{1,5})?';

function remote(transport: 'https' | 'http' | 'ssh', rest: string): PluginSource | string {
  if (transport !== 'ssh' && /^\/\/[^/]*@/.test(rest))
    return 'a source must not carry a user or password: everybody could read it. Give a header with a secret in it';
  const user = transport === 'ssh' ? '(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}@)?' : '';
  const [, place, path = '', sub] = new RegExp(`^//(${user}${HOST})(/.*?)(?://(.*))?$`).exec(rest) ?? [];
  if (place === undefined || !isPath(path))
    return `expected "git+${transport}://host/path/repo.git", without "?", spaces or ".."`;
  return withSub(sub, (folder) => ({ kind: 'git', transport, url: `${transport}://${place}${path}`, sub: folder }));
}

function local(scheme: 'git+file' | 'file', path: string): PluginSource | string {
  const [, folder = '', sub] = /^(\/.*?)(?:\/\/(.*))?$/.exec(path) ?? [];
  if (!/^\/\P{Cc}*$/u.test(folder) || hasDots(folder)) return `expected "${scheme}:" and an absolute path without ".."`;
  if (scheme === 'file')
    return sub === undefined ? { kind: 'folder', path: folder } : 'a path must not have "//" in it';
  return withSub(sub, (inner) => ({ kind: 'git', transport: 'file', url: folder, sub: inner }));
}

function withSub(sub: string | undefined, make: (sub: string | null) => PluginSource): PluginSource | string {
  if (sub === undefined || sub === '') return make(null);
  const folder = sub.replace(/\/$/, '');
  const good = /^[^\p{Cc}\\]{1,500}$/u.test(folder) && !hasDots(folder) && !folder.split('/').includes('');
  return good ? make(folder) : 'the folder inside the repository must be a plain relative path without ".."';
}

const hasDots = (path: string): boolean => path.split('/').some((part) => part === '.' || part === '..');
const isPath = (path: string): boolean => /^\/[^\s\p{Cc}?\\]+$/u.test(path) && !hasDots(path);
