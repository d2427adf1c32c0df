/**
 * How one instance comes out of what is declared for many: `defaults`, then its template, then itself. Maps merge,
 * lists and scalars replace, `null` removes; there are no loops and no conditions, so a reader can do it in the head.
 *
 * Inside `config.value` a null with nothing below it to remove is a value like any other: JSON has it, agents use it.
 */
import { child } from './nodes.ts';
import type { MapEntry, MapNode, Node } from './nodes.ts';
import type { Path } from './problems.ts';
import { fillIn } from './references.ts';

/** The layers merged, the last one strongest; nulls are gone. Nodes keep the lines of the layer they came from. */
export function mergeLayers(layers: readonly MapNode[], line: number): MapNode {
  let merged: MapNode = { kind: 'map', entries: new Map(), line };
  for (const layer of layers) merged = mergeMaps(merged, layer, []);
  return merged;
}

/** May secrets stand here? `path` begins inside an instance. */
export function secretsAllowedAt(path: Path): boolean {
  const inHeader = path[0] === 'plugins' && path[2] === 'header';
  return (path[0] === 'run' && path[1] === 'env') || inConfigValue(path) || inHeader;
}

/** The same tree with `${name}` and `${fleet}` filled in; shares every part without any. */
export function interpolate(
  node: Node,
  names: ReadonlyMap<string, string>,
  fail: (path: Path, line: number, message: string) => void,
  path: Path = [],
): Node {
  switch (node.kind) {
    case 'scalar': {
      if (typeof node.value !== 'string' || !node.value.includes('${')) return node;
      const filled = fillIn(node.value, names, secretsAllowedAt(path));
      for (const problem of filled.problems) fail(path, node.line, problem);
      return filled.text === node.value ? node : { ...node, value: filled.text };
    }
    case 'list': {
      const items = node.items.map((item, i) => interpolate(item, names, fail, [...path, i]));
      return items.every((item, i) => item === node.items[i]) ? node : { ...node, items };
    }
    case 'map': {
      let entries: Map<string, MapEntry> | null = null;
      for (const [key, entry] of node.entries) {
        const inner = interpolate(entry.node, names, fail, [...path, key]);
        if (inner !== entry.node) (entries ??= new Map(node.entries)).set(key, { line: entry.line, node: inner });
      }
      return entries === null ? node : { ...node, entries };
    }
  }
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function mergeMaps(lower: MapNode, upper: MapNode, path: Path): MapNode {
  const entries = new Map(lower.entries);
  for (const [key, { line, node }] of upper.entries) {
    const merged = merge(child(lower, key), node, [...path, key]);
    if (merged === undefined) entries.delete(key);
    else entries.set(key, { line, node: merged });
  }
  return { kind: 'map', entries, line: upper.line };
}

/** undefined: removed. */
function merge(lower: Node | undefined, upper: Node, path: Path): Node | undefined {
  if (upper.kind === 'map') {
    return mergeMaps(
      lower?.kind === 'map' ? lower : { kind: 'map', entries: new Map(), line: upper.line },
      upper,
      path,
    );
  }
  if (upper.kind === 'scalar' && upper.value === null) {
    return inConfigValue(path) && lower === undefined ? upper : undefined;
  }
  return upper;
}

function inConfigValue(path: Path): boolean {
  return path[0] === 'config' && path[1] === 'value';
}
