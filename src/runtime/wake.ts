/**
 * Work that comes through the door: counts open requests per instance, wakes a sleeper for the first of them, and lets it
 * fall asleep after the last.
 *
 *  1. One start for any number of requests (L61): they all wait for the same instance to be ready.
 *  2. Only the edges idle ↔ busy reach the log, and only for lazy instances; a busy day is two events, not thousands.
 *  3. Every wait has a deadline, every queue a bound; beyond them the answer is "not now, try again in so many seconds".
 *  4. A request that arrives while its instance is being put to sleep is not lost: the work is in the log before the sleep
 *     ends, and so it is woken again at once (L58).
 */
import type { Instance } from '../core/model.ts';
import { livenessOf } from '../core/liveness.ts';
import type { Clock } from '../ports/clock.ts';
import type { Fleet } from './fleet.ts';
import { WAKE_QUEUE, WAKE_QUEUE_EACH, WAKE_WAIT_MS, WORK_LINGER_MS } from './limits.ts';
import type { Runtime } from './runtime.ts';

/** Why a request cannot be passed on. `retryAfterSeconds` null: trying again will not help by itself. */
export class NotAwake extends Error {
  override readonly name = 'NotAwake';
  readonly kind: 'unknown' | 'stopped' | 'failed' | 'crowded' | 'timeout' | 'no-port';
  readonly retryAfterSeconds: number | null;
  constructor(kind: NotAwake['kind'], message: string, retryAfterSeconds: number | null) {
    super(message);
    this.kind = kind;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** One open request. Must be closed, whatever becomes of it. */
export interface Visit {
  /** Resolves with `host:port` once the instance is ready; rejects with `NotAwake`. */
  ready(signal: AbortSignal): Promise<string>;
  close(): void;
}

interface Door {
  open: number;
  waiting: number;
  cancelLinger: () => void;
  /** Was `work.began` reported for the present stretch? */
  told: boolean;
}

export class Wake {
  private readonly runtime: Runtime;
  private readonly clock: Clock;
  private readonly doors = new Map<string, Door>();
  private waiting = 0;

  constructor(runtime: Runtime, clock: Clock) {
    this.runtime = runtime;
    this.clock = clock;
  }

  /** Is a request open that the log may not know of yet? Asked at the moment of putting an instance to sleep. */
  isVisited(uid: string): boolean {
    return (this.doors.get(uid)?.open ?? 0) > 0;
  }

  /** Announces a request for `port` (null: the first one published). Throws `NotAwake` when it cannot even wait. */
  visit(fleetName: string, name: string, port: number | null): Visit {
    const fleet = this.runtime.fleet(fleetName);
    const uid = fleet?.loop.state.names.get(name);
    const inst = uid === undefined ? undefined : fleet?.loop.state.instances.get(uid);
    if (fleet == null || inst === undefined)
      throw new NotAwake('unknown', `there is no instance "${name}" in a fleet "${fleetName}" here`, null);
    refuseHopeless(inst);
    const door = this.enter(fleet, inst);
    let closed = false;
    return {
      ready: (signal) => this.ready(fleet, inst.uid, port, door, signal),
      close: () => {
        if (closed) return;
        closed = true;
        this.leave(fleet, inst.uid, door);
      },
    };
  }

  private enter(fleet: Fleet, inst: Instance): Door {
    const door = this.doors.get(inst.uid) ?? { open: 0, waiting: 0, cancelLinger: () => undefined, told: false };
    this.doors.set(inst.uid, door);
    door.cancelLinger();
    door.open += 1;
    if (inst.spec.lifecycle === 'lazy' && !door.told) {
      door.told = fleet.loop.report((state) => {
        const now = state.instances.get(inst.uid);
        return now === undefined ? [] : [{ type: 'work.began', instance: now.name, uid: now.uid, data: {} }];
      });
    }
    return door;
  }

  private leave(fleet: Fleet, uid: string, door: Door): void {
    door.open -= 1;
    if (door.open > 0) return;
    // The next request often follows at once; only a pause ends the work.
    door.cancelLinger = this.clock.after(WORK_LINGER_MS, () => {
      this.doors.delete(uid);
      if (!door.told) return;
      fleet.loop.report((state) => {
        const now = state.instances.get(uid);
        return now === undefined ? [] : [{ type: 'work.ended', instance: now.name, uid, data: {} }];
      });
    });
  }

  private async ready(
    fleet: Fleet,
    uid: string,
    port: number | null,
    door: Door,
    signal: AbortSignal,
  ): Promise<string> {
    const at = endpointIfReady(fleet, uid, port);
    if (at !== null) return at;
    if (door.waiting >= WAKE_QUEUE_EACH || this.waiting >= WAKE_QUEUE) {
      throw new NotAwake('crowded', 'too many requests are waiting for it to wake up', 5);
    }
    door.waiting += 1;
    this.waiting += 1;
    try {
      return await this.untilReady(fleet, uid, port, signal);
    } finally {
      door.waiting -= 1;
      this.waiting -= 1;
    }
  }

  private untilReady(fleet: Fleet, uid: string, port: number | null, signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      const finish = (end: () => void): void => {
        unlisten();
        cancel();
        signal.removeEventListener('abort', onAbort);
        end();
      };
      const look = (): void => {
        try {
          const at = endpointIfReady(fleet, uid, port);
          if (at !== null) finish(() => resolve(at));
        } catch (error) {
          finish(() => reject(error instanceof Error ? error : new Error(String(error))));
        }
      };
      const onAbort = (): void => finish(() => reject(new NotAwake('timeout', 'the client went away', null)));
      const unlisten = fleet.listen(look);
      const cancel = this.clock.after(WAKE_WAIT_MS, () =>
        finish(() => reject(new NotAwake('timeout', `it did not become ready within ${WAKE_WAIT_MS / 1000} s`, 10))),
      );
      signal.addEventListener('abort', onAbort, { once: true });
      look();
    });
  }
}

