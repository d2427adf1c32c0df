/**
 * Where something that was caught is told by its raw message, `String(…)` or inside a template: what is thrown may have no
 * message, or be no error at all (L43). Caught are: what a `catch` binds, the `unknown` or `Error` that a function takes under
 * the name of one, and what a rejection or an `error` event hands over.
 *
 * Narrowed to a class of ours by `instanceof`, its message is a sentence of ours, and may be read.
 */
import { nameOf, type Node, parse } from './source.ts';

const NAMES = /^(error|err|e|reason|cause|thrown|caught|failure|problem)$/i;
const HANDLERS = new Set(['catch', 'on', 'once', 'addListener']);

interface Caught {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

export function rawWords(file: string, text: string): [line: number, message: string][] {
  if (!/catch|rror|eason|ause|unknown/.test(text)) return [];
  const { nodes, lineOf } = parse(file, text);
  const caught = nodes.flatMap(caughtBy);
  const found = new Map<number, string>();
  for (const node of nodes) {
    for (const { name, by } of rawly(node)) {
      const holders = caught.filter((one) => one.name === name && one.start <= node.start && node.start < one.end);
      // The innermost one is meant.
      const holder = holders.toSorted((a, b) => b.start - a.start)[0];
      if (holder === undefined || (by === 'its message' && isNarrowed(nodes, holder))) continue;
      found.set(node.start, `tells of "${name}" by ${by}, which may be empty; use wordsOf`);
    }
  }
  return [...found].map(([start, message]) => [lineOf(start), message]);
}

function caughtBy(node: Node): Caught[] {
  const within = (name: string, body: Node): Caught => ({ name, start: body.start, end: Number(body['end']) });
  if (node.type === 'CatchClause') {
    const name = nameOf(node['param']);
    return name === '' ? [] : [within(name, node['body'] as Node)];
  }
  if (node.type === 'CallExpression') {
    const callee = node['callee'] as Node;
    if (callee.type !== 'MemberExpression' || !HANDLERS.has(nameOf(callee['property']))) return [];
    const [first, second] = node['arguments'] as Node[];
    const handler = nameOf(callee['property']) === 'catch' ? first : first?.['value'] === 'error' ? second : undefined;
    const [param] = (handler?.['params'] ?? []) as Node[];
    return handler === undefined || param?.type !== 'Identifier' ? [] : [within(nameOf(param), handler)];
  }
  if (!/Function/.test(node.type) || !Array.isArray(node['params'])) return [];
  return (node['params'] as Node[])
    .filter((param) => param.type === 'Identifier' && NAMES.test(nameOf(param)) && isAnyError(param))
    .map((param) => within(nameOf(param), node));
}

function isAnyError(param: Node): boolean {
  const annotation = (param['typeAnnotation'] as Node | null)?.['typeAnnotation'] as Node | undefined;
  if (annotation?.type === 'TSUnknownKeyword') return true;
  return annotation?.type === 'TSTypeReference' && nameOf(annotation['typeName']) === 'Error';
}

function rawly(node: Node): { name: string; by: string }[] {
  const names = (given: readonly Node[], by: string): { name: string; by: string }[] =>
    given.filter(({ type }) => type === 'Identifier').map((one) => ({ name: nameOf(one), by }));
  if (node.type === 'MemberExpression' && nameOf(node['property']) === 'message')
    return names([bare(node['object'] as Node)], 'its message');
  if (node.type === 'CallExpression' && nameOf(node['callee']) === 'String')
    return names(node['arguments'] as Node[], 'String()');
  return node.type === 'TemplateLiteral' ? names(node['expressions'] as Node[], 'a template') : [];
}

/** Without the casts around it. */
function bare(node: Node): Node {
  const isWrapped = node.type === 'TSAsExpression' || node.type === 'ParenthesizedExpression';
  return isWrapped ? bare(node['expression'] as Node) : node;
}

const isNarrowed = (nodes: readonly Node[], { name, start, end }: Caught): boolean =>
  nodes.some(
    (node) =>
      node.type === 'BinaryExpression' &&
      node['operator'] === 'instanceof' &&
      node.start >= start &&
      node.start < end &&
      nameOf(node['left']) === name &&
      !['Error', 'TypeError', 'AggregateError', ''].includes(nameOf(node['right'])),
  );
