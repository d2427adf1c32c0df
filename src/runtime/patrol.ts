/**
 * Looks, a few at a time and in turn, at instances that no tick looks at. A tick checks what it has looked at; one whose alarm
 * was lost would be looked at never again, and its silence is what nobody else could notice (invariants 2 and 7, L09).
 *
 * The whole fleet is seen within about an hour, in portions that cost a tick next to nothing.
 */
import type { Agenda } from '../core/agenda.ts';
import { checkSome } from '../core/audit.ts';
import type { Violation } from '../core/invariants.ts';
import type { FleetState } from '../core/model.ts';
import { PATROL_AT_LEAST, PATROL_EVERY_MS, PATROL_ROUNDS } from './limits.ts';

const NOBODY = { uids: [], violations: [] } as const;

export class Patrol {
  private rest: Iterator<string> | null = null;
  private lastMono = Number.NEGATIVE_INFINITY;

  /** Right after a tick that was decided at `now`. `looked` were checked by it. */
  look(
    state: FleetState,
    agenda: Agenda,
    now: number,
    looked: ReadonlySet<string>,
    mono: number,
  ): { readonly uids: readonly string[]; readonly violations: readonly Violation[] } {
    if (mono - this.lastMono < PATROL_EVERY_MS) return NOBODY;
    this.lastMono = mono;
    const portion = Math.max(PATROL_AT_LEAST, Math.ceil(state.instances.size / PATROL_ROUNDS));
    const uids: string[] = [];
    this.rest ??= state.instances.keys();
    while (uids.length < portion) {
      const next = this.rest.next();
      if (next.done === true) {
        this.rest = null;
        break;
      }
      if (!looked.has(next.value)) uids.push(next.value);
    }
    return { uids, violations: uids.flatMap((uid) => checked(state, now, agenda, uid)) };
  }
}

/** A rule that throws is found, and confined, by the tick that looks; here it must not end one that is committed (L46). */
function checked(state: FleetState, now: number, agenda: Agenda, uid: string): readonly Violation[] {
  try {
    return checkSome(state, now, agenda, [uid]);
  } catch {
    return [];
  }
}
