/**
 * The loop of one fleet: drain facts → decide → commit → effects.
 *
 *  1. One tick at a time; whatever arrives meanwhile asks for another, and is never dropped (L30).
 *  2. A reported fact stays in the inbox until the store has it; an outage of the store loses none.
 *  3. Effects start only after the commit of the tick that decided them.
 *  4. The loop ticks at least every `MAX_REST_MS` even when nothing happens, so that its silence means something (L09).
 */
import { Agenda } from '../core/agenda.ts';
import type { Decision } from '../core/decide.ts';
import type { NewEvent, StoredEvent } from '../core/events.ts';
import { emptyState, evolve } from '../core/evolve.ts';
import { checkDecision, checkInvariants, type Violation } from '../core/invariants.ts';
import { LOGIC_VERSION } from '../core/limits.ts';
import type { FleetState } from '../core/model.ts';
import { freeze, thaw } from '../core/snapshot.ts';
import { conclude, plan, toEvents } from '../core/tick.ts';
import type { Clock } from '../ports/clock.ts';
import { FencedError, type Store } from '../ports/store.ts';
import { fleetClock } from './fleet-clock.ts';
import {
  INBOX_FACTS,
  MAX_REST_MS,
  READ_PAGE_EVENTS,
  RETRY_MAX_MS,
  RETRY_MIN_MS,
  SNAPSHOT_EVERY_EVENTS,
} from './limits.ts';
import type { Log } from './log.ts';

/** A fact, or what makes facts of the state as it is when they are drained. Pure, and cheap. */
export type FactSource = (state: FleetState) => readonly NewEvent[];

export interface TickReport {
  readonly drained: number;
  readonly durationMs: number;
  readonly decision: Decision;
  /** What this tick found broken; each is counted, and a fault of ours. */
  readonly violations: readonly Violation[];
  /** Folded by this tick, in order: facts, then what it decided. */
  readonly events: readonly StoredEvent[];
}

export interface LoopWorld {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** The tick is committed and folded: act, count, tell. Must not throw. */
  committed(report: TickReport): void;
  /** Another owner has taken the fleet: this loop has ended. */
  lost(reason: string): void;
}

export class FleetLoop {
  readonly fleet: string;
  readonly agenda = new Agenda();
  state: FleetState;
  epoch = 0;
  private readonly world: LoopWorld;
  private now: () => number = () => 0;
  private inbox: FactSource[] = [];
  private unsent: NewEvent[] = [];
  /** Folded, but not yet told: a tick whose commit fails has still folded facts. */
  private untold: StoredEvent[] = [];
  private ticking: Promise<void> | null = null;
  private again = false;
  private ended = false;
  private cancelWake: () => void = () => undefined;
  private snapshotSeq = 0;
  private retryMs = 0;
  /** For readiness: when the last tick succeeded (monotonic), since when the present one runs, what failed last. */
  lastTickMono = 0;
  tickingSinceMono: number | null = null;
  failure: string | null = null;
  pendingFacts = 0;

  constructor(fleet: string, world: LoopWorld) {
    this.fleet = fleet;
    this.world = world;
    this.state = emptyState(fleet);
  }

  /** Reads the log, takes it over under `epoch`, and says so in it. */
  async start(epoch: number, owner: string): Promise<void> {
    const { store, clock } = this.world;
    this.epoch = epoch;
    const snapshot = await store.snapshot(this.fleet);
    if (snapshot !== null) {
      this.state = thaw(snapshot.body, snapshot.logic);
      this.snapshotSeq = snapshot.seq;
    }
    await this.catchUp();
    this.now = fleetClock(clock, this.state.at);
    await store.append(this.fleet, [{ type: 'owner.started', data: { epoch, owner, logic: LOGIC_VERSION } }], this.now);
    await this.catchUp();
    this.lastTickMono = clock.mono();
    this.poke();
  }

  /** Fleet time now. */
  time(): number {
    return this.now();
  }

  /** Hands in facts. `false`: the inbox is full, and the caller must offer them again. */
  report(source: FactSource): boolean {
    if (this.ended || this.inbox.length >= INBOX_FACTS) return false;
    this.inbox.push(source);
    this.poke();
    return true;
  }

  /** Something changed in the log or in the inbox: tick soon. */
  poke(): void {
    if (this.ended) return;
    if (this.ticking !== null) {
      this.again = true;
      return;
    }
    this.cancelWake();
    this.ticking = this.turn().finally(() => {
      this.ticking = null;
      if (this.again && this.retryMs === 0) {
        this.again = false;
        this.poke();
      } else this.rest();
    });
  }

  /** Resolves once everything up to `seq` is folded and decided. Rejects when the loop has ended. */
  async decidedUpTo(seq: number): Promise<void> {
    while (this.state.seq < seq || this.state.dirty.size > 0) {
      if (this.ended) throw new Error(`the loop of fleet "${this.fleet}" has ended`);
      this.poke();
      await this.ticking;
      if (this.retryMs > 0)
        throw new Error(`the log of fleet "${this.fleet}" cannot be written now: ${this.failure ?? 'unknown'}`);
    }
  }

