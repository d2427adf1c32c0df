/**
 * The loop of one fleet: drain facts → decide → commit → effects.
 *
 *  1. One tick at a time; whatever arrives meanwhile asks for another, and is never dropped (L30).
 *  2. A reported fact stays in the inbox until the store has it; an outage of the store loses none.
 *  3. Effects start only after the commit of the tick that decided them.
 *  4. The loop ticks at least every `MAX_REST_MS` even when nothing happens, so that its silence means something (L09).
 *  5. What one source, listener or snapshot breaks, it breaks for itself alone (L46).
 */
import { Agenda } from '../core/agenda.ts';
import type { Decision } from '../core/decide.ts';
import { wordsOf } from '../core/error-words.ts';
import type { NewEvent, StoredEvent } from '../core/events.ts';
import { drafted } from '../core/draft.ts';
import { emptyState, evolve } from '../core/evolve.ts';
import { checkDecision, checkInvariants, takeFaults, type Violation } from '../core/invariants.ts';
import { LOGIC_VERSION } from '../core/limits.ts';
import type { FleetState } from '../core/model.ts';
import { conclude, plan, toEvents } from '../core/tick.ts';
import type { Clock } from '../ports/clock.ts';
import { FencedError, type Store } from '../ports/store.ts';
import { appendSingly } from './append-singly.ts';
import { fleetClock } from './fleet-clock.ts';
import {
  FOLLOW_UP_MS,
  INBOX_FACTS,
  MAX_REST_MS,
  READ_PAGE_EVENTS,
  RETRY_MAX_MS,
  RETRY_MIN_MS,
  TICKS_AT_ONCE,
} from './limits.ts';
import type { Ahead, FactSource } from './ahead.ts';
import type { Log } from './log.ts';
import { Patrol } from './patrol.ts';
import { Snapshots } from './snapshots.ts';

export interface TickReport {
  readonly drained: number;
  readonly durationMs: number;
  readonly decision: Decision;
  /** Whose invariants it checked: whom it looked at, and some that no tick looks at. */
  readonly checked: readonly string[];
  /** What this tick found broken; each is counted, and a fault of ours. */
  readonly violations: readonly Violation[];
  /** Folded by this tick, in order: facts, then what it decided. */
  readonly events: readonly StoredEvent[];
}

export interface LoopWorld {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** A fact as the log will have it: what is only shown must not differ. */
  redacted(fact: NewEvent): NewEvent;
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
  private readonly patrol = new Patrol();
  private readonly snapshots: Snapshots;
  private inbox: FactSource[] = [];
  private unsent: NewEvent[] = [];
  /** Folded, but not yet told: a tick whose commit fails has still folded facts. */
  private untold: StoredEvent[] = [];
  private ticking: Promise<void> | null = null;
  private again = false;
  private ended = false;
  private cancelWake: () => void = () => undefined;
  private retryMs = 0;
  /** Ticks that succeeded; and how many of the last ones followed each other though no fact came. */
  private ticks = 0;
  private streak = 0;
  /** For readiness: when the last tick succeeded (monotonic), since when the present one runs, what failed last. */
  lastTickMono = 0;
  tickingSinceMono: number | null = null;
  failure: string | null = null;

  constructor(fleet: string, world: LoopWorld) {
    this.fleet = fleet;
    this.world = world;
    this.state = emptyState(fleet);
    this.snapshots = new Snapshots(fleet, world);
  }

  /** Reads the log to look at it as it was at `now`: nothing is taken over, time stands still, and it never ticks. */
  async open(now: number): Promise<void> {
    this.ended = true;
    await this.load();
    this.epoch = this.state.epoch;
    this.now = () => Math.max(now, this.state.at);
    this.lastTickMono = this.world.clock.mono();
    for (const uid of this.state.instances.keys()) this.state.dirty.add(uid);
    // So that it can be told when each would be looked at again.
    this.agenda.done(this.state, plan(this.state, this.agenda, this.now()).decision.looks);
  }

  private async load(): Promise<void> {
    this.state = (await this.snapshots.newest()) ?? this.state;
    await this.catchUp();
  }

