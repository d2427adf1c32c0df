/**
 * Declared plugins: `source#ref` as one string or as a map, each source once, on a target that can deliver it, and as far as
 * this server allows.
 */
import type { PluginSpec } from '../model.ts';
import { forbidden, hostPathStart, isRef, parseSource, PLUGIN_SCHEMES, schemeOf } from '../plugin-source.ts';
import { isRelativePath, RELATIVE_WORDS } from './checks.ts';
import type { FailAt } from './checks.ts';
import type { ManifestContext, TargetTypeInfo } from './context.ts';
import { didYouMean, listNames } from './problems.ts';
import { secretNames, unescaped } from './references.ts';
import type { InstanceDocument } from './schema.ts';

type PluginDocument = NonNullable<InstanceDocument['plugins']>[number];
type Fail = (key: string | null, message: string) => void;

export function freezePlugins(
  documents: readonly PluginDocument[],
  type: TargetTypeInfo | null,
  context: ManifestContext,
  fail: FailAt,
): readonly PluginSpec[] {
  if (documents.length > 0 && type !== null && type.plugins !== true) {
    fail(['plugins'], `a target of type ${type.type} cannot deliver plugins; declare none for it ("plugins: []")`);
    return [];
  }
  const seen = new Map<string, number>();
  const plugins: PluginSpec[] = [];
  for (const [i, document] of documents.entries()) {
    const failHere: Fail = (key, message) =>
      fail(typeof document === 'string' || key === null ? ['plugins', i] : ['plugins', i, key], message);
    const plugin = freezePlugin(document, failHere);
    if (plugin === null) continue;
    checkPlugin(plugin, context, failHere);
    const earlier = seen.get(plugin.source);
    if (earlier !== undefined) failHere('source', `said twice: plugins[${earlier}] has this source already`);
    else seen.set(plugin.source, i);
    plugins.push(plugin);
  }
  return plugins;
}

function freezePlugin(document: PluginDocument, fail: Fail): PluginSpec | null {
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
    header: given.header ?? null,
  };
}

function checkPlugin(plugin: PluginSpec, context: ManifestContext, fail: Fail): void {
  const { source, ref, header } = plugin;
  const scheme = schemeOf(source);
  if (scheme !== null && !PLUGIN_SCHEMES.has(scheme)) {
    const hint = didYouMean(scheme, PLUGIN_SCHEMES) || `: there are ${listNames(PLUGIN_SCHEMES)}`;
    fail('source', `plugin sources of scheme "${scheme}" are not known${hint}`);
    return;
  }
  const start = hostPathStart(source);
  if (start !== null && isRelativePath(source.slice(start))) {
    // The command line makes it absolute before it is sent.
    if (!context.allowRelative) fail('source', RELATIVE_WORDS);
    return;
  }
  const parsed = parseSource(source);
  if (typeof parsed === 'string') {
    fail('source', parsed);
    return;
  }
  if (ref !== null && !isRef(ref)) fail('ref', `"${ref}" is no name of a branch, a tag or a commit`);
  if (header !== null) checkHeader(header, scheme, fail);
  const against = context.plugins === undefined ? null : forbidden(plugin, context.plugins);
  if (against !== null) fail('source', against);
}

function checkHeader(header: string, scheme: string | null, fail: Fail): void {
  if (scheme === null || !/^(?:gitea|github|git\+https?)$/.test(scheme))
    fail('header', 'a header can only be sent over HTTP: to gitea, github, git+https or git+http');
  if (secretNames(header).length === 0)
    fail('header', 'a header that holds no secret is in plain sight: write "Authorization: token ${secret:NAME}"');
}
