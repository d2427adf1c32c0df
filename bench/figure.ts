/** One measured figure, and how to say it. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** In words: "≤ 1 ms", "≥ 0.6 ×"; null: only to know. */
  readonly goal: string | null;
  /** What it was compared with, measured in the same run; null: an absolute figure. */
  readonly peer: string | null;
  /** null: no goal. */
  readonly ok: boolean | null;
}

export type Bench = () => AsyncIterable<Figure>;

export const atMost = (
  what: string,
  value: number,
  unit: string,
  limit: number,
  peer: string | null = null,
): Figure => ({
  what,
  value,
  unit,
  goal: `≤ ${limit} ${unit}`,
  peer,
  ok: value <= limit,
});

export const atLeast = (
  what: string,
  value: number,
  unit: string,
  limit: number,
  peer: string | null = null,
): Figure => ({
  what,
  value,
  unit,
  goal: `≥ ${limit} ${unit}`,
  peer,
  ok: value >= limit,
});

export const known = (what: string, value: number, unit: string): Figure => ({
  what,
  value,
  unit,
  goal: null,
  peer: null,
  ok: null,
});

export function show({ what, value, unit, goal, peer, ok }: Figure): string {
  const verdict = ok === null ? ' ' : ok ? '✓' : '✗';
  const figure = value >= 1000 ? Math.round(value).toLocaleString('en') : Number(value.toPrecision(3)).toString();
  return `${verdict} ${what.padEnd(62)} ${`${figure} ${unit}`.padStart(16)}${goal === null ? '' : `   goal ${goal}`}${peer === null ? '' : `   (${peer})`}`;
}

/** The value that this share of the samples does not exceed: 0.5 is the median (of an even count, the mean of the middle two). */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  if (share === 0.5 && sorted.length % 2 === 0)
    return ((sorted[sorted.length / 2 - 1] ?? NaN) + (sorted[sorted.length / 2] ?? NaN)) / 2;
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5);

/** How long it took, ms. */
export function timed(work: () => void): number {
  const began = performance.now();
  work();
  return performance.now() - began;
}

export async function timedAsync(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
