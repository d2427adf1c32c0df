/**
 * Declared plugins: `source#ref` as one string or as a map, each source once, from a scheme that may be used.
 */
import type { PluginSpec } from '../model.ts';
import { isRelativePath, RELATIVE_WORDS } from './checks.ts';
import type { FailAt } from './checks.ts';
import { PLUGIN_SCHEMES } from './context.ts';
import type { ManifestContext } from './context.ts';
import { didYouMean, listNames } from './problems.ts';
import { unescaped } from './references.ts';
import type { InstanceDocument } from './schema.ts';

type PluginDocument = NonNullable<InstanceDocument['plugins']>[number];

export function freezePlugins(
  documents: readonly PluginDocument[],
  context: ManifestContext,
  fail: FailAt,
): readonly PluginSpec[] {
  const seen = new Map<string, number>();
  const plugins: PluginSpec[] = [];
  for (const [i, document] of documents.entries()) {
    const failHere = (key: string | null, message: string): void =>
      fail(typeof document === 'string' || key === null ? ['plugins', i] : ['plugins', i, key], message);
    const plugin = freezePlugin(document, failHere);
    if (plugin === null) continue;
    checkSource(plugin.source, context, (message) => failHere('source', message));
    const earlier = seen.get(plugin.source);
    if (earlier !== undefined) failHere('source', `said twice: plugins[${earlier}] has this source already`);
    else seen.set(plugin.source, i);
    plugins.push(plugin);
  }
  return plugins;
}

/** Where the path begins in a source that lies on this host ("file:./x", "git+file:///x"); null for any other. */
export function hostPathStart(source: string): number | null {
  const found = /^(?:git\+)?file:(?:\/\/(?=\/))?/.exec(source);
  return found === null ? null : found[0].length;
}

function freezePlugin(
  document: PluginDocument,
  fail: (key: string | null, message: string) => void,
): PluginSpec | null {
  const given = typeof document === 'string' ? { source: document } : document;
  const [source = '', inSource, ...more] = unescaped(given.source).split('#');
  if (more.length > 0 || inSource === '') {
    fail('source', 'expected "source#ref" with one "#" and something after it');
    return null;
  }
  if (inSource !== undefined && given.ref !== undefined) {
    fail('ref', 'the ref is said twice: after the "#" of the source, and here');
    return null;
  }
  return {
    source,
    ref: inSource ?? (given.ref === undefined ? null : unescaped(given.ref)),
    integrity: given.integrity ?? null,
    track: given.track ?? false,
  };
}

function checkSource(source: string, context: ManifestContext, fail: (message: string) => void): void {
  const allowed = context.pluginSchemes ?? PLUGIN_SCHEMES;
  const scheme = /^([a-z][a-z0-9+.-]*):(?=.)/.exec(source)?.[1];
  if (scheme === undefined) {
    fail(`expected a source such as "git+https://host/repo#v1": it begins with one of ${listNames(allowed)}`);
    return;
  }
  if (allowed.size === 0) {
    fail('no target of this build can deliver plugins yet');
    return;
  }
  if (!allowed.has(scheme)) {
    const why = PLUGIN_SCHEMES.has(scheme) ? 'not allowed here (allow.pluginSources)' : 'not known';
    fail(
      `plugin sources of scheme "${scheme}" are ${why}${didYouMean(scheme, allowed) || `: there are ${listNames(allowed)}`}`,
    );
    return;
  }
  const start = hostPathStart(source);
  if (start !== null && isRelativePath(source.slice(start)) && !context.allowRelative) fail(RELATIVE_WORDS);
}
