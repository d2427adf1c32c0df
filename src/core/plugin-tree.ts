/**
 * What a plugin consists of, and the digest that names it: the same for the same files wherever they lie, so that what was
 * fetched, what was delivered and what is read back from a box can be compared, and a declaration can pin it (`integrity`).
 *
 * The digest is SHA-256 over one line per entry in the order of the paths' code units: kind, digest of the contents (of a
 * link: of where it points), path. Times, owners and modes beyond "may be executed" are no part of a plugin.
 */
import { sha256 } from './hash.ts';

export interface TreeEntry {
  /** Relative, with "/" between its parts. */
  readonly path: string;
  readonly kind: 'file' | 'program' | 'link';
  /** Hex digits of the SHA-256 of the contents, or of where the link points. */
  readonly sha256: string;
}

/** "sha256:" and 64 hex digits. */
export function treeDigest(entries: readonly TreeEntry[]): string {
  const lines = [...entries]
    .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
    .map((entry) => `${entry.kind} ${entry.sha256} ${entry.path}\n`);
  return `sha256:${sha256(lines.join(''))}`;
}

/** Both name the same bytes, in hex ("sha256:…") or as browsers write it ("sha256-…", Base64). */
export function sameDigest(a: string, b: string): boolean {
  const [x, y] = [inHex(a), inHex(b)];
  return x !== null && x === y;
}

/** Is it a digest that a tree can have? */
export const isTreeDigest = (text: string): boolean => inHex(text) !== null;

function inHex(text: string): string | null {
  const hex = /^sha256[:-]([0-9a-f]{64})$/i.exec(text)?.[1];
  if (hex !== undefined) return hex.toLowerCase();
  const base64 = /^sha256-([A-Za-z0-9+/_-]{43})=?$/.exec(text)?.[1];
  return base64 === undefined ? null : fromBase64(base64);
}

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function fromBase64(text: string): string {
  let bits = '';
  for (const letter of text.replaceAll('-', '+').replaceAll('_', '/'))
    bits += DIGITS.indexOf(letter).toString(2).padStart(6, '0');
  let hex = '';
  for (let at = 0; at < 256; at += 4) hex += Number.parseInt(bits.slice(at, at + 4), 2).toString(16);
  return hex;
}
