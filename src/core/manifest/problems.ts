/**
 * The errors of a document: each with its path and line, all of them, bounded.
 *
 * One mistake is said once. What a thousand instances inherit from one template's line is one error at that line, with
 * the number of instances that share it.
 */
import { MANIFEST_ERRORS } from '../limits.ts';

export type Path = readonly (string | number)[];

export interface Problem {
  /** "instances.scribe.run.image"; "" is the document itself. */
  readonly path: string;
  /** 1-based line in the text as it was sent. */
  readonly line: number;
  readonly message: string;
}

export interface Problems {
  add(path: Path, line: number, message: string): void;
  readonly count: number;
  /** By line, then path; at most `MANIFEST_ERRORS`, then one that counts the rest. */
  list(): readonly Problem[];
}

export function collectProblems(): Problems {
  const found = new Map<string, { readonly problem: Problem; holder: string; others: number }>();
  let omitted = 0;
  return {
    add(path, line, message) {
      const [holder, inner] = splitHolder(path);
      const key = `${line}\0${inner}\0${message}`;
      const known = found.get(key);
      if (known !== undefined) {
        if (!known.holder.startsWith('instances') || known.holder === holder) return;
        known.holder = holder; // instances come one after the other, so the last one is enough to tell
        known.others++;
      } else if (found.size < MANIFEST_ERRORS) {
        found.set(key, { problem: { path: formatPath(path), line, message }, holder, others: 0 });
      } else {
        omitted++;
      }
    },
    get count() {
      return found.size + omitted;
    },
    list() {
      const problems = [...found.values()].map(({ problem, others }) =>
        others === 0
          ? problem
          : {
              ...problem,
              message: `${problem.message} (the same in ${others} other ${others === 1 ? 'instance' : 'instances'})`,
            },
      );
      problems.sort((a, b) => a.line - b.line || (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
      if (omitted > 0) {
        problems.push({ path: '', line: problems.at(-1)?.line ?? 1, message: `and ${omitted} more errors` });
      }
      return problems;
    },
  };
}

/** ["instances", "a", "expose", 0, "port"] → "instances.a.expose[0].port"; odd keys are quoted: labels["a.b"]. */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[\w$-]+$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** What a value is, in the words of the file; never the value itself, which may be a secret. */
export function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'object':
      return 'a map';
    case 'string':
      return 'a string';
    case 'number':
      return Number.isInteger(value) ? 'a number' : 'a fraction';
    default:
      return 'true or false';
  }
}

/** "a, b, c", by code unit, at most 20 of them. */
export function listNames(names: Iterable<string>): string {
  const sorted = [...names].sort();
  const shown = sorted.slice(0, 20).join(', ');
  return sorted.length > 20 ? `${shown} and ${sorted.length - 20} more` : shown;
}

/** `: did you mean "image"?`, or "" when nothing known is close to the word. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const reach = word.length <= 4 ? 1 : 2;
  let best: string | null = null;
  let bestDistance = reach + 1;
  for (const candidate of known) {
    if (Math.abs(candidate.length - word.length) > reach) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best === null ? '' : `: did you mean "${best}"?`;
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What declares (an instance, a template, the defaults, the document) apart from the path inside it. */
function splitHolder(path: Path): readonly [holder: string, inner: string] {
  const [first, second] = path;
  if ((first === 'instances' || first === 'templates') && second !== undefined) {
    return [`${first}.${second}`, formatPath(['.', ...path.slice(2)])];
  }
  if (first === 'defaults') return ['defaults', formatPath(['.', ...path.slice(1)])];
  return ['', formatPath(path)];
}

/** Damerau–Levenshtein (optimal string alignment): a swap of neighbours is one slip, as it is on a keyboard. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(previous[j]! + 1, current[j - 1]! + 1, previous[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      current.push(cost);
    }
    [before, previous] = [previous, current];
  }
  return previous[b.length]!;
}
