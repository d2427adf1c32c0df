/** Times as text, without a clock: the core may format a time it is given, never ask for one. */

const DAY_MS = 86_400_000;

const two = (n: number): string => (n < 10 ? `0${n}` : `${n}`);

/**
 * ISO 8601 in UTC with milliseconds, for ms since the epoch (year 0–9999).
 * Civil-from-days after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 */
export function iso(ms: number): string {
  const days = Math.floor(ms / DAY_MS);
  const rest = ms - days * DAY_MS;
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const month = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * month + 2) / 5) + 1;
  const monthOfYear = month < 10 ? month + 3 : month - 9;
  const year = yearOfEra + era * 400 + (monthOfYear <= 2 ? 1 : 0);
  const millis = Math.floor(rest % 1000);
  const secs = Math.floor(rest / 1000);
  const clock = `${two(Math.floor(secs / 3600))}:${two(Math.floor(secs / 60) % 60)}:${two(secs % 60)}`;
  return `${String(year).padStart(4, '0')}-${two(monthOfYear)}-${two(day)}T${clock}.${String(millis).padStart(3, '0')}Z`;
}
