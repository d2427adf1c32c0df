/**
 * Hashes that decide: canonical JSON, versioned SHA-256 of it, and the jitter of backoffs.
 *
 * Promises:
 *  1. Equal values have equal hashes, whatever the order in which their keys were written; nothing random and nothing
 *     of this process goes in (L37).
 *  2. A hash says which way of hashing made it ("1:9f86d0…"). A stored hash is compared by recomputing in *its* version
 *     (`hashMatches`), so a Holdfast that hashes differently sees no drift in what an older one recorded (L78).
 *  3. What has no canonical form (NaN, undefined, a Date, a cycle) is refused, never dropped: two different values
 *     must not meet in one hash.
 */
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { Json, JsonObject } from './model.ts';

/**
 * The way new hashes are made. Whoever changes canonical form, digest or what goes in adds a version below and keeps
 * the old ones for as long as a log may hold them.
 */
export const HASH_VERSION = 1;

/** Deeper than any manifest; a cycle ends here with words instead of a stack overflow. */
const MAX_DEPTH = 200;

/** JSON with object keys in code-unit order and no white space. Throws a TypeError that names the path. */
export function canonicalJson(value: Json): string {
  return canonical(value, '', 0);
}

/** Lower-case hex SHA-256 of the text's UTF-8. */
export function sha256(text: string): string {
  return bytesToHex(nobleSha256(utf8ToBytes(text)));
}

/** Versions of the secrets that a value refers to, by name. The secrets themselves never come near the core. */
export type SecretVersions = { readonly [name: string]: number };

/**
 * Hash of what needs a re-provision when it changes, and of the versions of the secrets in it. What of a spec goes in is
 * said in one place, `manifest/hashes`.
 */
export function infraHash(infra: JsonObject, secrets: SecretVersions = {}, version: number = HASH_VERSION): string {
  return versioned(version, { infra, secrets });
}

/**
 * Hash of a declared config and of the versions of the secrets it refers to: rotating a secret changes it, and nothing
 * about the secret can be told from it. Compare with recorded ones through `manifest/hashes`.
 */
export function configHash(value: Json, secrets: SecretVersions, version: number = HASH_VERSION): string {
  return versioned(version, { config: value, secrets });
}

/** Hash of any other value: manifest revisions, for example. */
export function contentHash(value: Json, version: number = HASH_VERSION): string {
  return versioned(version, { content: value });
}

/** The version that made a hash; null when it is not one of ours. */
export function hashVersion(hash: string): number | null {
  const found = /^([1-9]\d{0,5}):[0-9a-f]{64}$/.exec(hash);
  return found === null ? null : Number(found[1]);
}

/**
 * Is the recorded hash the hash of this? `recompute` is asked for the version that made the record, which may be an
 * older one than ours. A record of a version this build does not know never matches: it comes from a newer Holdfast.
 */
export function hashMatches(recorded: string, recompute: (version: number) => string): boolean {
  const version = hashVersion(recorded);
  return version !== null && isKnownVersion(version) && recompute(version) === recorded;
}

/**
 * A number in [0, 1) that is always the same for the same attempt: spread without chance, so that replays agree.
 * FNV-1a (32 bit) over the parts with a separator, then murmur3's finalizer, since FNV alone leaves the high bits of
 * short, similar inputs close together.
 */
export function jitter(uid: string, concern: string, attempt: number): number {
  let hash = fnv1a(uid, 0x811c9dc5);
  hash = fnv1a('\0', hash);
  hash = fnv1a(concern, hash);
  hash = fnv1a('\0', hash);
  hash = fnv1a(String(attempt), hash);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return (hash >>> 0) / 0x1_0000_0000;
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function isKnownVersion(version: number): boolean {
  return version === 1;
}

function versioned(version: number, value: Json): string {
  if (!isKnownVersion(version)) {
    throw new RangeError(`hash version ${version} is not known to this build, which makes version ${HASH_VERSION}`);
  }
  return `${version}:${sha256(canonicalJson(value))}`;
}

function fnv1a(text: string, seed: number): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >>> 8), 0x01000193);
  }
  return hash;
}

function canonical(value: unknown, path: string, depth: number): string {
  if (depth > MAX_DEPTH)
    throw new TypeError(`no canonical JSON for ${path}: nested deeper than ${MAX_DEPTH}, or a cycle`);
  switch (typeof value) {
    case 'string':
      // A lone surrogate would become U+FFFD on its way through UTF-8; JSON.stringify escapes it instead.
      return JSON.stringify(value);
    case 'boolean':
      return value ? 'true' : 'false';
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`no canonical JSON for ${path || 'the value'}: ${value}`);
      return JSON.stringify(value); // -0 becomes 0: JSON readers differ about its sign
    case 'object':
      break;
    default:
      throw new TypeError(`no canonical JSON for ${path || 'the value'}: ${typeof value}`);
  }
  if (value === null) return 'null';
  if (Array.isArray(value)) {
    let text = '[';
    for (let i = 0; i < value.length; i++)
      text += (i === 0 ? '' : ',') + canonical(value[i], `${path}[${i}]`, depth + 1);
    return text + ']';
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new TypeError(`no canonical JSON for ${path || 'the value'}: not a plain object`);
  }
  const object = value as { readonly [key: string]: unknown };
  let text = '{';
  // The default sort is by UTF-16 code unit, which is what we promise; localeCompare would depend on the machine.
  for (const key of Object.keys(object).sort()) {
    const inner = canonical(object[key], path === '' ? key : `${path}.${key}`, depth + 1);
    text += (text === '{' ? '' : ',') + JSON.stringify(key) + ':' + inner;
  }
  return text + '}';
}
