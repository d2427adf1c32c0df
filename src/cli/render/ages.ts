/** Times for people: how long ago, how far off. Exact times are in the JSON. */

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** One unit, the largest that leaves at least two of it: 90 s is "90s", 150 s is "2m", a day and a half is "36h". */
export function span(ms: number): string {
  const amount = Math.abs(ms);
  if (amount < SECOND_MS) return `${Math.floor(amount)}ms`;
  if (amount < 2 * MINUTE_MS) return `${Math.floor(amount / SECOND_MS)}s`;
  if (amount < 2 * HOUR_MS) return `${Math.floor(amount / MINUTE_MS)}m`;
  if (amount < 2 * DAY_MS) return `${Math.floor(amount / HOUR_MS)}h`;
  return `${Math.floor(amount / DAY_MS)}d`;
}

/** "3m ago", "in 12s", "now"; "–" for no time at all. */
export function age(time: string | null | undefined, now: number): string {
  const at = time == null ? Number.NaN : Date.parse(time);
  if (Number.isNaN(at)) return '–';
  const past = now - at;
  if (Math.abs(past) < SECOND_MS) return 'now';
  return past > 0 ? `${span(past)} ago` : `in ${span(past)}`;
}

/** Local wall clock to the second, with the date where it is not today's: for lists of events. */
export function clock(time: string, now: number): string {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return time;
  const hours = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  const today = new Date(now).toDateString() === at.toDateString();
  return today ? hours : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${hours}`;
}

function two(number: number): string {
  return String(number).padStart(2, '0');
}
