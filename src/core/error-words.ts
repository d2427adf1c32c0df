/**
 * What was caught, in words, never empty (L43): many that come from outside have no message of their own (Node's
 * `AggregateError` of a refused connection), or are no errors at all. Whoever tells of something caught asks this, and never
 * reads its `message` (`test/style/house.ts`).
 *
 * Never throws, whatever is asked of it.
 */

/** Causes and parts that are followed; an error may be its own cause. */
const DEPTH = 3;
const PARTS = 5;

/** Its message; else those of its parts, of its cause, its code or its name. */
export function wordsOf(caught: unknown): string {
  try {
    return said(caught, DEPTH);
  } catch {
    return 'something was thrown that cannot even be looked at';
  }
}

function said(caught: unknown, depth: number): string {
  if (typeof caught === 'string') return hasWords(caught) ? caught.trim() : 'a text without words was thrown';
  if (typeof caught === 'function') return 'a function was thrown, without words';
  if (typeof caught !== 'object' || caught === null) return `${String(caught)} was thrown`;
  const { message, errors, cause, code, name } = caught as { readonly [key: string]: unknown };
  if (hasWords(message)) return isOwn(caught, name) ? message.trim() : withCause(message.trim(), cause, depth);
  const parts: readonly unknown[] = Array.isArray(errors) ? errors.slice(0, PARTS) : [];
  const inner = depth === 0 ? [] : [...parts, cause].filter((one) => one != null);
  if (inner.length > 0) return inner.map((one) => said(one, depth - 1)).join('; ');
  if (hasWords(code) || typeof code === 'number') return `failed with code ${code}, and without words`;
  return `${hasWords(name) ? name.trim() : 'something'} was thrown, without words`;
}

/**
 * Classes of ours say in their own words what caused them, as far as it is to be told: a cause may hold what they left out on
 * purpose, like the password of a database.
 */
const isOwn = (caught: object, name: unknown): boolean => caught instanceof Error && !BARE.has(String(name));
const BARE: ReadonlySet<string> = new Set(['Error', 'TypeError', 'RangeError', 'AggregateError', 'SystemError']);

/** "fetch failed" says nothing without its cause; most others have taken theirs into their own words. */
function withCause(message: string, cause: unknown, depth: number): string {
  if (depth === 0 || cause == null) return message;
  const more = said(cause, depth - 1);
  return message.includes(more) ? message : `${message}: ${more}`;
}

/** `[object Object]` is what is left where somebody made text of what is none. */
export const hasWords = (value: unknown): value is string =>
  typeof value === 'string' && value.trim() !== '' && !/^\[object \w*\]$/.test(value.trim());
