/**
 * For the CLI: the manifest's text with its relative host paths made absolute, before it is sent to a server that may be
 * elsewhere. Only the paths are spliced; every other character, comments and line numbers included, stays.
 */
import { MANIFEST_BYTES } from '../limits.ts';
import { isRelativePath } from './checks.ts';
import { child, nodeAt } from './nodes.ts';
import type { MapNode, Node, ScalarNode } from './nodes.ts';
import { parseText } from './parse.ts';
import { collectProblems } from './problems.ts';
import type { Problem } from './problems.ts';
import { hostPathStart } from '../plugin-source.ts';
import { unescaped } from './references.ts';
import { mergeLayers } from './templates.ts';

export type AbsolutePaths =
  { readonly ok: true; readonly text: string } | { readonly ok: false; readonly errors: readonly Problem[] };

/** Built-in targets whose `run.cwd` is inside a container or on another machine: not ours to resolve. */
const CWD_ELSEWHERE: ReadonlySet<string> = new Set(['docker', 'ecs-ec2', 'ec2', 'external', 'swarm', 'kubernetes']);

/** `resolve`: `path.resolve` from the folder of the file. Fails only where the text cannot be read at all. */
export function withAbsolutePaths(text: string, resolve: (relative: string) => string): AbsolutePaths {
  const parsed = parseText(text, MANIFEST_BYTES);
  if (!parsed.ok) return parsed;
  const problems = collectProblems();
  const splices = new Map<number, { readonly end: number; readonly value: string }>();
  for (const { node, from } of hostPaths(parsed.root)) {
    const written = String(node.value);
    const path = written.slice(from);
    if (path.startsWith('${') || !isRelativePath(path)) continue;
    if (text.slice(node.start, node.end).includes('\n'))
      problems.add([], node.line, 'a relative path must stand on one line');
    // The folder's own name is text, so a "${" in it is escaped; what was written keeps its references.
    const marker = '\u0000';
    const resolved = resolve(path.replaceAll('${', marker))
      .replaceAll('${', () => '$${')
      .replaceAll(marker, () => '${');
    splices.set(node.start, { end: node.end, value: written.slice(0, from) + resolved });
  }
  if (problems.count > 0) return { ok: false, errors: problems.list() };

  let result = '';
  let at = 0;
  for (const [start, { end, value }] of [...splices].sort(([a], [b]) => a - b)) {
    result += text.slice(at, start) + JSON.stringify(value);
    at = end;
  }
  return { ok: true, text: result + text.slice(at) };
}

interface HostPath {
  readonly node: ScalarNode;
  /** Where the path begins in the string. */
  readonly from: number;
}

/** Every place that some instance takes a host path from; what no instance uses is not sent anywhere. */
function hostPaths(root: Node | null): readonly HostPath[] {
  const found: HostPath[] = [];
  const instances = root === null ? undefined : child(root, 'instances');
  if (root === null || instances?.kind !== 'map') return found;
  for (const { node, line } of instances.entries.values()) {
    const from = child(node, 'from');
    const template = from?.kind === 'scalar' ? nodeAt(root, ['templates', String(from.value)]) : undefined;
    const layers = [child(root, 'defaults'), template, node].filter((layer): layer is MapNode => layer?.kind === 'map');
    const merged = mergeLayers(layers, line);
    const target = child(merged, 'target');
    const cwd = nodeAt(merged, ['run', 'cwd']);
    const elsewhere = target?.kind === 'scalar' && CWD_ELSEWHERE.has(String(target.value));
    if (!elsewhere && isString(cwd)) found.push({ node: cwd, from: 0 });
    const plugins = child(merged, 'plugins');
    for (const plugin of plugins?.kind === 'list' ? plugins.items : []) {
      const source = plugin.kind === 'map' ? child(plugin, 'source') : plugin;
      const start = isString(source) ? hostPathStart(unescaped(String(source.value))) : null;
      if (isString(source) && start !== null) found.push({ node: source, from: start });
    }
  }
  return found;
}

function isString(node: Node | undefined): node is ScalarNode {
  return node?.kind === 'scalar' && typeof node.value === 'string';
}
