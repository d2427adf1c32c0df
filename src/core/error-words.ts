/**
 * What an error says, in words, never empty (L43): many that come from outside have no message of their own (Node's
 * `AggregateError` of a refused connection), or are no errors at all.
 */

/** Causes and parts that are followed; an error may be its own cause. */
const DEPTH = 3;
const PARTS = 5;

/** Its message; else those of its parts, of its cause, its code or its name. */
export function wordsOf(error: unknown, depth = DEPTH): string {
  if (typeof error === 'string') return error.trim() || 'an empty text was thrown';
  if (typeof error !== 'object' || error === null) return `${String(error)} was thrown`;
  const { message, errors, cause, code, name } = error as { readonly [key: string]: unknown };
  if (isText(message)) return withCause(message.trim(), cause, depth);
  const parts: readonly unknown[] = Array.isArray(errors) ? errors.slice(0, PARTS) : [];
  const inner = depth === 0 ? [] : [...parts, cause];
  const said = inner.filter((one) => one != null).map((one) => wordsOf(one, depth - 1));
  if (said.length > 0) return said.join('; ');
  if (isText(code)) return `failed with code ${code.trim()}, and without words`;
  return `${isText(name) ? name.trim() : 'something'} was thrown, without words`;
}

/** "fetch failed" says nothing without its cause; most others have taken theirs into their own words. */
function withCause(message: string, cause: unknown, depth: number): string {
  if (depth === 0 || cause == null) return message;
  const said = wordsOf(cause, depth - 1);
  return message.includes(said) ? message : `${message}: ${said}`;
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.trim() !== '';
