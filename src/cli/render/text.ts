/**
 * Words that come from outside (an agent's last output, a label, an error) on their way to a terminal: one line, and no
 * control character, so that nobody's error message repaints the operator's screen.
 */

/** On one line, control characters as spaces. */
export function plain(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this removes
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
}

/** At most `width` characters, the last of them "…" where something was left out. */
export function cut(text: string, width: number): string {
  if (text.length <= width) return text;
  return width <= 1 ? '…'.slice(0, Math.max(0, width)) : `${text.slice(0, width - 1)}…`;
}

/** "1 instance", "3 instances". */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}

/** "a, b, c and 5 more". */
export function names(all: readonly string[], most = 10): string {
  const shown = all.slice(0, most).join(', ');
  return all.length > most ? `${shown} and ${all.length - most} more` : shown;
}

/** A value in few characters, for a line of text. */
export function brief(value: unknown): string {
  if (value === undefined) return '–';
  return typeof value === 'string' ? plain(value) : plain(JSON.stringify(value));
}

/** Enough of a versioned hash to tell it from others: "1:7a27835167b9…". The whole of it is in the JSON. */
export function shortHash(hash: string): string {
  return hash.replace(/([0-9a-f]{12})[0-9a-f]{20,}/, '$1…');
}
