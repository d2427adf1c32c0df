/**
 * A document as values that know their line. Merging templates and filling in names makes new trees out of these, so an
 * error found at the very end still points at the line that it came from.
 */
import type { Json } from '../model.ts';
import type { Path } from './problems.ts';

export type Node = ScalarNode | ListNode | MapNode;

export interface ScalarNode {
  readonly kind: 'scalar';
  readonly value: null | boolean | number | string;
  readonly line: number;
  /** Where it stands in the text, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

export interface ListNode {
  readonly kind: 'list';
  readonly items: readonly Node[];
  readonly line: number;
}

export interface MapNode {
  readonly kind: 'map';
  readonly entries: ReadonlyMap<string, MapEntry>;
  readonly line: number;
}

export interface MapEntry {
  /** The line of the key: where a reader looks for "run". */
  readonly line: number;
  readonly node: Node;
}

export function emptyMap(line: number): MapNode {
  return { kind: 'map', entries: new Map(), line };
}

export function toJson(node: Node): Json {
  switch (node.kind) {
    case 'scalar':
      return node.value;
    case 'list':
      return node.items.map(toJson);
    case 'map': {
      const object: { [key: string]: Json } = {};
      for (const [key, entry] of node.entries) object[key] = toJson(entry.node);
      return object;
    }
  }
}

/** The node at a path, if there is one. */
export function nodeAt(node: Node, path: Path): Node | undefined {
  let at: Node | undefined = node;
  for (const step of path) at = at === undefined ? undefined : stepInto(at, step)?.node;
  return at;
}

/** The line of the deepest part of the path that exists; `own` is that of the node itself. */
export function lineAt(node: Node, path: Path, own: number = node.line): number {
  let at = node;
  let line = own;
  for (const step of path) {
    const next = stepInto(at, step);
    if (next === undefined) break;
    line = next.line;
    at = next.node;
  }
  return line;
}

/** The child entry of a map, or undefined. */
export function child(node: Node | undefined, key: string): Node | undefined {
  return node?.kind === 'map' ? node.entries.get(key)?.node : undefined;
}

function stepInto(node: Node, step: string | number): MapEntry | undefined {
  if (node.kind === 'map') return node.entries.get(String(step));
  if (node.kind !== 'list' || typeof step !== 'number') return undefined;
  const item = node.items[step];
  return item === undefined ? undefined : { line: item.line, node: item };
}
