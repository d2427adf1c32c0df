/**
 * A manifest's text → the frozen specs of its fleet, or every error in it with path and line. The whole manifest is
 * refused on any error: half a fleet's intentions are nobody's.
 *
 * Promises: pure; nothing declared is ignored (an unknown key is an error); `revision` is the same for texts that mean
 * the same; `normalised` is itself a manifest and reads to the same revision and specs.
 */
import { contentHash } from '../hash.ts';
import { MANIFEST_BYTES, MANIFEST_INSTANCES } from '../limits.ts';
import type { Json, JsonObject, Policy, Spec, SpecHashes } from '../model.ts';
import type { ManifestContext } from './context.ts';
import { freezePolicy, freezeSpec } from './freeze.ts';
import { secretsOf, specHashes } from './hashes.ts';
import { child, emptyMap, lineAt, toJson } from './nodes.ts';
import type { MapNode, Node } from './nodes.ts';
import { parseText } from './parse.ts';
import { collectProblems, didYouMean, kindOf, listNames } from './problems.ts';
import type { Path, Problem, Problems } from './problems.ts';
import { frameSchema, instanceSchema, layerSchema, MANIFEST_VERSION, NAME_PATTERN, NAME_WORDS } from './schema.ts';
import { checkRevealed } from './revealed.ts';
import { checkShape } from './shape.ts';
import { interpolate, mergeLayers } from './templates.ts';

export interface Manifest {
  readonly fleet: string;
  readonly policy: Policy;
  /** By name, in code-unit order. */
  readonly specs: ReadonlyMap<string, ManifestInstance>;
  /** Templates merged, names filled in, nothing defaulted: what was meant, for the log and for clients. */
  readonly normalised: JsonObject;
  readonly revision: string;
}

export interface ManifestInstance {
  readonly spec: Spec;
  readonly hashes: SpecHashes;
  /** Names of the secrets it refers to. */
  readonly secrets: readonly string[];
}

export type ReadManifest =
  { readonly ok: true; readonly manifest: Manifest } | { readonly ok: false; readonly errors: readonly Problem[] };

/** Reads YAML or JSON of at most `MANIFEST_BYTES`. Throws only if a target type or a channel does. */
export function readManifest(text: string, context: ManifestContext): ReadManifest {
  const parsed = parseText(text, MANIFEST_BYTES);
  // A key that is said twice hides no other mistake: the first of them is looked through.
  const readable = parsed.ok ? { root: parsed.root, problems: collectProblems() } : parsed.rest;
  if (readable === undefined) return { ok: false, errors: parsed.ok ? [] : parsed.errors };
  const { root, problems } = readable;
  const manifest = readRoot(root, context, problems);
  if (problems.count > 0 || manifest === null) return { ok: false, errors: problems.list() };
  return { ok: true, manifest };
}

/** Where an instance is declared, for problems that only its fleet can tell; null: nowhere in this text. */
export function instanceLine(text: string, name: string): number | null {
  const parsed = parseText(text, MANIFEST_BYTES);
  if (!parsed.ok || parsed.root?.kind !== 'map') return null;
  const found = child(parsed.root, 'instances');
  return found?.kind === 'map' ? (found.entries.get(name)?.line ?? null) : null;
}

// ── the frame ───────────────────────────────────────────────────────────────────────────────────────────────────────

function readRoot(root: Node | null, context: ManifestContext, problems: Problems): Manifest | null {
  if (root?.kind !== 'map') {
    const what = root === null || toJson(root) === null ? 'empty' : kindOf(toJson(root));
    problems.add([], root?.line ?? 1, `expected a map with version, fleet and instances, but this is ${what}`);
    return null;
  }
  const document = mergeLayers([frameOf(root)], root.line); // without its nulls
  const frame = checkShape(frameSchema, toJson(document), 'now', (path, message) =>
    problems.add(path, lineAt(document, path), message),
  );
  if (frame !== null && context.fleet !== undefined && frame.fleet !== context.fleet) {
    problems.add(
      ['fleet'],
      lineAt(root, ['fleet']),
      `this is fleet "${frame.fleet}", sent to fleet "${context.fleet}"`,
    );
  }
  const instances = readInstances(root, context, problems);
  if (frame === null || problems.count > 0) return null;

  const declared = Object.fromEntries(instances.map(({ name, declared: document }) => [name, document]));
  const normalised: JsonObject = {
    version: MANIFEST_VERSION,
    fleet: frame.fleet,
    policy: (frame.policy ?? {}) as JsonObject,
    instances: declared,
  };
  const specs = new Map(instances.map(({ name, instance }) => [name, instance]));
  return {
    fleet: frame.fleet,
    policy: freezePolicy(frame.policy ?? {}),
    specs,
    normalised,
    revision: contentHash(normalised),
  };
}

// ── instances ───────────────────────────────────────────────────────────────────────────────────────────────────────

interface ReadInstance {
  readonly name: string;
  readonly declared: Json;
  readonly instance: ManifestInstance;
}

interface Layers {
  readonly defaults: MapNode | null;
  /** null: declared, but not a map, which was said where it stands. */
  readonly templates: ReadonlyMap<string, MapNode | null>;
  readonly used: Set<string>;
}

