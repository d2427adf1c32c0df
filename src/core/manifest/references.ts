/**
 * What `${…}` means inside a string: `${name}` and `${fleet}` are filled in when the manifest is read, `${secret:NAME}`
 * stays a reference until the value is handed to the agent, `$${` is a literal "${". Anything else is an error, so that
 * a slip is never delivered as text.
 *
 * In `run.env`, `config.value` and a plugin's `header`, where secrets may stand, a spec keeps `$${` escaped, since otherwise
 * a literal "${secret:x}" could not be told from a reference; `withSecrets` undoes it while it fills them in.
 */
import type { Json } from '../model.ts';

const REFERENCE = /\$\$\{|\$\{([^}]*)\}|\$\{/g;
export const SECRET_NAME = /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62})$/;

export interface Filled {
  readonly text: string;
  readonly problems: readonly string[];
  readonly secrets: readonly string[];
}

/** Fills in the names, keeps escapes and secret references, and says what is wrong. */
export function fillIn(text: string, names: ReadonlyMap<string, string>, secretsAllowed: boolean): Filled {
  if (!text.includes('${')) return { text, problems: [], secrets: [] };
  const problems: string[] = [];
  const secrets: string[] = [];
  const filled = text.replace(REFERENCE, (match: string, inner: string | undefined) => {
    if (match === '$${') return match;
    if (inner === undefined) {
      problems.push('"${" without its "}": for a literal "${" write "$${"');
      return match;
    }
    const value = names.get(inner);
    if (value !== undefined) return value;
    if (!inner.startsWith('secret:')) {
      const known = [...names.keys(), 'secret:NAME'].map((name) => `\${${name}}`).join(', ');
      problems.push(`\${${inner}} is not known here, only ${known} are: for a literal "\${" write "$\${"`);
      return match;
    }
    const secret = inner.slice('secret:'.length);
    if (!SECRET_NAME.test(secret)) {
      problems.push('a secret\'s name has letters, digits, "_", "." and "-", at most 63 of them');
    } else if (!secretsAllowed) {
      problems.push(
        'secrets are filled in only in run.env, config.value and the header of a plugin: elsewhere they would be in plain sight',
      );
    } else {
      secrets.push(secret);
    }
    return match;
  });
  return { text: filled, problems, secrets };
}

/** "$${" → "${", for strings that hold no references any more. */
export function unescaped(text: string): string {
  return text.replaceAll('$${', () => '${'); // a function, since "$" means something in a replacement text
}

/** Names of the secrets that a value refers to, each once, by code unit. */
export function secretNames(value: Json): readonly string[] {
  const names = new Set<string>();
  eachString(value, (text) => {
    for (const found of text.matchAll(REFERENCE)) {
      const name = found[1]?.startsWith('secret:') === true ? found[1].slice('secret:'.length) : '';
      if (SECRET_NAME.test(name)) names.add(name); // any other was refused when it was read
    }
  });
  return [...names].sort();
}

/**
 * The value as the agent gets it: references replaced, escapes undone. For `run.env`, `config.value` and headers of a frozen
 * spec, at the last moment; the result must not be stored, logged or hashed. `lookup` throws for what is not there.
 */
export function withSecrets<T extends Json>(value: T, lookup: (name: string) => string): T {
  return mapStrings(value, (text) =>
    text.replace(REFERENCE, (match: string, inner: string | undefined) => {
      if (match === '$${') return '${';
      return inner?.startsWith('secret:') === true ? lookup(inner.slice('secret:'.length)) : match;
    }),
  ) as T;
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function eachString(value: Json, visit: (text: string) => void): void {
  if (typeof value === 'string') {
    if (value.includes('${')) visit(value);
  } else if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) eachString(inner, visit);
  }
}

/** The same value with every string (not key) put through `change`. */
export function mapStrings(value: Json, change: (text: string) => string): Json {
  if (typeof value === 'string') return change(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((inner: Json) => mapStrings(inner, change));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, mapStrings(inner, change)]));
}
