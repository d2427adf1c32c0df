/**
 * Who is to be looked at next: the dirty, the due, and those in line for whom there is room.
 *
 * Derived, never logged: it is what makes a tick cost O(dirty + due + freed room). Losing it (a restart, a replay from a
 * snapshot) only means looking at everybody once, which by construction decides the same.
 */
import type { NextLook } from './decide.ts';
import { byTurn, type Room, type Slots, type Turn } from './gates.ts';
import { Heap } from './heap.ts';
import type { FleetState } from './model.ts';

interface Alarm {
  readonly at: number;
  readonly uid: string;
}

/** Those who need the same room, in the order of their turns. Turns that `turnOf` no longer knows are void. */
interface Line {
  readonly rooms: readonly Room[];
  readonly queue: Heap<Turn>;
}

/** Entries of a heap before the void ones are thrown out: at least half of them are then, so each is moved but once or twice. */
const roomFor = (living: number): number => 2 * living + 64;

const NOBODY: readonly string[] = [];

/** Whoever stands in this line needs all of its rooms. At least one: who goes before the taker of the last is called, too. */
function leastFree(rooms: readonly Room[], slots: Slots): number {
  let least = Number.POSITIVE_INFINITY;
  for (const room of rooms) least = Math.min(least, slots.free(room));
  return Math.max(1, least);
}

export class Agenda {
  private readonly alarms = new Heap<Alarm>((a, b) => a.at < b.at || (a.at === b.at && a.uid < b.uid));
  /** The alarm in force; older entries in the heap are void. */
  private readonly alarmOf = new Map<string, number>();
  private readonly lines = new Map<string, Line>();
  /** The same in the order of their keys. */
  private inKeyOrder: readonly Line[] = [];
  private readonly turnOf = new Map<string, Turn>();

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

  /** Does it wait for room? */
  waits(uid: string): boolean {
    return this.turnOf.has(uid);
  }

  /** The dirty and the due. Takes nothing away: see `done`. */
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
    return uids;
  }

  /**
   * Those in line who would have had room in this decision and were not `looked` at: as many as it could have served, times
   * `generosity`.
   */
  called(slots: Slots, looked: ReadonlySet<string>, generosity = 1): readonly string[] {
    if (this.turnOf.size === 0) return NOBODY;
    const called: string[] = [];
    for (const line of this.inKeyOrder)
      if (line.queue.size > 0) this.callUp(line, leastFree(line.rooms, slots) * generosity, slots, looked, called);
    return called;
  }

  private callUp(
    { rooms, queue }: Line,
    most: number,
    slots: Slots,
    looked: ReadonlySet<string>,
    called: string[],
  ): void {
    const passed: Turn[] = [];
    for (let left = most; left > 0;) {
      const turn = queue.peek();
      if (turn === undefined) break;
      const uid = turn.inst.uid;
      if (this.turnOf.get(uid) !== turn) {
        queue.pop();
        continue;
      }
      if (!looked.has(uid)) {
        if (!slots.hadRoom(rooms, turn)) break;
        called.push(uid);
        left -= 1;
      }
      queue.pop();
      passed.push(turn);
    }
    for (const turn of passed) queue.push(turn);
  }

  /**
   * The decision about these is committed and folded, or there was nothing to commit: they are looked at again when they
   * said. Those that the decision itself touched stay dirty.
   */
  done(state: FleetState, looks: readonly NextLook[]): void {
    for (const look of looks) {
      if (!state.instances.has(look.uid)) {
        this.forget(look.uid);
        continue;
      }
      if (Number.isFinite(look.wakeAt)) this.setAlarm(look.uid, look.wakeAt);
      else this.alarmOf.delete(look.uid);
      this.queueUp(state, look);
    }
  }

  /** It is no more: it neither rings nor waits. */
  forget(uid: string): void {
    this.alarmOf.delete(uid);
    this.turnOf.delete(uid);
  }

  private setAlarm(uid: string, at: number): void {
    if (this.alarmOf.get(uid) === at) return;
    this.alarmOf.set(uid, at);
    this.alarms.push({ at, uid });
    // One that changes its mind with every fact leaves a void entry each time, some of them for days.
    if (this.alarms.size > roomFor(this.alarmOf.size)) {
      this.alarms.refill([...this.alarmOf].map(([of, rings]) => ({ at: rings, uid: of })));
    }
  }

  private queueUp(state: FleetState, look: NextLook): void {
    const inst = state.instances.get(look.uid);
    if (look.waitsFor === null || inst === undefined) {
      this.turnOf.delete(look.uid);
      return;
    }
    // A change of `phaseSeq` makes the instance dirty, and so queue up anew.
    const turn: Turn = { inst, priority: look.waitsFor.priority, since: inst.phaseSeq };
    this.turnOf.set(look.uid, turn);
    for (const rooms of look.waitsFor.lines) {
      const key = rooms.join('\n');
      let line = this.lines.get(key);
      if (line === undefined) {
        line = { rooms, queue: new Heap<Turn>((a, b) => byTurn(a, b) < 0) };
        this.lines.set(key, line);
        this.inKeyOrder = [...this.lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
      }
      line.queue.push(turn);
      if (line.queue.size > roomFor(this.turnOf.size)) {
        line.queue.refill(line.queue.all().filter((other) => this.turnOf.get(other.inst.uid) === other));
      }
    }
  }
}
