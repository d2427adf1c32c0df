/**
 * JSON of events, read. Half of a log are edges of agents, and the texts of those are five: `{"report":"busy"}`, `{}` … Each of
 * these is read once, and its value, frozen, is that of all of them.
 */
export function parsed(text: string): unknown {
  return text.length <= BRIEF_CHARS ? brief(text) : JSON.parse(text);
}

function brief(text: string): unknown {
  const known = BRIEF.get(text);
  if (known !== undefined) return known;
  const value: unknown = JSON.parse(text);
  if (BRIEF.size < BRIEF_TEXTS && isFlat(value)) BRIEF.set(text, Object.freeze(value));
  return value;
}

const BRIEF = new Map<string, object>();
const BRIEF_CHARS = 32;
const BRIEF_TEXTS = 64;

const isFlat = (value: unknown): value is object =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((part) => typeof part === 'string');
