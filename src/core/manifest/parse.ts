/**
 * Text → one document of nodes that know their line. YAML 1.2 core schema, hence JSON as well.
 *
 * Promises:
 *  1. It ends: size, depth and what aliases may repeat are bounded before anything is built from them.
 *  2. One text, one meaning: duplicate keys, several documents, tags, YAML 1.1's "yes", numbers that JavaScript cannot
 *     hold exactly and aliases without an anchor are errors, never a silent choice.
 *  3. Every error has a line; the text itself, which may hold secrets, is not repeated in any.
 */
import { isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Alias, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml';
import { MANIFEST_ALIAS_VALUES, MANIFEST_DEPTH } from '../limits.ts';
import type { MapEntry, Node } from './nodes.ts';
import { collectProblems } from './problems.ts';
import type { Path, Problem, Problems } from './problems.ts';
import { composeYaml, TOO_DEEP } from './yaml-text.ts';

export type ParsedText =
  | { readonly ok: true; /** null: an empty text. */ readonly root: Node | null }
  | {
      readonly ok: false;
      readonly errors: readonly Problem[];
      /** Where nothing but repeated keys is wrong: what, with the first of each, can be looked through for other mistakes. */
      readonly rest?: { readonly root: Node | null; readonly problems: Problems };
    };

/** Reads one YAML or JSON document of at most `maxBytes` of UTF-8. Throws nothing. */
export function parseText(text: string, maxBytes: number): ParsedText {
  const problems = collectProblems();
  if (text.length > maxBytes || utf8Bytes(text) > maxBytes) {
    problems.add([], 1, `larger than ${maxBytes} bytes, the most that is read`);
    return { ok: false, errors: problems.list() };
  }
  const { document, faults, lineOf } = composeYaml(text);
  for (const { offset, message } of faults) problems.add([], lineOf(offset), message);
  if (problems.count > 0) return { ok: false, errors: problems.list() };

  const contents = document?.contents ?? null;
  const { root, twice } = contents === null ? { root: null, twice: 0 } : convert(contents, lineOf, problems);
  if (problems.count === 0) return { ok: true, root };
  return { ok: false, errors: problems.list(), ...(problems.count === twice && { rest: { root, problems } }) };
}

function utf8Bytes(text: string): number {
  let bytes = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) bytes += 1;
    else if (unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff))
      bytes += 2; // a surrogate pair: 2 × 2
    else bytes += 3;
  }
  return bytes;
}

// ── conversion ──────────────────────────────────────────────────────────────────────────────────────────────────────

