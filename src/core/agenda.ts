/**
 * Who is to be looked at next: the dirty, the due, and as many of those in line as there is room.
 *
 * Derived, never logged: it is what makes a tick cost O(dirty + due + freed room). Losing it (a restart, a replay from a
 * snapshot) only means looking at everybody once, which by construction decides the same.
 */
import { budgetLine, byName, ROLLOUT_LINE, type NextLook } from './decide.ts';
import { Slots } from './gates.ts';
import { Heap } from './heap.ts';
import type { FleetState, Instance } from './model.ts';

interface Alarm {
  readonly at: number;
  readonly uid: string;
}

interface Place {
  readonly inst: Instance;
  readonly priority: number;
  /** `phaseSeq` when it queued up; a change of it makes the instance dirty, and so queue up anew. */
  readonly since: number;
}

const goesBefore = (a: Place, b: Place): boolean => (a.priority - b.priority || a.since - b.since || byName(a.inst, b.inst)) < 0;

export class Agenda {
  private readonly alarms = new Heap<Alarm>((a, b) => a.at < b.at || (a.at === b.at && a.uid < b.uid));
  /** The alarm in force; older entries in the heap are void. */
  private readonly alarmOf = new Map<string, number>();
  private readonly lines = new Map<string, Heap<Place>>();
  private readonly lineOf = new Map<string, { line: string; place: Place }>();

  /** When the next alarm rings; Infinity if none is set. */
  get nextAt(): number {
    for (;;) {
      const top = this.alarms.peek();
      if (top === undefined) return Number.POSITIVE_INFINITY;
      if (this.alarmOf.get(top.uid) === top.at) return top.at;
      this.alarms.pop();
    }
  }

  /** When this instance is looked at again by itself; null if only a fact can change anything. */
  alarm(uid: string): number | null {
    return this.alarmOf.get(uid) ?? null;
  }

  /** Everybody who may have to be decided now. Takes nothing away: see `done`. */
  candidates(state: FleetState, now: number): Set<string> {
    const uids = new Set(state.dirty);
    const due: Alarm[] = [];
    while (this.nextAt <= now) {
      const alarm = this.alarms.pop() as Alarm;
      due.push(alarm);
      uids.add(alarm.uid);
      this.alarmOf.delete(alarm.uid);
    }
    // Put back: only a committed decision (`done`) may take an alarm away.
    for (const alarm of due) this.setAlarm(alarm.uid, alarm.at);
    this.admit(state, uids);
    return uids;
  }

  /** As many of those in line as there is room, in their order. */
  private admit(state: FleetState, uids: Set<string>): void {
    if (this.lineOf.size === 0) return;
    const slots = new Slots(state);
    for (const target of [...state.targets.keys()].sort()) {
      for (const budget of ['run', 'stop'] as const) this.callUp(budgetLine(target, budget), slots.free(target, budget), uids);
    }
    this.callUp(ROLLOUT_LINE, slots.rolloutFree(), uids);
  }

  private callUp(line: string, room: number, uids: Set<string>): void {
    const queue = this.lines.get(line);
    if (queue === undefined) return;
    const called: Place[] = [];
    while (called.length < room) {
      const place = queue.pop();
      if (place === undefined) break;
      if (this.lineOf.get(place.inst.uid)?.place !== place) continue;
      called.push(place);
      uids.add(place.inst.uid);
    }
    for (const place of called) queue.push(place);
  }

  /**
   * The decision about these is committed and folded, or there was nothing to commit: they are looked at again when they
   * said. Those that the decision itself touched stay dirty.
   */
  done(state: FleetState, looks: readonly NextLook[]): void {
    for (const look of looks) {
      if (!state.instances.has(look.uid)) {
        this.alarmOf.delete(look.uid);
        this.lineOf.delete(look.uid);
        continue;
      }
      if (Number.isFinite(look.wakeAt)) this.setAlarm(look.uid, look.wakeAt);
      else this.alarmOf.delete(look.uid);
      this.queueUp(state, look);
    }
  }

  private setAlarm(uid: string, at: number): void {
    if (this.alarmOf.get(uid) === at) return;
    this.alarmOf.set(uid, at);
    this.alarms.push({ at, uid });
  }

  private queueUp(state: FleetState, look: NextLook): void {
    const inst = state.instances.get(look.uid);
    if (look.waitsFor === null || inst === undefined) {
      this.lineOf.delete(look.uid);
      return;
    }
    const { line, priority } = look.waitsFor;
    const place: Place = { inst, priority, since: inst.phaseSeq };
    this.lineOf.set(look.uid, { line, place });
    let queue = this.lines.get(line);
    if (queue === undefined) {
      queue = new Heap<Place>(goesBefore);
      this.lines.set(line, queue);
    }
    queue.push(place);
  }
}
