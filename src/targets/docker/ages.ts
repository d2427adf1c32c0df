/**
 * Has a container begun another life since it was asked? A listing tells ages only in words ("Up 5 minutes"), but it costs one
 * call for all, and asking each of 50 containers costs 50. The words are enough: an age that is smaller than it must be by now
 * belongs to another life.
 */
import { AGE_SLACK_MS } from './limits.ts';

export interface Age {
  /** "Up" or "Exited (137)": what the age is the age of. */
  readonly of: string;
  readonly leastMs: number;
  readonly mostMs: number;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** One of each, ms. docker/go-units rounds seconds and minutes down, hours to the nearest, and the rest by rounded hours. */
const UNITS: { readonly [unit: string]: number } = {
  second: SECOND,
  minute: MINUTE,
  hour: HOUR,
  day: DAY,
  week: 7 * DAY,
  month: 30 * DAY,
  year: 365 * DAY,
};

/** null for words that tell no age; such a container is asked. */
export function ageIn(status: string): Age | null {
  // Leaves that state only by a start.
  if (status === 'Created') return { of: status, leastMs: 0, mostMs: Number.POSITIVE_INFINITY };
  const found =
    /^(Up|Exited \(\d+\)) (?:Less than a|(\d+)|About an?) (second|minute|hour|day|week|month|year)s?(?: ago)?( \(.*\))?$/.exec(
      status,
    );
  if (found === null) return null;
  const [, what = '', count = '1', unit = 'second', more = ''] = found;
  const unitMs = UNITS[unit]!;
  const early = unitMs < HOUR ? 0 : HOUR / 2;
  const of = `${what}${more}`;
  if (status.includes('Less than')) return { of, leastMs: 0, mostMs: unitMs };
  return { of, leastMs: Number(count) * unitMs - early, mostMs: (Number(count) + 1) * unitMs };
}

/** What is known of a beginning, on our own clock. */
export interface Begun {
  readonly of: string;
  readonly byMs: number;
}

export const begun = (age: Age, nowMs: number): Begun => ({ of: age.of, byMs: nowMs - age.leastMs });

/** Can this still be what had begun by then? */
export const mayBeSame = (known: Begun, age: Age, nowMs: number): boolean =>
  known.of === age.of && nowMs - age.mostMs <= known.byMs + AGE_SLACK_MS;
