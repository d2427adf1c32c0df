/**
 * Spans, sizes and shares as people write them, and back.
 *
 * Promises: a unit is always said (a bare number is nobody's 30); a parser answers null instead of guessing; the exact
 * formatters (`formatDuration`, `formatSize`, `formatPercent`) write what the parsers read back as the same number.
 */
import { HOUR_MS, MINUTE_MS, SECOND_MS } from './limits.ts';

const DAY_MS = 24 * HOUR_MS;

/** Largest first, for the formatters. */
const DURATION_UNITS: readonly (readonly [unit: string, ms: number])[] = [
  ['d', DAY_MS],
  ['h', HOUR_MS],
  ['m', MINUTE_MS],
  ['s', SECOND_MS],
  ['ms', 1],
];

const SIZE_UNITS: readonly (readonly [unit: string, bytes: number])[] = [
  ['t', 1024 ** 4],
  ['g', 1024 ** 3],
  ['m', 1024 ** 2],
  ['k', 1024],
  ['b', 1],
];

/** For schemas: what `parseDuration` and `parsePercent` look like. */
export const DURATION_PATTERN = /^\d{1,16}(\.\d{1,6})?(ms|s|m|h|d)$/;
export const PERCENT_PATTERN = /^\d{1,3}(\.\d{1,6})?%$/;
const SIZE_PATTERN = /^(\d{1,16}(?:\.\d{1,6})?)([bkmgt])(?:i?b)?$/;

/** "500ms", "30s", "10m", "2h", "7d", "1.5h" → ms; null when it is none of these or no whole number of ms. */
export function parseDuration(text: string): number | null {
  if (!DURATION_PATTERN.test(text)) return null;
  const split = text.search(/[a-z]/);
  return whole(Number(text.slice(0, split)), unitOf(DURATION_UNITS, text.slice(split)));
}

/** ms → the shortest exact form: 90000 → "90s", 3600000 → "1h". Takes whole, non-negative numbers. */
export function formatDuration(ms: number): string {
  return exact(ms, DURATION_UNITS, '0s');
}

/** For people, two units at most, rounded down: 3_725_000 → "1 h 2 m". Never to be parsed. */
export function durationInWords(ms: number): string {
  if (ms < 0) return `-${durationInWords(-ms)}`;
  if (ms < SECOND_MS) return `${Math.floor(ms)} ms`;
  const first = DURATION_UNITS.findIndex(([, size]) => ms >= size);
  const [unit, size] = DURATION_UNITS[first]!;
  const [nextUnit, nextSize] = DURATION_UNITS[first + 1]!;
  const rest = Math.floor((ms % size) / nextSize);
  const head = `${Math.floor(ms / size)} ${unit}`;
  return rest === 0 || nextUnit === 'ms' ? head : `${head} ${rest} ${nextUnit}`;
}

/** "512m", "1g", "512MiB" → bytes. Units are powers of 1024, as Docker counts them; null when it is no size. */
export function parseSize(text: string): number | null {
  const found = SIZE_PATTERN.exec(text.toLowerCase());
  if (found === null) return null;
  return whole(Number(found[1]), unitOf(SIZE_UNITS, found[2]!));
}

/** Bytes → the shortest exact form: 536870912 → "512m". Takes whole, non-negative numbers. */
export function formatSize(bytes: number): string {
  return exact(bytes, SIZE_UNITS, '0b');
}

/** For people, one decimal at most: 1_610_612_736 → "1.5 GiB". Never to be parsed. */
export function sizeInWords(bytes: number): string {
  const [unit, size] = SIZE_UNITS.find(([, unitSize]) => bytes >= unitSize) ?? ['b', 1];
  const amount = Math.round((bytes / size) * 10) / 10;
  return unit === 'b' ? `${amount} B` : `${amount} ${unit.toUpperCase()}iB`;
}

/** "10%" → 0.1, from 0% to 100%; null when it is none. */
export function parsePercent(text: string): number | null {
  if (!PERCENT_PATTERN.test(text)) return null;
  const percent = Number(text.slice(0, -1));
  return percent > 100 ? null : percent / 100;
}

/** 0.1 → "10%". */
export function formatPercent(share: number): string {
  return `${Math.round(share * 1e8) / 1e6}%`;
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function unitOf(units: readonly (readonly [string, number])[], name: string): number {
  return units.find(([unit]) => unit === name)![1];
}

/** 1.1 × 60000 is 66000.00000000001 to a computer, and 66000 to whoever wrote it. */
function whole(amount: number, unit: number): number | null {
  const product = amount * unit;
  const rounded = Math.round(product);
  return Number.isSafeInteger(rounded) && Math.abs(product - rounded) < 1e-3 ? rounded : null;
}

function exact(amount: number, units: readonly (readonly [string, number])[], zero: string): string {
  if (!Number.isSafeInteger(amount) || amount < 0) throw new RangeError(`not a whole, non-negative amount: ${amount}`);
  if (amount === 0) return zero;
  const [unit, size] = units.find(([, unitSize]) => amount % unitSize === 0)!;
  return `${amount / size}${unit}`;
}