  /**
   * Between two ticks: folds what is durable, as the next tick would, and reads. Whoever reads finds exactly what that tick
   * would find; nothing is decided, written or done.
   */
  async peek<T>(read: (state: FleetState, agenda: Agenda, now: number, pendingFacts: number) => T): Promise<T> {
    while (this.ticking !== null) await this.ticking;
    const before = this.state.seq;
    // Holds the next tick off while the log is read.
    this.ticking = this.catchUp((event) => this.untold.push(event));
    try {
      await this.ticking;
    } finally {
      this.ticking = null;
    }
    try {
      return read(
        this.state,
        this.agenda,
        Math.max(this.now(), this.state.at),
        this.state.seq - before + this.inbox.length,
      );
    } finally {
      if (this.again || this.untold.length > 0) {
        this.again = false;
        this.poke();
      }
    }
  }

  async stop(): Promise<void> {
    this.ended = true;
    this.cancelWake();
    while (this.ticking !== null) await this.ticking;
  }

  // ── one tick ──────────────────────────────────────────────────────────────────────────────────────────────────────

  private async turn(): Promise<void> {
    const { clock, log, lost } = this.world;
    this.tickingSinceMono = clock.mono();
    try {
      await this.tick();
      this.retryMs = 0;
      this.failure = null;
      this.lastTickMono = clock.mono();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (error instanceof FencedError) {
        this.ended = true;
        lost(message);
        return;
      }
      this.failure = message;
      this.retryMs = Math.min(RETRY_MAX_MS, Math.max(RETRY_MIN_MS, this.retryMs * 2));
      log.error(
        { fleet: this.fleet, error: message, retryMs: this.retryMs },
        'a tick failed; nothing of it was done, it is tried again',
      );
    } finally {
      this.tickingSinceMono = null;
    }
  }

  private async tick(): Promise<void> {
    const { store, clock } = this.world;
    const began = clock.mono();
    await this.drain();
    let planned: ReturnType<typeof plan> | null = null;
    const written = await store.tick(this.fleet, this.epoch, this.state.seq, this.now, (fresh) => {
      for (const event of fresh) {
        if (event.seq <= this.state.seq) continue;
        evolve(this.state, event);
        this.untold.push(event);
      }
      planned = plan(this.state, this.agenda, Math.max(this.now(), this.state.at));
      return toEvents(planned.decision);
    });
    if (planned === null) throw new Error('the store committed a tick without asking what it decides');
    const done: ReturnType<typeof plan> = planned;
    const violations = [...checkDecision(this.state, done.decision)];
    conclude(this.state, this.agenda, done, written);
    violations.push(...checkInvariants(this.state, done.decision.now, done.looked, this.agenda));
    if (this.state.dirty.size > 0) this.again = true;
    const events = [...this.untold, ...written];
    const drained = this.untold.length;
    this.untold = [];
    this.world.committed({ drained, durationMs: clock.mono() - began, decision: done.decision, violations, events });
    await this.keepSnapshots();
  }

  /** Inbox → log. What the store did not take is offered again by the next tick. */
  private async drain(): Promise<void> {
    const sources = this.inbox;
    this.inbox = [];
    for (const source of sources) this.unsent.push(...this.factsOf(source));
    this.pendingFacts = this.unsent.length;
    if (this.unsent.length === 0) return;
    await this.world.store.append(this.fleet, this.unsent, this.now);
    this.unsent = [];
    this.pendingFacts = 0;
  }

  /** One faulty source must not take the others' facts with it (L46). */
  private factsOf(source: FactSource): readonly NewEvent[] {
    try {
      return source(this.state);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.world.log.error(
        { fleet: this.fleet, error: message },
        'a source of facts failed; its facts are lost, the next look tells',
      );
      return [];
    }
  }

  private async catchUp(told: (event: StoredEvent) => void = () => undefined): Promise<void> {
    for (;;) {
      const page = await this.world.store.read(this.fleet, { after: this.state.seq, limit: READ_PAGE_EVENTS });
      for (const event of page) {
        evolve(this.state, event);
        told(event);
      }
      if (page.length < READ_PAGE_EVENTS) return;
    }
  }

  private async keepSnapshots(): Promise<void> {
    const due = Math.max(SNAPSHOT_EVERY_EVENTS, this.state.instances.size * 4);
    if (this.state.seq - this.snapshotSeq < due) return;
    await this.saveSnapshot();
  }

  async saveSnapshot(): Promise<void> {
    const { seq, at } = this.state;
    if (seq === this.snapshotSeq) return;
    await this.world.store.saveSnapshot(this.fleet, { seq, at, logic: LOGIC_VERSION, body: freeze(this.state) });
    this.snapshotSeq = seq;
  }

  private rest(): void {
    if (this.ended) return;
    const untilAlarm = this.agenda.nextAt - this.now();
    const ms = this.retryMs > 0 ? this.retryMs : Math.min(MAX_REST_MS, Math.max(0, untilAlarm));
    this.cancelWake = this.world.clock.after(ms, () => this.poke());
  }
}
