/**
 * `plugin.json`, at the top of every plugin: what it is called and what it needs. Every error names its field; what else stands
 * in it is the plugin's own business.
 *
 *   { "name": "notes", "version": "1.2.0", "restart": true, "needs": ["search"] }
 */
import { wordsOf } from '../core/error-words.ts';
import { NEEDS } from './limits.ts';

export interface PluginManifest {
  /** Also the name of its folder on the box. */
  readonly name: string;
  readonly version: string;
  /** It takes effect with a restart of the agent only. */
  readonly restart: boolean;
  /** Names of plugins that must be beside it. */
  readonly needs: readonly string[];
}

export const MANIFEST_FILE = 'plugin.json';

const NAME = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
const NAME_WORDS = 'must be a name of lower-case letters, digits, ".", "_" and "-", at most 64 of them';

export function readPluginManifest(
  text: string,
): { readonly ok: true; readonly manifest: PluginManifest } | { readonly ok: false; readonly problem: string } {
  const bad = (problem: string): { readonly ok: false; readonly problem: string } => ({ ok: false, problem });
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (error) {
    return bad(`${MANIFEST_FILE} is no JSON: ${wordsOf(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return bad(`${MANIFEST_FILE} must hold an object with name, version, restart and needs`);
  const { name, version, restart = false, needs = [] } = value as { readonly [key: string]: unknown };
  const field = (key: string, words: string): { readonly ok: false; readonly problem: string } =>
    bad(`${MANIFEST_FILE}: ${key} ${words}`);
  if (typeof name !== 'string' || !NAME.test(name)) return field('name', NAME_WORDS);
  if (typeof version !== 'string' || !/^[\x21-\x7e]{1,100}$/.test(version))
    return field('version', 'must be a text such as "1.2.0", at most 100 characters');
  if (typeof restart !== 'boolean') return field('restart', 'must be true or false');
  if (!Array.isArray(needs) || needs.length > NEEDS)
    return field('needs', `must be a list of at most ${NEEDS} names of plugins`);
  for (const [n, need] of needs.entries())
    if (typeof need !== 'string' || !NAME.test(need)) return field(`needs[${n}]`, NAME_WORDS);
  if (needs.includes(name)) return field('needs', 'must not name the plugin itself');
  return { ok: true, manifest: { name, version, restart, needs: needs as readonly string[] } };
}
