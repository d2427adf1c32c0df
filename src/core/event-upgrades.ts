/**
 * How what an older build has stored is brought up to the present version of its type, when it is read. The n-th step of a type
 * leads from version n to n + 1; so a type is at version 1 + its steps (`EVENT_VERSIONS`). Nothing stored is ever rewritten.
 *
 * Every type is at version 1 today. The first change of a stored shape adds its step here.
 */
import type { EventType } from './events.ts';

/** Pure. May throw at data that never was of its version: then that row is quarantined. */
type Upgrade = (data: { readonly [key: string]: unknown }) => unknown;
export type Upgrades = { readonly [T in EventType]?: readonly Upgrade[] };

export const UPGRADES: Upgrades = {};

export function upgraded(steps: readonly Upgrade[], v: number, data: unknown): unknown {
  let now = data;
  for (const step of steps.slice(v - 1)) now = step(now as { readonly [key: string]: unknown });
  return now;
}
