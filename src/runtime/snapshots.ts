/**
 * The snapshots of one fleet. They only save time at the next start: one that fails fails nothing else, and is tried again.
 *
 * One is written in slices: of a large fleet it takes seconds, in which no tick may fold, but everybody else is served.
 */
import { wordsOf } from '../core/error-words.ts';
import { LOGIC_VERSION } from '../core/limits.ts';
import type { FleetState } from '../core/model.ts';
import { freezing, thaw } from '../core/snapshot.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../ports/store.ts';
import { SLICE_MS, SNAPSHOT_EVERY_EVENTS, SNAPSHOT_RETRY_EVENTS } from './limits.ts';
import type { Log } from './log.ts';

export interface SnapshotsWorld {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
}

export class Snapshots {
  private readonly fleet: string;
  private readonly world: SnapshotsWorld;
  /** Of the newest one. */
  private seq = 0;
  /** None is tried below this, after one that failed. */
  private nextSeq = 0;

  constructor(fleet: string, world: SnapshotsWorld) {
    this.fleet = fleet;
    this.world = world;
  }

  /** The state of the newest one; null: there is none. */
  async newest(): Promise<FleetState | null> {
    const snapshot = await this.world.store.snapshot(this.fleet);
    if (snapshot === null) return null;
    this.seq = snapshot.seq;
    return thaw(snapshot.body, snapshot.logic);
  }

  /** Saves one if it is time. Never rejects. `state` must not change until it has ended. */
  async keep(state: FleetState): Promise<void> {
    const { seq } = state;
    const due = Math.max(SNAPSHOT_EVERY_EVENTS, state.instances.size * 4);
    if (seq - this.seq < due || seq < this.nextSeq) return;
    try {
      await this.save(state);
    } catch (error) {
      this.nextSeq = seq + SNAPSHOT_RETRY_EVENTS;
      this.world.log.error(
        { fleet: this.fleet, error: wordsOf(error) },
        'a snapshot could not be saved; it is tried again',
      );
    }
  }

  async save(state: FleetState): Promise<void> {
    const { seq, at } = state;
    if (seq === this.seq) return;
    const body = await this.frozen(state);
    await this.world.store.saveSnapshot(this.fleet, { seq, at, logic: LOGIC_VERSION, body });
    this.seq = seq;
  }

  private async frozen(state: FleetState): Promise<string> {
    const { clock } = this.world;
    const steps = freezing(state);
    let sinceMono = clock.mono();
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
      if (clock.mono() - sinceMono < SLICE_MS) continue;
      await new Promise((resolve) => setImmediate(resolve));
      sinceMono = clock.mono();
    }
  }
}
