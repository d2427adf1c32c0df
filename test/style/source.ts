/**
 * The project's sources as data, so that a rule is a function from files to complaints and a planted violation is one entry
 * in a map. Parsed with oxc, the parser of our linter: a regular expression would meet imports in strings and comments.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix, relative, sep } from 'node:path';
import { parseSync, visitorKeys } from 'oxc-parser';

/** Path relative to the project, with forward slashes, to text. */
export type Files = ReadonlyMap<string, string>;

export interface Complaint {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

/** A syntax node, as far as the rules look at one. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

export interface Import {
  /** As written: `../core/model.ts`, `node:fs`, `zod`. */
  readonly specifier: string;
  /** The project's file it names, or null for a package. */
  readonly file: string | null;
  readonly line: number;
}

export interface Parsed {
  readonly imports: readonly Import[];
  readonly nodes: readonly Node[];
  readonly lineOf: (offset: number) => number;
}

export const ROOT = join(import.meta.dirname, '../..');

const SKIPPED = new Set(['node_modules', 'dist', 'coverage', '.git', '.holdfast', '.cache']);

/** Every file below `folders`, however deep, that `wanted` accepts; without folders, the whole project. */
export function readFiles(wanted: (path: string) => boolean, folders: readonly string[] = ['.']): Files {
  const files = new Map<string, string>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (SKIPPED.has(entry.name)) continue;
      const absolute = join(folder, entry.name);
      const path = relative(ROOT, absolute).split(sep).join('/');
      if (entry.isDirectory()) walk(absolute);
      else if (entry.isFile() && wanted(path)) files.set(path, readFileSync(absolute, 'utf8'));
    }
  };
  for (const folder of folders) walk(join(ROOT, folder));
  return files;
}

export function isTypeScript(path: string): boolean {
  return /\.tsx?$/.test(path);
}

export function parse(path: string, text: string): Parsed {
  const { program, module, errors } = parseSync(path, text);
  if (errors[0] !== undefined) throw new SyntaxError(`${path}: ${errors[0].message}`);

  const lineOf = (offset: number): number => text.slice(0, offset).split('\n').length;
  const imports: Import[] = [];
  const take = (specifier: string, start: number): void => {
    const file = specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : null;
    imports.push({ specifier, file, line: lineOf(start) });
  };
  for (const { moduleRequest } of module.staticImports) take(moduleRequest.value, moduleRequest.start);
  for (const { entries } of module.staticExports) {
    const from = entries.find((entry) => entry.moduleRequest !== null)?.moduleRequest;
    if (from != null) take(from.value, from.start);
  }

  const nodes = everyNode(program as unknown as Node);
  for (const node of nodes) {
    const source = node.type === 'ImportExpression' || node.type === 'TSImportType' ? (node['source'] as Node) : null;
    if (source !== null && typeof source['value'] === 'string') take(source['value'], node.start);
  }
  return { imports, nodes, lineOf };
}

/** All nodes of a tree, parents first. */
function everyNode(root: Node): Node[] {
  const nodes: Node[] = [];
  const pending: Node[] = [root];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    nodes.push(node);
    for (const key of visitorKeys[node.type] ?? []) {
      const child = node[key];
      if (Array.isArray(child)) pending.push(...(child as (Node | null)[]).filter((item) => item !== null));
      else if (child !== null && child !== undefined) pending.push(child as Node);
    }
  }
  return nodes;
}

/** Complaints as a test prints them: one line each, with a place to click on. */
export function print(complaints: readonly Complaint[]): string {
  return complaints.map(({ file, line, message }) => `${file}:${line} ${message}`).join('\n');
}

/** The name of an identifier; empty for any other node, or none. */
export function nameOf(node: unknown): string {
  const name = (node as Node | null | undefined)?.['name'];
  return typeof name === 'string' ? name : '';
}
