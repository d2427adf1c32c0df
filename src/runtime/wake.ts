/**
 * Work that comes through the door: counts open requests per instance, wakes a sleeper for the first of them, and lets it
 * fall asleep after the last.
 *
 *  1. One start for any number of requests (L61): they all wait for the same instance to be ready, and one of them knocks
 *     for all, so that hundreds do not slow down the start they wait for.
 *  2. Only the edges idle ↔ busy reach the log, and only for lazy instances: a stretch of requests is two events, however
 *     many they are. What is told is what is so when the loop asks, so no order of comings and goings is told wrongly.
 *  3. Every wait has a deadline, every queue a bound; beyond them the answer is "not now, try again in so many seconds".
 *  4. A request that arrives while its instance is being put to sleep is not lost: the work is in the log before the sleep
 *     ends, and so it is woken again at once (L58).
 *  5. What the log forgot of an open request (another owner in between, a lifecycle that became lazy) is told again before
 *     its instance could be put to sleep (L57).
 */
import { wordsOf } from '../core/error-words.ts';
import type { NewEvent } from '../core/events.ts';
import { livenessOf } from '../core/liveness.ts';
import type { FleetState, Instance } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import { WAKE_QUEUE, WAKE_QUEUE_EACH, WAKE_WAIT_MS, WORK_LINGER_MS } from './limits.ts';

/** A life younger than this may not listen yet; one that is older and does not listen will hardly begin to. */
const MAY_BEGIN_TO_LISTEN_MS = 30_000;
/** An older one is knocked at for this long: it may just be busy, or between two lives that were not seen yet. */
const KNOCK_FOR_MS = 2_000;
const KNOCK_EVERY_MS = 25;
/** Waiters look again this often even if nothing is told: their fleet may have changed its owner. */
const LOOK_AGAIN_MS = 1_000;
/** The inbox of the loop was full: the edge is offered again. */
const TELL_AGAIN_MS = 1_000;