const PLAIN_TAGS: ReadonlySet<string> = new Set(
  ['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map((name) => `tag:yaml.org,2002:${name}`),
);

type Content = Alias | Scalar | YAMLMap | YAMLSeq;

interface Walk {
  readonly lineOf: (offset: number) => number;
  readonly problems: Problems;
  /** The newest anchor of each name in document order, and whether its value is still being read. */
  readonly anchors: Map<string, { readonly content: Content; readonly open: boolean }>;
  /** Depth of aliases being followed; values met inside any are counted. */
  aliased: number;
  repeated: number;
  /** Keys that were said twice. */
  twice: number;
}

function convert(
  contents: unknown,
  lineOf: (offset: number) => number,
  problems: Problems,
): { root: Node; twice: number } {
  const walk: Walk = { lineOf, problems, anchors: new Map(), aliased: 0, repeated: 0, twice: 0 };
  const root = nodeOf(walk, contents, [], 1);
  return { root, twice: walk.twice };
}

function nodeOf(walk: Walk, content: unknown, path: Path, parentLine: number): Node {
  const line = startLine(walk, content) ?? parentLine;
  const fail = (message: string): Node => {
    walk.problems.add(path, line, message);
    return { kind: 'scalar', value: null, line, start: 0, end: 0 };
  };
  if (path.length > MANIFEST_DEPTH) return fail(TOO_DEEP);
  if (walk.aliased > 0 && ++walk.repeated > MANIFEST_ALIAS_VALUES) {
    // Said once; the rest of the walk returns here at once, and what is left to walk is bounded by the text.
    return walk.repeated === MANIFEST_ALIAS_VALUES + 1
      ? fail(`aliases repeat more than ${MANIFEST_ALIAS_VALUES} values: this looks like a YAML bomb`)
      : { kind: 'scalar', value: null, line, start: 0, end: 0 };
  }
  if (isAlias(content)) return followAlias(walk, content, path, line, fail);
  if (content === null) return { kind: 'scalar', value: null, line, start: 0, end: 0 };
  if (!isScalar(content) && !isMap(content) && !isSeq(content)) return fail('not a value');
  if (content.tag !== undefined && !PLAIN_TAGS.has(content.tag)) return fail('tags ("!…") are not read here');

  const anchor = content.anchor;
  if (anchor !== undefined) walk.anchors.set(anchor, { content, open: true });
  const node = isScalar(content)
    ? scalarOf(content, line, fail)
    : isSeq(content)
      ? { kind: 'list' as const, line, items: content.items.map((item, i) => nodeOf(walk, item, [...path, i], line)) }
      : mapOf(walk, content, path, line);
  if (anchor !== undefined) walk.anchors.set(anchor, { content, open: false });
  return node;
}

function followAlias(walk: Walk, alias: Alias, path: Path, line: number, fail: (message: string) => Node): Node {
  const anchor = walk.anchors.get(alias.source);
  if (anchor === undefined) return fail(`the alias *${alias.source} has no anchor before it`);
  if (anchor.open) return fail(`the alias *${alias.source} stands inside its own anchor`);
  walk.aliased++;
  const node = nodeOf(walk, anchor.content, path, line);
  walk.aliased--;
  return node;
}

function scalarOf(scalar: Scalar, line: number, fail: (message: string) => Node): Node {
  const { value, range } = scalar;
  const [start, end] = range ?? [0, 0];
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return fail('not a finite number');
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      return fail('a number too large to be kept exactly: put it in quotes');
    }
    return { kind: 'scalar', value: value === 0 ? 0 : value, line, start, end };
  }
  if (value === null || typeof value === 'string' || typeof value === 'boolean') {
    return { kind: 'scalar', value, line, start, end };
  }
  return fail('not a value that JSON has');
}

function mapOf(walk: Walk, map: YAMLMap, path: Path, line: number): Node {
  const entries = new Map<string, MapEntry>();
  for (const pair of map.items) {
    const keyLine = startLine(walk, pair.key) ?? line;
    const key = keyOf(pair);
    if (key === null) {
      walk.problems.add(path, keyLine, 'a key must be a word');
      continue;
    }
    const at = [...path, key];
    // As a property it would change an object's nature instead of its content.
    if (key === '__proto__') walk.problems.add(at, keyLine, 'this key is not accepted');
    const earlier = entries.get(key);
    if (earlier !== undefined) {
      walk.twice += 1;
      walk.problems.add(at, keyLine, `said twice: first in line ${earlier.line}`);
    }
    const node = nodeOf(walk, pair.value, at, keyLine);
    if (earlier === undefined && key !== '__proto__') entries.set(key, { line: keyLine, node });
  }
  return { kind: 'map', entries, line };
}

/** Keys are words: 8080 and true are "8080" and "true", as they were written. */
function keyOf(pair: Pair): string | null {
  const key = pair.key;
  if (!isScalar(key) || key.anchor !== undefined || (key.tag !== undefined && !PLAIN_TAGS.has(key.tag))) return null;
  if (typeof key.value === 'string') return key.value;
  return key.value === null ? null : (key.source ?? null);
}

function startLine(walk: Walk, content: unknown): number | null {
  const range = (content as { range?: readonly number[] | null } | null | undefined)?.range;
  return range?.[0] === undefined ? null : walk.lineOf(range[0]);
}
