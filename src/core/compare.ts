/**
 * Is what a tick computes what was recorded? By structure, without making texts: a replay asks this once per recorded tick,
 * and nearly always the answer is yes (DESIGN §21: at least 0.6 × a bare read of the log).
 *
 * Recorded ones come out of JSON, so an absent key and `undefined` are the same.
 */
import type { Decision } from './decide.ts';
import type { DecidedAction, DecidedHold, DecidedTransition, EventData } from './events.ts';
import type { Exit, Hold } from './model.ts';

export type RecordedFlap = {
  readonly instance?: string;
  readonly uid?: string;
  readonly data: EventData['flap.observed'];
};

/** What of one tick is compared, computed and recorded alike. */
export interface Decided {
  readonly actions: readonly DecidedAction[];
  readonly transitions: readonly DecidedTransition[];
  readonly holds: readonly DecidedHold[];
}

export const sameDecided = (a: Decided, b: Decided): boolean =>
  sameList(a.actions, b.actions, sameAction) &&
  sameList(a.transitions, b.transitions, sameTransition) &&
  sameList(a.holds, b.holds, sameDecidedHold);

function sameList<T>(a: readonly T[], b: readonly T[], same: (a: T, b: T) => boolean): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (!same(a[i] as T, b[i] as T)) return false;
  return true;
}

const sameSeq = (a: number, b: number): boolean => a === b;

/** Every field by name, spelled out: a loop over keys costs more than all the rest. A test holds it complete. */
const sameAction = (a: DecidedAction, b: DecidedAction): boolean =>
  a.uid === b.uid &&
  a.type === b.type &&
  a.rule === b.rule &&
  a.instance === b.instance &&
  a.operation === b.operation &&
  a.concern === b.concern &&
  a.attempt === b.attempt &&
  a.deadlineAt === b.deadlineAt &&
  a.graceMs === b.graceMs &&
  a.unstarted === b.unstarted &&
  a.subject === b.subject &&
  a.counted === b.counted &&
  a.named === b.named &&
  a.rolloutUntil === b.rolloutUntil &&
  a.reason === b.reason &&
  sameList(a.facts, b.facts, sameSeq);

const sameTransition = (a: DecidedTransition, b: DecidedTransition): boolean =>
  a.uid === b.uid && a.from === b.from && a.to === b.to && a.rule === b.rule && a.instance === b.instance;

const sameDecidedHold = (a: DecidedHold, b: DecidedHold): boolean =>
  a.uid === b.uid && a.instance === b.instance && sameHold(a.hold, b.hold);

function sameHold(a: Hold | null, b: Hold | null): boolean {
  if (a === null || b === null) return a === b;
  return a.reason === b.reason && a.rule === b.rule && a.until === b.until && a.detail === b.detail;
}

/** Flaps are events of their own, behind their tick and in its order. */
export function sameFlap(computed: Decision['flaps'][number] | undefined, recorded: RecordedFlap): boolean {
  if (computed === undefined) return false;
  const { inst, flap } = computed;
  const { data } = recorded;
  return (
    inst.uid === recorded.uid &&
    flap.kind === data.kind &&
    flap.incarnation === data.incarnation &&
    (flap.exit?.output ?? null) === data.output &&
    sameExit(flap.exit, data.exit)
  );
}

function sameExit(a: Exit | null, b: Exit | null): boolean {
  if (a === null || b === null) return a === b;
  return a.code === b.code && a.signal === b.signal && a.oom === b.oom;
}
