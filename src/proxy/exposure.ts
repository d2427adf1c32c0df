/**
 * Which declared `expose` covers a path. A path that an agent might read otherwise than we do is covered by none: whoever
 * sends such a one needs a token. So no spelling of a private path passes for a public one.
 */
import type { ExposeSpec } from '../core/model.ts';
import type { Address } from './address.ts';

/** The longest that covers it. */
export function exposureOf(exposed: readonly ExposeSpec[], { rest, port }: Address): ExposeSpec | null {
  const path = rest.replace(/\?.*$/, '');
  if (!isPlain(path)) return null;
  let longest: ExposeSpec | null = null;
  for (const expose of exposed) {
    if (port !== null && port !== expose.port) continue;
    const below = expose.path.endsWith('/') ? expose.path : `${expose.path}/`;
    if (path !== expose.path && !path.startsWith(below)) continue;
    if (longest === null || expose.path.length > longest.path.length) longest = expose;
  }
  return longest;
}

/** Letters, digits and marks that separate nothing in any server; not `;`, `\`, `%` or what normalises to `.` and `/`. */
const PLAIN = /^[\p{L}\p{Nd}\p{M} \-._~!$&'()*+,=:@/]*$/u;

function isPlain(path: string): boolean {
  // Dots and slashes that are hidden, doubled, or climb.
  if (/%2[ef]|\/\/|(^|\/)\.{1,2}(\/|$)/i.test(path)) return false;
  try {
    // Refuses overlong UTF-8; a second layer of encoding leaves a "%" behind.
    return PLAIN.test(decodeURIComponent(path));
  } catch {
    return false;
  }
}
