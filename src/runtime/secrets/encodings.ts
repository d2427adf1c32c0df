/**
 * The ways in which a text may show a secret: as it is, as JSON writes it (also in pure ASCII), percent-encoded, in base64
 * or base64url (also as a part of something longer, as in Basic authentication), in hex, and line by line.
 *
 * Each also as the bytes of its UTF-8, one character per byte, since that is how streams are looked through.
 */
import { ENCODED_CHARS, LINE_CHARS, REDACTED_CHARS } from './limits.ts';

/** Texts that show `value`, each at least `REDACTED_CHARS` long; none for a value that is shorter. */
export function encodingsOf(value: string): ReadonlySet<string> {
  const found = new Set<string>();
  if (value.length < REDACTED_CHARS) return found;
  const add = (text: string): void => {
    if (text.length < REDACTED_CHARS) return;
    found.add(text);
    if (!isAscii(text)) found.add(Buffer.from(text, 'utf8').toString('latin1'));
  };
  for (const text of [value, ...linesOf(value)]) {
    add(text);
    add(inJson(text));
    add(inJson(text).replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`));
  }
  if (value.length > ENCODED_CHARS) return found;
  const percent = percentEncoded(value);
  for (const text of [percent, percent.replaceAll('%20', '+')]) {
    add(text);
    add(text.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()));
  }
  const bytes = Buffer.from(value, 'utf8');
  for (const before of [0, 1, 2]) {
    const inside = base64Inside(bytes, before);
    add(inside);
    add(inside.replaceAll('+', '-').replaceAll('/', '_'));
  }
  add(bytes.toString('hex'));
  add(bytes.toString('hex').toUpperCase());
  return found;
}

/** A PEM's first and last line are in every PEM, and no secret. */
function linesOf(value: string): readonly string[] {
  if (!value.includes('\n')) return [];
  const lines = value.split('\n').map((line) => line.trim());
  return lines.filter((line) => line.length >= LINE_CHARS && !line.startsWith('-----'));
}

const inJson = (text: string): string => JSON.stringify(text).slice(1, -1);

/** What no base64 of something with these bytes inside can lack, if `before` (mod 3) bytes stand before them. */
function base64Inside(bytes: Buffer, before: number): string {
  const text = Buffer.concat([Buffer.alloc(before), bytes])
    .toString('base64')
    .replaceAll('=', '');
  const bits = (before + bytes.length) * 8;
  // The first character that holds no bit of what stands before, and the last that holds none of what follows.
  return text.slice(Math.ceil((before * 8) / 6), Math.floor(bits / 6));
}

function percentEncoded(value: string): string {
  try {
    return encodeURIComponent(value);
  } catch {
    return value; // half of a surrogate pair has no such form
  }
}

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}