/** Why a request cannot be passed on. `retryAfterSeconds` null: trying again will not help by itself. */
export class NotAwake extends Error {
  override readonly name = 'NotAwake';
  readonly kind: 'unknown' | 'stopped' | 'failed' | 'crowded' | 'timeout' | 'no-port' | 'deaf';
  readonly retryAfterSeconds: number | null;
  constructor(kind: NotAwake['kind'], message: string, retryAfterSeconds: number | null) {
    super(message);
    this.kind = kind;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/**
 * Opens a connection to `host:port`, or rejects; by then nothing has been sent, so that it may be tried again. `young`: it has
 * only just been started, and something in front of it may take connections before it does.
 */
export type Connect<T> = (at: string, young: boolean, signal: AbortSignal) => Promise<T>;

/** One open request. Must be closed, whatever becomes of it. */
export interface Visit {
  /** What `connect` made of it once the instance is ready and takes connections; rejects with `NotAwake`. */
  reach<T>(connect: Connect<T>, signal: AbortSignal): Promise<T>;
  close(): void;
}

/** As much of a fleet as a visit needs. */
export interface VisitedFleet {
  readonly loop: {
    readonly state: FleetState;
    time(): number;
    report(source: (state: FleetState, draft: boolean) => readonly NewEvent[]): boolean;
  };
  listen(listener: () => void): () => void;
}

interface Door {
  readonly fleet: string;
  readonly uid: string;
  open: number;
  waiting: number;
  /** The last request has gone, and the next may follow at once. */
  lingering: boolean;
  cancelLinger: () => void;
  /** What the log was told last, by which owner's loop, and whether that loop is about to ask. */
  told: boolean;
  toldTo: VisitedFleet | null;
  telling: VisitedFleet | null;
  /** Where a connection was taken in this stretch, and the attempt under way where none was yet. */
  readonly listensAt: Set<string>;
  knocking: Promise<void> | null;
}

/** Where it is ready to be connected to. */
interface There {
  readonly at: string;
  readonly young: boolean;
}

export class Wake {
  private readonly runtime: { fleet(name: string): VisitedFleet | null };
  private readonly clock: Clock;
  private readonly doors = new Map<string, Door>();
  private waiting = 0;

  constructor(runtime: { fleet(name: string): VisitedFleet | null }, clock: Clock) {
    this.runtime = runtime;
    this.clock = clock;
  }

  /** Is a request open that the log may not know of? Asked at the moment of putting an instance to sleep. */
  isVisited(uid: string): boolean {
    const door = this.doors.get(uid);
    if (door === undefined || door.open === 0) return false;
    const folded = this.runtime.fleet(door.fleet)?.loop.state.instances.get(uid);
    if (folded?.work.open !== true) {
      door.told = false;
      this.tell(door);
    }
    return true;
  }

  /** Announces a request for `port` (null: the first one published). Throws `NotAwake` when it need not even wait. */
  visit(fleetName: string, name: string, port: number | null): Visit {
    const state = this.runtime.fleet(fleetName)?.loop.state;
    const inst = state?.instances.get(state.names.get(name) ?? '');
    if (inst === undefined)
      throw new NotAwake('unknown', `there is no instance "${name}" in a fleet "${fleetName}" here`, null);
    refuseHopeless(inst);
    refuseUnpublished(inst, port);
    const door = this.enter(fleetName, inst);
    let closed = false;
    return {
      reach: (connect, signal) => this.reach(door, port, connect, signal),
      close: () => {
        if (closed) return;
        closed = true;
        this.leave(door);
      },
    };
  }

  // ── counting ──────────────────────────────────────────────────────────────────────────────────────────────────────

  private enter(fleet: string, inst: Instance): Door {
    const door = this.doors.get(inst.uid) ?? emptyDoor(fleet, inst.uid);
    this.doors.set(inst.uid, door);
    door.cancelLinger();
    door.lingering = false;
    door.open += 1;
    if (inst.spec.lifecycle === 'lazy') this.tell(door);
    return door;
  }

  private leave(door: Door): void {
    door.open -= 1;
    if (door.open > 0) return;
    // The next request often follows at once; only a pause ends the work.
    door.lingering = true;
    door.cancelLinger = this.clock.after(WORK_LINGER_MS, () => {
      door.lingering = false;
      if (door.told || door.telling !== null) this.tell(door);
      else this.forget(door);
    });
  }

  /** Lets the loop ask this door whether there is work, if it may hear something new. */
  private tell(door: Door): void {
    const fleet = this.runtime.fleet(door.fleet);
    // A new owner has ended all requests; one that is to come will.
    if (fleet !== door.toldTo) {
      door.toldTo = fleet;
      door.told = false;
    }
    const busy = door.open > 0 || door.lingering;
    if (fleet === null || busy === door.told) {
      this.forget(door);
      return;
    }
    if (door.telling === fleet) return;
    door.telling = fleet;
    if (fleet.loop.report((state, draft) => this.edge(door, fleet, state, draft))) return;
    this.clock.after(TELL_AGAIN_MS, () => {
      door.telling = null;
      this.tell(door);
    });
  }

  private edge(door: Door, fleet: VisitedFleet, state: FleetState, draft: boolean): readonly NewEvent[] {
    if (door.telling !== fleet) return [];
    if (!draft) door.telling = null;
    const inst = state.instances.get(door.uid);
    const busy = door.open > 0 || door.lingering;
    const silent = inst === undefined || busy === door.told || (busy && inst.spec.lifecycle !== 'lazy');
    if (!draft) {
      if (!silent) door.told = busy;
      this.forget(door);
    }
    if (silent) return [];
    return [{ type: busy ? 'work.began' : 'work.ended', instance: inst.name, uid: inst.uid, data: {} }];
  }

  /** Closed for good, unless somebody is there or comes back at once. */
  private forget(door: Door): void {
    if (door.open === 0 && !door.lingering && this.doors.get(door.uid) === door) this.doors.delete(door.uid);
  }

  // ── reaching it ───────────────────────────────────────────────────────────────────────────────────────────────────

  private async reach<T>(door: Door, port: number | null, connect: Connect<T>, signal: AbortSignal): Promise<T> {
    const there = this.standing(door, port);
    if (there !== null && (!there.young || door.listensAt.has(there.at))) {
      try {
        return await connect(there.at, false, signal);
      } catch {
        // Between two lives, or not listening yet: knocked at again below, which says so if that is in vain.
      }
    }
    if (door.waiting >= WAKE_QUEUE_EACH || this.waiting >= WAKE_QUEUE) {
      throw new NotAwake('crowded', 'too many requests are waiting for it to wake up', 5);
    }
    door.waiting += 1;
    this.waiting += 1;
    try {
      return await this.wait(door, port, connect, signal);
    } finally {
      door.waiting -= 1;
      this.waiting -= 1;
    }
  }

  private async wait<T>(door: Door, port: number | null, connect: Connect<T>, signal: AbortSignal): Promise<T> {
    const beganMono = this.clock.mono();
    for (;;) {
      const there = await this.untilReady(door, port, beganMono + WAKE_WAIT_MS, signal);
      const reached = await this.knock(door, there, connect, signal);
      if (reached !== null) return reached.connection;
      if (signal.aborted) throw gone();
      if (this.clock.mono() >= beganMono + WAKE_WAIT_MS) throw tooLate();
      if (!there.young && this.clock.mono() >= beganMono + KNOCK_FOR_MS) {
        throw new NotAwake('deaf', 'it runs, but does not listen on that port', 5);
      }
    }
  }

  /** null: nothing takes connections there yet. While that is not known of anybody, one knocks and the others wait for it. */
  private async knock<T>(
    door: Door,
    { at, young }: There,
    connect: Connect<T>,
    signal: AbortSignal,
  ): Promise<{ readonly connection: T } | null> {
    while (!door.listensAt.has(at) && door.knocking !== null) await door.knocking;
    if (signal.aborted) return null;
    const known = door.listensAt.has(at);
    const attempt = connect(at, young && !known, signal);
    if (!known) {
      door.knocking = attempt.then(
        () => void door.listensAt.add(at),
        () => this.pause(KNOCK_EVERY_MS),
      );
    }
    const turn = door.knocking;
    try {
      return { connection: await attempt };
    } catch {
      // Said by the caller, once it is in vain: nothing was sent.
      if (known) door.listensAt.delete(at);
      else await turn;
      return null;
    } finally {
      if (!known) door.knocking = null;
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.after(ms, resolve));
  }

  private untilReady(door: Door, port: number | null, giveUpMono: number, signal: AbortSignal): Promise<There> {
    return new Promise((resolve, reject) => {
      let heard: VisitedFleet | null = null;
      let unlisten = (): void => undefined;
      let cancel = (): void => undefined;
      const finish = (end: () => void): void => {
        unlisten();
        cancel();
        signal.removeEventListener('abort', onAbort);
        end();
      };
      const fail = (error: unknown): void =>
        finish(() => reject(error instanceof Error ? error : new Error(wordsOf(error))));
      const onAbort = (): void => fail(gone());
      const look = (): void => {
        try {
          const there = this.standing(door, port);
          if (there !== null) finish(() => resolve(there));
        } catch (error) {
          fail(error);
        }
      };
      const lookAgain = (): void => {
        const leftMs = giveUpMono - this.clock.mono();
        if (leftMs <= 0) return fail(tooLate());
        const fleet = this.runtime.fleet(door.fleet);
        if (fleet !== heard) {
          unlisten();
          heard = fleet;
          unlisten = fleet?.listen(look) ?? ((): void => undefined);
          this.tell(door);
        }
        cancel = this.clock.after(Math.min(leftMs, LOOK_AGAIN_MS), lookAgain);
        look();
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      lookAgain();
    });
  }

  /** null: not ready. Throws `NotAwake` when waiting would be in vain. */
  private standing(door: Door, port: number | null): There | null {
    const fleet = this.runtime.fleet(door.fleet);
    if (fleet === null) return null;
    const inst = fleet.loop.state.instances.get(door.uid);
    if (inst === undefined) throw new NotAwake('unknown', 'it was deleted', null);
    refuseHopeless(inst);
    const { operation, resource, runningSince } = inst;
    if (resource?.state !== 'running' || livenessOf(inst) === 'awaited') return null;
    // What is being stopped or replaced must not be given new work.
    if (operation !== null && ENDING.has(operation.kind)) return null;
    const young = fleet.loop.time() - (runningSince ?? 0) < MAY_BEGIN_TO_LISTEN_MS;
    const at = endpointOf(inst, port);
    if (at === null && !young) throw unpublished(inst, port);
    return at === null ? null : { at, young };
  }
}

const ENDING: ReadonlySet<string> = new Set(['stop', 'sleep', 'restart', 'update', 'destroy']);

const gone = (): NotAwake => new NotAwake('timeout', 'the client went away', null);
const tooLate = (): NotAwake =>
  new NotAwake('timeout', `it was not ready to take requests within ${WAKE_WAIT_MS / 1_000} s`, 10);

const emptyDoor = (fleet: string, uid: string): Door => ({
  fleet,
  uid,
  open: 0,
  waiting: 0,
  lingering: false,
  cancelLinger: () => undefined,
  told: false,
  toldTo: null,
  telling: null,
  listensAt: new Set(),
  knocking: null,
});

function refuseHopeless(inst: Instance): void {
  if (inst.desired === 'deleted') throw new NotAwake('unknown', `${inst.name} is being deleted`, null);
  if (inst.desired === 'stopped' || inst.completed)
    throw new NotAwake('stopped', `${inst.name} is stopped; an operator must resume it`, null);
  if (inst.phase === 'ERROR' && inst.resource?.state !== 'running') {
    throw new NotAwake('failed', `${inst.name} is in ERROR and waits for an operator`, null);
  }
}

/** Nobody is woken for a port that would not be there. Forms of `run.ports` that are not plain numbers are its target's to know. */
function refuseUnpublished(inst: Instance, port: number | null): void {
  if (inst.spec.targetType === 'external')
    throw new NotAwake('no-port', `${inst.name} runs elsewhere: the proxy has no address for it`, null);
  const ports = inst.spec.run['ports'];
  const known = ports === undefined || (Array.isArray(ports) && ports.every((one) => typeof one === 'number'));
  if (!known) return;
  const declared: readonly unknown[] = [...(Array.isArray(ports) ? ports : []), ...exposedHere(inst)];
  if (port === null ? declared.length === 0 : !declared.includes(port)) throw unpublished(inst, port);
}

/** A process listens on this host: what it exposes is there, published or not. */
const exposedHere = (inst: Instance): readonly number[] =>
  inst.spec.targetType === 'process' ? inst.spec.expose.map((expose) => expose.port) : [];

/** null: not published, or not yet. */
function endpointOf(inst: Instance, port: number | null): string | null {
  const attr = inst.resource?.attrs.endpoints;
  const published =
    typeof attr === 'object' && attr !== null && !Array.isArray(attr)
      ? (attr as { readonly [port: string]: unknown })
      : {};
  const wanted = port ?? lowest(Object.keys(published).map(Number)) ?? lowest(exposedHere(inst));
  const at = published[String(wanted)];
  if (typeof at === 'string') return at;
  return wanted !== null && exposedHere(inst).includes(wanted) ? `127.0.0.1:${wanted}` : null;
}

const lowest = (ports: readonly number[]): number | null => (ports.length === 0 ? null : Math.min(...ports));

const unpublished = (inst: Instance, port: number | null): NotAwake =>
  new NotAwake(
    'no-port',
    port === null ? `${inst.name} publishes no port; declare run.ports` : `${inst.name} does not publish port ${port}`,
    null,
  );
