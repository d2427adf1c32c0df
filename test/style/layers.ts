/**
 * Who may import whom (DESIGN §22). Imports point down:
 *
 *   core ← ports ← stores, targets, channels, plugins, agent, observe ← runtime ← http, proxy ← cli        (web: on its own)
 *
 *  - `down`: a file imports its own layer or a lower one, never a higher one or a neighbour at the same height.
 *  - `wiring`: concrete adapters are named only in runtime/compose.ts and the cli; everything else knows ports.
 *  - `adapter`: one adapter does not import another (docker from process, sqlite from postgres).
 *  - `pure-imports`: core imports nothing but itself, zod, yaml and @noble/hashes.
 *  - `pure-globals`: core asks no clock, no dice and no machine. The compiler and the linter say most of this too; this says
 *    the rest (`new Date()`) and does not depend on their settings.
 *  - `outside`: nothing in src imports test, bench, scripts or examples.
 */
import { type Complaint, type Files, isTypeScript, nameOf, type Node, parse, type Parsed } from './source.ts';

const HEIGHT: Readonly<Record<string, number>> = {
  core: 0,
  ports: 1,
  stores: 2,
  targets: 2,
  channels: 2,
  plugins: 2,
  agent: 2,
  observe: 2,
  runtime: 3,
  http: 4,
  proxy: 4,
  cli: 5,
  web: 0,
};

/** The interchangeable parts, by folder. What else lies in these folders is shared by them. */
const ADAPTERS: Readonly<Record<string, readonly string[]>> = {
  stores: ['memory', 'sqlite', 'postgres'],
  targets: ['process', 'docker', 'ecs-ec2', 'ec2', 'external'],
  channels: ['file', 'openclaw'],
  plugins: [],
};

const WIRING = /^src\/(runtime\/compose\.ts$|cli\/)/;
const CORE_PACKAGES = /^(zod|yaml|@noble\/hashes)(\/|$)/;
const IMPURE_GLOBALS = new Set(
  (
    'globalThis global window process require Buffer console fetch crypto performance structuredClone ' +
    'setTimeout setInterval setImmediate queueMicrotask AbortController AbortSignal'
  ).split(' '),
);

export function layerComplaints(files: Files): Complaint[] {
  const complaints: Complaint[] = [];
  for (const [file, text] of files) {
    const from = place(file);
    if (from === null || !isTypeScript(file)) continue;
    const parsed = parse(file, text);
    for (const { specifier, file: target, line } of parsed.imports) {
      const found = target === null ? packageRule(from, specifier) : fileRule(from, target);
      if (found !== null) complaints.push({ file, line, ...found });
    }
    if (from.layer === 'core') complaints.push(...impurities(file, parsed));
  }
  return complaints;
}

interface Place {
  readonly file: string;
  readonly layer: string;
  readonly height: number;
  readonly adapter: string | null;
}

interface Found {
  readonly rule: string;
  readonly message: string;
}

/** Where in src a file lies; null outside of src. */
function place(file: string): Place | null {
  const [top, layer = '', part = ''] = file.split('/');
  if (top !== 'src') return null;
  const height = HEIGHT[layer];
  if (height === undefined)
    throw new Error(`${file}: no layer of DESIGN §22; add the folder to HEIGHT or move the file`);
  const name = part.replace(/\.tsx?$/, '');
  return { file, layer, height, adapter: ADAPTERS[layer]?.includes(name) === true ? name : null };
}

function packageRule(from: Place, specifier: string): Found | null {
  if (from.layer !== 'core' || CORE_PACKAGES.test(specifier)) return null;
  return { rule: 'pure-imports', message: `core may not import ${specifier}` };
}

function fileRule(from: Place, target: string): Found | null {
  const to = place(target);
  if (to === null) return { rule: 'outside', message: `src may not import ${target}` };
  if (to.layer === from.layer) {
    if (from.adapter === null || to.adapter === null || from.adapter === to.adapter) return null;
    return { rule: 'adapter', message: `${from.layer}/${from.adapter} may not import ${to.layer}/${to.adapter}` };
  }
  if (from.layer === 'web' || to.layer === 'web' || to.height >= from.height) {
    return { rule: 'down', message: `${from.layer} may not import ${to.layer} (${target})` };
  }
  if (to.layer in ADAPTERS && !WIRING.test(from.file)) {
    return { rule: 'wiring', message: `only runtime/compose.ts and the cli may import ${to.layer} (${target})` };
  }
  return null;
}

function impurities(file: string, { nodes, lineOf }: Parsed): Complaint[] {
  const found: Complaint[] = [];
  const names = new Set(nodes.flatMap(notReferences));
  const say = (node: Node, what: string): number =>
    found.push({ file, line: lineOf(node.start), rule: 'pure-globals', message: `core may not use ${what}` });
  for (const node of nodes) {
    if (node.type === 'Identifier' && IMPURE_GLOBALS.has(nameOf(node)) && !names.has(node)) say(node, nameOf(node));
    if (node.type === 'MemberExpression') {
      const member = `${nameOf(node['object'])}.${nameOf(node['property'])}`;
      if (member === 'Date.now' || member === 'Math.random') say(node, member);
    }
    if ((node.type === 'NewExpression' || node.type === 'CallExpression') && nameOf(node['callee']) === 'Date') {
      // `new Date(ms)` is arithmetic on an argument; without one it reads the clock.
      if (node.type === 'CallExpression' || (node['arguments'] as unknown[]).length === 0)
        say(node, 'the clock (new Date)');
    }
  }
  return found;
}

/** Identifiers that name a member, a key or a field rather than read a variable: `spec.process`, `{ process: 1 }`. */
function notReferences(node: Node): unknown[] {
  const named = ['Property', 'PropertyDefinition', 'MethodDefinition', 'TSPropertySignature', 'TSMethodSignature'];
  if (node.type === 'MemberExpression' && node['computed'] === false) return [node['property']];
  // In `{ process }` key and value are nodes of their own, so the value still counts as a reading.
  return named.includes(node.type) && node['computed'] === false ? [node['key']] : [];
}
