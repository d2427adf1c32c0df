/**
 * Checks a value against a schema and says what is wrong in the words of the file: unknown keys one by one with the
 * nearest known one, what was expected and what kind of thing stands there instead. No value is repeated in a message
 * unless the schema lists what it may be.
 */
import * as z from 'zod';
import { didYouMean, kindOf, listNames } from './problems.ts';
import type { Path } from './problems.ts';

type Fail = (path: Path, message: string) => void;
type Issue = z.core.$ZodIssue;

/**
 * Reports everything wrong with the value; answers it as parsed, or null if something was reported. `missing: 'later'`
 * passes over what is merely absent: another layer may still bring it.
 */
export function checkShape<S extends z.ZodType>(
  schema: S,
  value: unknown,
  missing: 'now' | 'later',
  fail: Fail,
): z.infer<S> | null {
  const result = schema.safeParse(value, { error: (issue) => words(issue) });
  if (result.success) return result.data;
  for (const issue of result.error.issues) report(schema, value, issue, [], missing, fail);
  return null;
}

function report(
  schema: z.ZodType,
  value: unknown,
  issue: Issue,
  base: Path,
  missing: 'now' | 'later',
  fail: Fail,
): void {
  const path: Path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
  const found = valueAt(value, path);
  if (found === undefined && issue.code !== 'unrecognized_keys') {
    if (missing === 'now') fail(path, `missing: ${issue.message}`);
    return;
  }
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(schema, path);
      for (const key of issue.keys) {
        const hint = didYouMean(key, known);
        fail(
          [...path, key],
          `unknown key "${key}"${hint || (known.length > 0 ? `: known here are ${listNames(known)}` : '')}`,
        );
      }
      return;
    }
    case 'invalid_union': {
      // The branch that fits the kind of value knows best what is wrong inside it.
      const fitting = issue.errors.find((branch) => branch.length > 0 && !branch.some((inner) => isWrongKind(inner)));
      if (fitting === undefined || issue.message !== UNION_WORDS) fail(path, issue.message);
      else for (const inner of fitting) report(schema, value, inner, path, missing, fail);
      return;
    }
    case 'invalid_key':
      fail(path, issue.issues[0]?.message ?? issue.message);
      return;
    default:
      fail(
        path,
        issue.code === 'invalid_type'
          ? `${issue.message}, but this is ${kindOf(found)}${quoteHint(issue, found)}`
          : issue.message,
      );
  }
}

const UNION_WORDS = 'expected a string or a map';

function isWrongKind(issue: Issue): boolean {
  return issue.code === 'invalid_type' && issue.path.length === 0;
}

/** Words for what a schema leaves to us; where a schema has its own message, zod uses that one. */
function words(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${EXPECTED[String(issue.expected)] ?? String(issue.expected)}`;
    case 'invalid_value':
      return `expected ${(issue.values as readonly unknown[]).map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'too_small':
      return issue.origin === 'string' ? 'must not be empty' : `must be at least ${String(issue.minimum)}`;
    case 'too_big':
      return `must be at most ${String(issue.maximum)}`;
    case 'invalid_union':
      return UNION_WORDS;
    default:
      return issue.message ?? `not accepted (${issue.code})`;
  }
}

/** `customer: 42` and `debug: true` are what YAML makes of words that happen to look like that. */
function quoteHint(issue: Issue, found: unknown): string {
  if (issue.code !== 'invalid_type' || issue.expected !== 'string') return '';
  return typeof found === 'boolean' || (typeof found === 'number' && !issue.message.includes('unit'))
    ? ': put it in quotes'
    : '';
}

const EXPECTED: { readonly [kind: string]: string } = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  record: 'a map',
  array: 'a list',
  nonoptional: 'a value, if only {}',
};

function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as { readonly [key: string | number]: unknown })[step];
  }
  return at;
}

/** The keys that the schema knows at a path. */
function knownKeys(schema: z.core.$ZodType, path: Path): readonly string[] {
  if (schema instanceof z.ZodOptional) return knownKeys(schema.unwrap(), path);
  if (schema instanceof z.ZodUnion) return schema.options.flatMap((option) => knownKeys(option, path));
  const [step, ...rest] = path;
  if (schema instanceof z.ZodObject) {
    const shape: { readonly [key: string]: z.core.$ZodType } = schema.shape;
    if (step === undefined) return Object.keys(shape);
    const inner = shape[String(step)];
    return inner === undefined ? [] : knownKeys(inner, rest);
  }
  if (step !== undefined && schema instanceof z.ZodArray) return knownKeys(schema.element, rest);
  if (step !== undefined && schema instanceof z.ZodRecord) return knownKeys(schema.valueType, rest);
  return [];
}
