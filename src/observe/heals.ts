/**
 * How long losses last: from the fact that told of one, unasked (a flap, or an agent that fell silent), to the tick that
 * proves all is as declared again: RUNNING or, for one at rest, SLEEPING. What was then asked to stop or to go is no heal.
 * Fed with what each tick folded, in order; bounded, so that what never heals fills no memory.
 */
import type { StoredEvent } from '../core/events.ts';
import type { Phase } from '../core/model.ts';
import { OPEN_LOSSES } from './limits.ts';

const HEALED: ReadonlySet<Phase> = new Set(['RUNNING', 'SLEEPING']);
const CALLED_OFF: ReadonlySet<Phase> = new Set(['STOPPED', 'DELETING']);

export class Heals {
  /** uid → when the loss was seen, fleet time. */
  private readonly lost = new Map<string, number>();
  /** The last thing seen of each in the events at hand: what a flap that follows rests on. */
  private readonly seenAt = new Map<string, number>();

  /** Durations of what these events prove healed, ms. */
  healed(events: readonly StoredEvent[]): readonly number[] {
    const durationsMs: number[] = [];
    this.seenAt.clear();
    for (const event of events) {
      const { uid } = event;
      if (event.type === 'tick.decided') {
        for (const change of event.data.transitions) this.moved(change.uid, change.to, event.at, durationsMs);
        for (const action of event.data.actions) if (action.type === 'forget') this.lost.delete(action.uid);
      }
      if (uid === undefined) continue;
      if (event.type === 'resource.observed' || event.type === 'operation.ended') this.seenAt.set(uid, event.at);
      if (event.type === 'flap.observed') this.lose(uid, this.seenAt.get(uid) ?? event.at);
      if (event.type === 'agent.reported' && event.data.report === 'silent') this.lose(uid, event.at);
    }
    return durationsMs;
  }

  private moved(uid: string, to: Phase, at: number, durationsMs: number[]): void {
    const since = this.lost.get(uid);
    if (since === undefined) return;
    if (HEALED.has(to)) durationsMs.push(Math.max(0, at - since));
    if (HEALED.has(to) || CALLED_OFF.has(to)) this.lost.delete(uid);
  }

  /** A second loss before the first is healed makes it no shorter. */
  private lose(uid: string, at: number): void {
    if (this.lost.has(uid)) return;
    this.lost.set(uid, at);
    if (this.lost.size <= OPEN_LOSSES) return;
    for (const oldest of this.lost.keys()) {
      this.lost.delete(oldest);
      return;
    }
  }
}