/** null: not yet. Throws `NotAwake` when waiting would be in vain. */
function endpointIfReady(fleet: Fleet, uid: string, port: number | null): string | null {
  const inst = fleet.loop.state.instances.get(uid);
  if (inst === undefined) throw new NotAwake('unknown', 'it was deleted', null);
  refuseHopeless(inst);
  const { operation, resource } = inst;
  if (resource?.state !== 'running' || livenessOf(inst) === 'awaited') return null;
  // What is being stopped or replaced must not be given new work.
  if (operation !== null && ['stop', 'sleep', 'restart', 'update', 'destroy'].includes(operation.kind)) return null;
  return endpointOf(inst, port);
}

function refuseHopeless(inst: Instance): void {
  if (inst.desired === 'deleted') throw new NotAwake('unknown', `${inst.name} is being deleted`, null);
  if (inst.desired === 'stopped' || inst.completed)
    throw new NotAwake('stopped', `${inst.name} is stopped; an operator must resume it`, null);
  if (inst.phase === 'ERROR' && inst.resource?.state !== 'running') {
    throw new NotAwake('failed', `${inst.name} is in ERROR and waits for an operator`, null);
  }
}

function endpointOf(inst: Instance, port: number | null): string {
  const endpoints = inst.resource?.attrs.endpoints;
  const published =
    typeof endpoints === 'object' && endpoints !== null && !Array.isArray(endpoints)
      ? (endpoints as { readonly [port: string]: unknown })
      : {};
  const key = port === null ? Object.keys(published).sort((a, b) => Number(a) - Number(b))[0] : String(port);
  const at = key === undefined ? undefined : published[key];
  if (typeof at === 'string') return at;
  throw new NotAwake(
    'no-port',
    port === null ? `${inst.name} publishes no port; declare run.ports` : `${inst.name} does not publish port ${port}`,
    null,
  );
}
