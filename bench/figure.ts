/** One measured figure, and how to say it. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** In words: "< 1 ms", "≥ 0.6 ×"; null: only to know. */
  readonly goal: string | null;
  /** What it was compared with, measured in the same run; null: an absolute figure. */
  readonly peer: string | null;
  /** null: no goal. */
  readonly ok: boolean | null;
}

export type Bench = () => AsyncIterable<Figure>;

export const atMost = (what: string, value: number, unit: string, limit: number, peer: string | null = null): Figure => ({
  what,
  value,
  unit,
  goal: `≤ ${limit} ${unit}`,
  peer,
  ok: value <= limit,
});

export const atLeast = (what: string, value: number, unit: string, limit: number, peer: string | null = null): Figure => ({
  what,
  value,
  unit,
  goal: `≥ ${limit} ${unit}`,
  peer,
  ok: value >= limit,
});

export const known = (what: string, value: number, unit: string): Figure => ({ what, value, unit, goal: null, peer: null, ok: null });

export function show({ what, value, unit, goal, peer, ok }: Figure): string {
  const verdict = ok === null ? ' ' : ok ? '✓' : '✗';
  const figure = value >= 1000 ? Math.round(value).toLocaleString('en') : Number(value.toPrecision(3)).toString();
  return `${verdict} ${what.padEnd(58)} ${`${figure} ${unit}`.padStart(16)}${goal === null ? '' : `   goal ${goal}`}${peer === null ? '' : `   (${peer})`}`;
}

/** Median of the given samples. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
