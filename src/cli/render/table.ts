/**
 * Tables for people: columns as wide as what is in them, two spaces between, no rules. On a terminal the last column is
 * cut to fit; elsewhere nothing is, since whoever greps wants it all.
 */
import type { Paint, Tone } from './colours.ts';
import { cut, plain } from './text.ts';

export interface Cell {
  readonly text: string;
  readonly tone: Tone | null;
}

export type Row = readonly (string | Cell)[];

const GAP = '  ';
/** The last column keeps at least this much, however narrow the terminal. */
const LAST_COLUMN = 12;

/** Lines without newlines. `width` null: as wide as it comes. */
export function table(
  heads: readonly string[],
  rows: readonly Row[],
  paint: Paint,
  width: number | null,
): readonly string[] {
  const cells = rows.map((row) =>
    row.map((cell) =>
      typeof cell === 'string' ? { text: plain(cell), tone: null } : { ...cell, text: plain(cell.text) },
    ),
  );
  const widths = heads.map((head, i) =>
    cells.reduce((most, row) => Math.max(most, row[i]?.text.length ?? 0), head.length),
  );
  const last = heads.length - 1;
  if (width !== null) {
    const before = widths.slice(0, last).reduce((sum, each) => sum + each + GAP.length, 0);
    widths[last] = Math.min(widths[last] ?? 0, Math.max(LAST_COLUMN, width - before));
  }
  const line = (row: readonly Cell[]): string =>
    row
      .map(({ text, tone }, i) => {
        const fitted = cut(text, widths[i] ?? text.length);
        const painted = tone === null ? fitted : paint(tone, fitted);
        return i === last ? painted : painted + ' '.repeat(Math.max(0, (widths[i] ?? 0) - fitted.length));
      })
      .join(GAP)
      .trimEnd();
  return [line(heads.map((text) => ({ text, tone: 'strong' }))), ...cells.map(line)];
}
