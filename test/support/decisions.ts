/**
 * What was decided, and what would be: for tests that assert decisions instead of calls.
 */
import assert from 'node:assert/strict';
import { Case } from '../../src/core/case.ts';
import { judge } from '../../src/core/decide.ts';
import type { DecidedAction } from '../../src/core/events.ts';
import type { Hold, Phase } from '../../src/core/model.ts';
import type { RowId } from '../../src/core/table.ts';
import type { Lab } from './fleet.ts';

/** One look at one instance as it is now, all shared room free: nothing is committed. */
export interface Outlook {
  readonly row: RowId;
  readonly phase: Phase;
  /** "update", or "update unstarted"; null: nothing. */
  readonly does: string | null;
  readonly hold: Hold['reason'] | null;
}

export function outlook(fleet: Lab, name: string): Outlook {
  const verdict = judge(new Case(fleet.state, fleet.inst(name), fleet.now), null);
  const { proposal } = verdict;
  const does = proposal === null ? null : `${proposal.type}${proposal.unstarted === true ? ' unstarted' : ''}`;
  return { row: verdict.row.id, phase: verdict.phase, does, hold: verdict.hold?.reason ?? null };
}

/** Every action in the log, oldest first; of one instance (by name) if one is given, from `since` on. */
export function decisions(fleet: Lab, name?: string, since = 0): DecidedAction[] {
  return fleet
    .events('tick.decided')
    .filter((event) => event.seq > since)
    .flatMap((event) => event.data.actions)
    .filter((action) => name === undefined || action.instance === name);
}

/** The same as words: "provision", "update unstarted", "abort". */
export const decided = (fleet: Lab, name?: string, since = 0): string[] =>
  decisions(fleet, name, since).map((action) => `${action.type}${action.unstarted === true ? ' unstarted' : ''}`);

/** Phases an instance went through, oldest first. */
export const phases = (fleet: Lab, name: string, since = 0): Phase[] =>
  fleet
    .events('tick.decided')
    .filter((event) => event.seq > since)
    .flatMap((event) => event.data.transitions.filter((step) => step.instance === name).map((step) => step.to));

/** Flaps said of an instance, oldest first. */
export const flaps = (fleet: Lab, name: string): string[] =>
  fleet
    .events('flap.observed')
    .filter((event) => event.instance === name)
    .map((event) => event.data.kind);

/** Names whose operation is in flight, in order. */
export const atWork = (fleet: Lab): string[] =>
  [...fleet.state.instances.values()]
    .filter((inst) => inst.operation !== null)
    .map((inst) => inst.name)
    .sort();

/** "n-00", "n-01", …: declared alike, under one revision. */
export const many = (count: number, prefix = 'n'): string[] =>
  Array.from({ length: count }, (_, at) => `${prefix}-${String(at).padStart(2, '0')}`);

/** Ticks at its alarms until an operation of it is in flight. How long that took, ms. */
export function untilOperating(fleet: Lab, name: string): number {
  const from = fleet.now;
  fleet.drain();
  while (fleet.operation(name) === null) {
    const { phase, hold } = fleet.inst(name);
    assert.ok(
      Number.isFinite(fleet.agenda.nextAt),
      `${name} is ${phase}, hold ${hold?.reason}: nothing will ever look again`,
    );
    fleet.advance(Math.max(1, fleet.agenda.nextAt - fleet.now));
  }
  return fleet.now - from;
}