  /** Reads the log, takes it over under `epoch`, and says so in it. */
  async start(epoch: number, owner: string): Promise<void> {
    const { store, clock } = this.world;
    this.epoch = epoch;
    await this.load();
    this.now = fleetClock(clock, this.state.at);
    // As a tick, since that is fenced: one who was overtaken while it read must not say that it owns the fleet.
    await store.tick(this.fleet, epoch, this.state.seq, this.now, (fresh) => {
      this.foldFresh(fresh);
      return [{ type: 'owner.started', data: { epoch, owner, logic: LOGIC_VERSION } }];
    });
    this.untold = [];
    await this.catchUp();
    this.lastTickMono = clock.mono();
    this.poke();
  }

  /** Fleet time now. */
  time(): number {
    return this.now();
  }

  /** Facts that are not in the log yet (a source counts as one). */
  get pendingFacts(): number {
    return this.inbox.length + this.unsent.length;
  }

  /**
   * Hands in facts. `false`: the inbox is full or the loop has ended, and the caller must offer them again. Only what is said
   * once and is bounded by itself (the result of an operation) is `owed` a place in a full one.
   */
  report(source: FactSource, owed = false): boolean {
    if (this.ended || (this.inbox.length >= INBOX_FACTS && !owed)) return false;
    this.inbox.push(source);
    // While the store fails, the next try comes by itself: news must not hammer it.
    if (this.ticking !== null || this.retryMs === 0) this.poke();
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
      if (this.again && this.retryMs === 0 && this.streak < TICKS_AT_ONCE) {
        this.again = false;
        this.streak += 1;
        this.poke();
      } else this.rest();
    });
  }

  /**
   * Resolves once everything up to `seq` is folded and decided: when nothing is left to decide or, since a busy fleet is
   * never at rest, after one whole tick that began later than this question. Rejects when the loop has ended.
   */
  async decidedUpTo(seq: number): Promise<void> {
    const whole = this.ticks + (this.tickingSinceMono === null ? 1 : 2);
    while (this.state.seq < seq || (this.state.dirty.size > 0 && this.ticks < whole)) {
      if (this.ended) throw new Error(`the loop of fleet "${this.fleet}" has ended`);
      this.poke();
      await this.ticking;
      if (this.retryMs > 0)
        throw new Error(`the log of fleet "${this.fleet}" cannot be written now: ${this.failure ?? 'unknown'}`);
    }
  }

  /**
   * Between two ticks: folds what is durable, as the next tick would, and reads. What is not in the log yet, and what `seen`
   * adds, is folded into a copy of the state. Whoever reads finds exactly what that tick would find; nothing is decided,
   * written or done.
   */
  async peek<T>(read: (ahead: Ahead) => T, seen: readonly FactSource[] = []): Promise<T> {
    while (this.ticking !== null) await this.ticking;
    const before = this.state.seq;
    const reading = this.catchUp((event) => this.untold.push(event));
    // Holds the next tick off while the log is read. Whoever waits for that end need not know how it ended.
    this.ticking = reading.catch(() => undefined);
    try {
      await reading;
      const now = Math.max(this.now(), this.state.at);
      const durable = this.state.seq - before;
      const waiting = [() => this.unsent, ...(this.unsent.length === 0 ? this.inbox : []), ...seen];
      if (this.pendingFacts + seen.length === 0)
        return read({ state: this.state, agenda: this.agenda, now, pendingFacts: durable, drafts: [] });
      // The next tick takes what the store refused before, and leaves the inbox to the one after it.
      const { state, drafts } = drafted(
        this.state,
        now,
        waiting.map((source) => (state) => this.factsOf(source, state, true).map((fact) => this.world.redacted(fact))),
      );
      return read({ state, agenda: new Agenda(), now, pendingFacts: durable + drafts.length, drafts });
    } finally {
      this.ticking = null;
      // An alarm that rang meanwhile has rung in vain: without this, nobody would wake the loop again.
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
    const { clock, log } = this.world;
    this.tickingSinceMono = clock.mono();
    try {
      await this.tick();
      this.ticks += 1;
      this.retryMs = 0;
      this.failure = null;
      this.lastTickMono = clock.mono();
    } catch (error) {
      const message = wordsOf(error);
      if (error instanceof FencedError) {
        this.ended = true;
        this.world.lost(message);
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
      this.foldFresh(fresh);
      planned = plan(this.state, this.agenda, Math.max(this.now(), this.state.at));
      return toEvents(planned.decision);
    });
    if (planned === null) throw new Error('the store committed a tick without asking what it decides');
    const done: ReturnType<typeof plan> = planned;
    const violations = [...checkDecision(this.state, done.decision)];
    conclude(this.state, this.agenda, done, written);
    violations.push(...checkInvariants(this.state, done.decision.now, done.looked, this.agenda));
    violations.push(...takeFaults(this.state, done.decision));
    const patrolled = this.patrol.look(this.state, this.agenda, done.decision.now, done.looked, clock.mono());
    violations.push(...patrolled.violations);
    const checked = [...done.looked, ...patrolled.uids];
    const events = [...this.untold, ...written];
    const drained = this.untold.length;
    this.untold = [];
    if (drained > 0) this.streak = 0;
    this.tell({ drained, durationMs: clock.mono() - began, decision: done.decision, checked, violations, events });
    await this.snapshots.keep(this.state);
  }

  /** The tick is committed: whatever goes wrong in those who are told of it cannot undo it (5). */
  private tell(report: TickReport): void {
    try {
      this.world.committed(report);
    } catch (error) {
      const message = wordsOf(error);
      this.world.log.error(
        { fleet: this.fleet, error: message },
        'a committed tick could not be told; this is a fault of Holdfast',
      );
    }
  }

  /** May be called twice for one tick, if the store has to try again. */
  private foldFresh(fresh: readonly StoredEvent[]): void {
    for (const event of fresh) {
      if (event.seq <= this.state.seq) continue;
      evolve(this.state, event);
      this.untold.push(event);
    }
  }

  /**
   * Inbox → log. What the store did not take is offered again by the next tick, alone: the inbox is bounded, and waits for
   * its turn, so that an outage fills no memory.
   */
  private async drain(): Promise<void> {
    if (this.unsent.length === 0) {
      const sources = this.inbox;
      this.inbox = [];
      for (const source of sources) this.unsent.push(...this.factsOf(source, this.state, false));
    } else if (this.inbox.length > 0) this.again = true;
    if (this.unsent.length === 0) return;
    try {
      await this.world.store.append(this.fleet, this.unsent, this.now);
    } catch (error) {
      // A TypeError is about what was to be written, not about the store: it would fail for ever.
      if (!(error instanceof TypeError)) throw error;
      await appendSingly(this.world, this.fleet, this.unsent, this.now);
    }
    this.unsent = [];
  }

  /** One faulty source must not take the others' facts with it (L46). */
  private factsOf(source: FactSource, state: FleetState, draft: boolean): readonly NewEvent[] {
    try {
      return source(state, draft);
    } catch (error) {
      const message = wordsOf(error);
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

  async saveSnapshot(): Promise<void> {
    await this.snapshots.save(this.state);
  }

  private rest(): void {
    if (this.ended) return;
    // What a tick has decided leaves dirt of its own: looked at soon, but not before the effects have had their turn.
    const follows = this.state.dirty.size > 0;
    this.streak = follows ? this.streak + 1 : 0;
    // One that decides without end is a fault of ours; all else in this process must get its turn nevertheless (L09).
    const breathless = this.streak >= TICKS_AT_ONCE;
    if (breathless) {
      this.world.log.error(
        { fleet: this.fleet, ticks: this.streak },
        'the loop decides without end; this is a fault of Holdfast',
      );
      this.streak = 0;
    }
    const waitMs = Math.max(this.retryMs, breathless ? RETRY_MIN_MS : 0);
    const untilAlarm = Math.max(0, this.agenda.nextAt - Math.max(this.now(), this.state.at));
    const ms = waitMs > 0 ? waitMs : Math.min(MAX_REST_MS, follows ? FOLLOW_UP_MS : untilAlarm);
    this.cancelWake = this.world.clock.after(ms, () => this.poke());
  }
}
