/**
 * A stored secret has no business in a manifest in plain: it would be in the log for good. Nor has what is shown in its
 * place: whoever copied an answer would hand that to an agent.
 */
import type { ManifestContext } from './context.ts';
import type { Node } from './nodes.ts';
import type { Path } from './problems.ts';
import { secretsAllowedAt } from './templates.ts';

const SHOWN = /\[secret:([^\]]{1,63})\]/;

export function checkRevealed(
  node: Node,
  context: ManifestContext,
  fail: (path: Path, line: number, message: string) => void,
  path: Path = [],
): void {
  switch (node.kind) {
    case 'scalar': {
      if (typeof node.value === 'string') {
        const problem = problemOf(node.value, context, secretsAllowedAt(path));
        if (problem !== null) fail(path, node.line, problem);
      }
      return;
    }
    case 'list':
      node.items.forEach((item, i) => checkRevealed(item, context, fail, [...path, i]));
      return;
    case 'map':
      for (const [key, entry] of node.entries) checkRevealed(entry.node, context, fail, [...path, key]);
  }
}

function problemOf(text: string, context: ManifestContext, allowed: boolean): string | null {
  const masked = SHOWN.exec(text)?.[1];
  if (masked !== undefined && context.secrets.has(masked))
    return `"[secret:${masked}]" is what is shown in place of a value: write "\${secret:${masked}}"`;
  const name = context.revealed?.(text) ?? null;
  if (name === null) return null;
  return allowed
    ? `the value of secret "${name}" stands here in plain: write "\${secret:${name}}"`
    : `the value of secret "${name}" stands here in plain, where no secret may be`;
}