function readInstances(root: MapNode, context: ManifestContext, problems: Problems): readonly ReadInstance[] {
  const layers = readLayers(root, problems);
  const fleet = child(root, 'fleet');
  const fleetName = fleet?.kind === 'scalar' ? String(fleet.value) : '';
  const found = child(root, 'instances');
  const entries = found?.kind === 'map' ? [...found.entries] : [];
  if (entries.length > MANIFEST_INSTANCES) {
    problems.add(
      ['instances'],
      lineAt(root, ['instances']),
      `${entries.length} instances: at most ${MANIFEST_INSTANCES} are accepted`,
    );
    return [];
  }
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  const read: ReadInstance[] = [];
  for (const [name, { line, node }] of entries) {
    const instance = readInstance(name, node, line, layers, fleetName, context, problems);
    if (instance !== null) read.push(instance);
  }
  // What no instance uses is checked all the same: a slip in it would be found on the day it is needed.
  const anyNames = namesFor('name', 'fleet');
  for (const [name, template] of layers.templates) {
    if (template === null || layers.used.has(name)) continue;
    interpolate(template, anyNames, (path, line, message) => problems.add(['templates', name, ...path], line, message));
  }
  return read;
}

function readLayers(root: MapNode, problems: Problems): Layers {
  const defaults = child(root, 'defaults');
  const templates = child(root, 'templates');
  const readable = new Map<string, MapNode | null>();
  if (templates?.kind === 'map') {
    for (const [name, { line, node }] of templates.entries) {
      const path = ['templates', name];
      if (!NAME_PATTERN.test(name)) problems.add(path, line, NAME_WORDS);
      if (node.kind === 'map' && node.entries.has('from')) {
        problems.add(
          [...path, 'from'],
          lineAt(node, ['from']),
          'templates do not build on templates: only instances have from',
        );
      }
      const template = isLayer(node, path, line, problems) ? without(node, 'from') : null;
      readable.set(name, template);
      if (template !== null) checkLayer(layerSchema, template, path, line, problems);
    }
  }
  if (defaults?.kind === 'map') checkLayer(layerSchema, defaults, ['defaults'], defaults.line, problems);
  return { defaults: defaults?.kind === 'map' ? defaults : null, templates: readable, used: new Set() };
}

function readInstance(
  name: string,
  node: Node,
  line: number,
  layers: Layers,
  fleet: string,
  context: ManifestContext,
  problems: Problems,
): ReadInstance | null {
  const base: Path = ['instances', name];
  const before = problems.count;
  if (!NAME_PATTERN.test(name)) problems.add(base, line, NAME_WORDS);
  const inName = context.revealed?.(name) ?? null;
  if (inName !== null) problems.add(base, line, `the value of secret "${inName}" is part of this name`);
  if (!isLayer(node, base, line, problems)) return null;
  checkLayer(instanceSchema, node, base, line, problems);
  const template = templateOf(node, base, layers, problems);
  if (problems.count > before) return null;

  const stack = [layers.defaults, template, without(node, 'from')].filter((layer) => layer !== null);
  const merged = interpolate(mergeLayers(stack, line), namesFor(name, fleet), (path, at, message) =>
    problems.add([...base, ...path], at, message),
  );
  if (context.revealed !== undefined)
    checkRevealed(merged, context, (path, at, message) => problems.add([...base, ...path], at, message));
  const fail = (path: Path, message: string): void =>
    problems.add([...base, ...path], lineAt(merged, path, line), message);
  const declared = toJson(merged);
  const document = checkShape(layerSchema, declared, 'now', fail);
  if (document === null) return null;
  const frozen = freezeSpec(document, context, fail);
  if (frozen === null) return null;
  const { spec, type } = frozen;
  const hashes = specHashes(spec, type, context.secrets);
  return {
    name,
    declared,
    instance: { spec, hashes, secrets: secretsOf(spec) },
  };
}

function templateOf(node: MapNode, base: Path, layers: Layers, problems: Problems): MapNode | null {
  const from = child(node, 'from');
  if (from?.kind !== 'scalar' || typeof from.value !== 'string') return null;
  const template = layers.templates.get(from.value);
  layers.used.add(from.value);
  if (template === undefined) {
    const known = [...layers.templates.keys()];
    const hint =
      didYouMean(from.value, known) || (known.length === 0 ? ': there are none' : `: there are ${listNames(known)}`);
    problems.add([...base, 'from'], lineAt(node, ['from']), `unknown template "${from.value}"${hint}`);
  }
  return template ?? null;
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function isLayer(node: Node, path: Path, line: number, problems: Problems): node is MapNode {
  if (node.kind === 'map') return true;
  problems.add(path, line, `expected a map, but this is ${kindOf(toJson(node))}`);
  return false;
}

/** A layer alone: wrong is wrong, but what is missing may come from another one. */
function checkLayer(
  schema: typeof layerSchema | typeof instanceSchema,
  node: MapNode,
  base: Path,
  line: number,
  problems: Problems,
): void {
  const plain = mergeLayers([node], line);
  checkShape(schema, toJson(plain), 'later', (path, message) => {
    problems.add([...base, ...path], lineAt(plain, path, line), message);
  });
}

/** The root with nothing inside what is read layer by layer. */
function frameOf(root: MapNode): MapNode {
  const entries = new Map(root.entries);
  for (const key of ['defaults', 'templates', 'instances']) {
    const entry = entries.get(key);
    if (entry?.node.kind === 'map') entries.set(key, { ...entry, node: emptyMap(entry.node.line) });
  }
  return { ...root, entries };
}

function without(node: MapNode, key: string): MapNode {
  if (!node.entries.has(key)) return node;
  const entries = new Map(node.entries);
  entries.delete(key);
  return { ...node, entries };
}

function namesFor(name: string, fleet: string): ReadonlyMap<string, string> {
  return new Map([
    ['name', name],
    ['fleet', fleet],
  ]);
}
