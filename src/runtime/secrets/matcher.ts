/**
 * Finds any of many texts in one pass, after Wu and Manber (1994): three characters at the end of a window of eight tell how
 * far the next possible beginning is, so most of a text is never looked at. Measured with 1,000 random values in all their
 * encodings (6,000 texts): 440 MB/s over lines of a log, 107 MB/s over base64; with two characters 122 and 37; one regular
 * expression of the beginnings 33 and 11, though far more where all values begin alike.
 *
 *  1. Of several that begin at one place the longest is found; behind it the search goes on.
 *  2. What may be the beginning of one, cut off by the end of a part, is held back until more comes (`scan`).
 */
import { REDACTED_CHARS } from './limits.ts';

const WINDOW = REDACTED_CHARS;
const BLOCK = 3;
/** Where a block is in no window at all, the next beginning is this far. */
const FAR = WINDOW - BLOCK + 1;
/** Entries of the table of blocks: one byte each, and few of them shared by some thousand patterns. */
const BLOCKS = 1 << 16;

export interface Pattern {
  readonly text: string;
  readonly name: string;
}

export class Matcher {
  private readonly shifts = new Uint8Array(BLOCKS).fill(FAR);
  /** By the first `WINDOW` characters, the longest first. */
  private readonly starting = new Map<string, Pattern[]>();
  /** All beginnings that are shorter than a window. */
  private readonly shortBeginnings = new Set<string>();
  private readonly patterns: readonly Pattern[];

  /** Patterns have at least `REDACTED_CHARS` characters. Of two with one text, the first counts. */
  constructor(patterns: readonly Pattern[]) {
    this.patterns = patterns;
    for (const pattern of patterns) {
      const { text } = pattern;
      if (text.length < WINDOW) throw new RangeError('a pattern is shorter than what is looked for');
      for (let at = 0; at <= WINDOW - BLOCK; at += 1) {
        const block = blockOf(text, at);
        this.shifts[block] = Math.min(this.shifts[block] ?? FAR, WINDOW - BLOCK - at);
      }
      for (let length = 1; length < WINDOW; length += 1) this.shortBeginnings.add(text.slice(0, length));
      const beginning = text.slice(0, WINDOW);
      const same = this.starting.get(beginning);
      if (same === undefined) this.starting.set(beginning, [pattern]);
      else if (!same.some((one) => one.text === text)) same.push(pattern);
    }
    for (const same of this.starting.values()) same.sort((a, b) => b.text.length - a.text.length);
  }

  /** The text with everything that was found replaced; the very text if there is nothing. */
  replace(text: string, by: (name: string) => string): string {
    return this.scan(text, by, true).done;
  }

  /** Unless it is `final`, what may be the beginning of a pattern at the end is `held`: put it before the next part. */
  scan(text: string, by: (name: string) => string, final: boolean): { readonly done: string; readonly held: string } {
    const last = this.patterns.length === 0 ? -1 : text.length - WINDOW;
    let done = '';
    let from = 0;
    let at = 0;
    while (at <= last) {
      const shift = this.shifts[blockOf(text, at + WINDOW - BLOCK)] ?? FAR;
      if (shift > 0) {
        at += shift;
        continue;
      }
      const candidates = this.starting.get(text.slice(at, at + WINDOW));
      if (candidates === undefined) {
        at += 1;
        continue;
      }
      if (!final && candidates.some((one) => isCutOff(one.text, text, at)))
        return { done: done + text.slice(from, at), held: text.slice(at) };
      const found = candidates.find((one) => text.startsWith(one.text, at));
      if (found === undefined) {
        at += 1;
        continue;
      }
      done += text.slice(from, at) + by(found.name);
      at += found.text.length;
      from = at;
    }
    if (!final) {
      for (at = Math.max(at, 0); at < text.length; at += 1) {
        if (this.shortBeginnings.has(text.slice(at)))
          return { done: done + text.slice(from, at), held: text.slice(at) };
      }
    }
    return { done: from === 0 ? text : done + text.slice(from), held: '' };
  }

  /** How long an end of a pattern, of at least `least` characters, the text begins with; 0: none. Slow: for cut texts only. */
  endAtStart(text: string, least: number): number {
    const head = text.slice(0, least);
    let longest = 0;
    if (head.length < least) return longest;
    for (const { text: pattern } of this.patterns) {
      for (let at = pattern.indexOf(head, 1); at > 0; at = pattern.indexOf(head, at + 1)) {
        if (text.startsWith(pattern.slice(at))) longest = Math.max(longest, pattern.length - at);
      }
    }
    return longest;
  }
}

function blockOf(text: string, at: number): number {
  return ((text.charCodeAt(at) << 10) ^ (text.charCodeAt(at + 1) << 5) ^ text.charCodeAt(at + 2)) & (BLOCKS - 1);
}

/** Does the pattern begin at `at` and go on beyond the text? */
function isCutOff(pattern: string, text: string, at: number): boolean {
  return pattern.length > text.length - at && pattern.startsWith(text.slice(at));
}
