/**
 * Chance of every kind of fault, in one place, and the count of those that struck. Under `calm` none strikes any more.
 */
import type { Chance } from './prng.ts';

/** Chance per call, per notice, per commit. */
const ODDS = {
  // calls of the authority
  'error-before': 0.03,
  'lost-answer': 0.03,
  'terminal-error': 0.004,
  'conflict-error': 0.006,
  'target-error': 0.004,
  'no-effect': 0.006,
  hang: 0.012,
  /** Of those that hang: deaf to the abort, and done in the end. */
  late: 0.4,
  slow: 0.1,
  deaf: 0.01,
  // operators who change their mind while it is being done
  'second-thought': 0.012,
  // listings
  'listing-fails': 0.03,
  'listing-hangs': 0.004,
  'listing-of-before': 0.4,
  // notices of the authority
  'notice-lost': 0.15,
  'notice-late': 0.2,
  'notice-twice': 0.05,
  // probes
  'probe-hangs': 0.002,
  // commits of the store
  'store-before': 0.001,
  'store-after': 0.001,
  // the control plane
  'crash-after-commit': 0.0012,
  'crash-before-effect': 0.002,
  'crash-after-effect': 0.002,
  // heartbeats
  'beat-lost': 0.02,
  'beat-late': 0.02,
  'beat-twice': 0.01,
  // the log
  'corrupt-row': 0.008,
} as const;

/** Mean time between, ms: what comes by itself. */
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const MEAN_MS = {
  'resource-killed': 8 * MINUTE,
  'resource-removed': 60 * MINUTE,
  'resource-paused': 60 * MINUTE,
  'stuck-changing': 4 * HOUR,
  'ref-shared': 8 * HOUR,
  'mass-loss': 6 * HOUR,
  'mass-silence': 10 * HOUR,
  'authority-down': 3 * HOUR,
  'empty-listings': 2.5 * HOUR,
  'another-identity': 10 * HOUR,
  'agent-wedged': 30 * MINUTE,
  'agent-mute': 60 * MINUTE,
  'agent-sick': 60 * MINUTE,
  'agent-degraded': 50 * MINUTE,
  'agent-busy': 12 * MINUTE,
  'external-away': 60 * MINUTE,
  'config-drift': 70 * MINUTE,
  'plugin-drift': 90 * MINUTE,
  'ref-moved': 4 * HOUR,
  'proxy-work': 15 * MINUTE,
  'work-lease': 60 * MINUTE,
  'clock-jump': 4 * HOUR,
  crash: 3 * HOUR,
  'clean-restart': 8 * HOUR,
  'owner-paused': 4 * HOUR,
  'second-plane': 8 * HOUR,
  'store-outage': 6 * HOUR,
  snapshot: HOUR,
} as const;

export type Odd = keyof typeof ODDS;
export type Strike = keyof typeof MEAN_MS;
export type FaultKind = Odd | Strike;
export const FAULT_KINDS: readonly FaultKind[] = [
  ...(Object.keys(ODDS) as Odd[]),
  ...(Object.keys(MEAN_MS) as Strike[]),
];

export class Weather {
  calm = false;
  readonly struck = new Map<FaultKind, number>();
  private readonly chance: Chance;

  constructor(chance: Chance) {
    this.chance = chance;
  }

  /** Does this fault strike here and now? */
  is(kind: Odd): boolean {
    if (this.calm || !this.chance.is(ODDS[kind])) return false;
    this.count(kind);
    return true;
  }

  count(kind: FaultKind): void {
    this.struck.set(kind, (this.struck.get(kind) ?? 0) + 1);
  }
}
