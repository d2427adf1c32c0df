/**
 * From the engine's events to notices: a fresh look at the container that changed, told if it says anything new.
 *
 *  1. Of one container one look is taken at a time, in the order of its events; a later event is never told before an earlier.
 *  2. The end of a life is told with its exit, even when the engine's restart policy was faster than our look; and with what the
 *     engine made of it since, so that nobody starts what the engine is about to start.
 *  3. While a verb changes an instance, its events wait: the verb's result tells. What it did not tell is told after it.
 *  4. A pause is left to a listing: told out of turn, a stop would be taken for the end of that life.
 */
import { wordsOf } from '../../core/error-words.ts';
import type { Look } from '../../core/model.ts';
import type { TargetNotice } from '../../ports/target.ts';
import type { Engine } from './engine.ts';
import { REMOVED_REMEMBERED, WAITING_EVENTS } from './limits.ts';
import { lastLife, lastWords, lastWordsReachMs } from './logs.ts';
import { exitOf, exitWith, incarnationOf, stamp, startIn } from './looks.ts';
import type { Found, Sightings } from './sightings.ts';
import type { EngineEvent } from './watch.ts';

interface Quiet {
  verbs: number;
  readonly events: EngineEvent[];
}

export class Notices {
  readonly #engine: Engine;
  readonly #sightings: Sightings;
  readonly #tell: (notice: TargetNotice) => void;
  readonly #closing: AbortSignal;
  /** The last look queued per container; removed when it is over. */
  readonly #queues = new Map<string, Promise<void>>();
  readonly #quiet = new Map<string, Quiet>();
  /** Containers that we removed ourselves: their end is no news. */
  readonly #removed = new Set<string>();

  constructor(engine: Engine, sightings: Sightings, tell: (notice: TargetNotice) => void, closing: AbortSignal) {
    this.#engine = engine;
    this.#sightings = sightings;
    this.#tell = tell;
    this.#closing = closing;
  }

  heard(event: EngineEvent): void {
    const quiet = this.#quiet.get(event.owner.uid);
    if (quiet === undefined) return this.#enqueue(event);
    if (quiet.events.length < WAITING_EVENTS) quiet.events.push(event);
  }

  lookAgain(reason: string): void {
    this.#tell({ kind: 'look-again', reason });
  }

  /** Runs what changes the containers of that uid (3). */
  async during<T>(uid: string, work: () => Promise<T>): Promise<T> {
    const quiet = this.#quiet.get(uid) ?? { verbs: 0, events: [] };
    quiet.verbs += 1;
    this.#quiet.set(uid, quiet);
    let done = false;
    try {
      const result = await work();
      done = true;
      return result;
    } finally {
      quiet.verbs -= 1;
      if (quiet.verbs === 0) {
        this.#quiet.delete(uid);
        for (const event of quiet.events) this.#enqueue(event);
        if (!done) this.lookAgain(`a change of ${uid} ended half-way`);
      }
    }
  }

  removed(id: string): void {
    this.#removed.add(id);
    for (const oldest of this.#removed) {
      if (this.#removed.size <= REMOVED_REMEMBERED) return;
      this.#removed.delete(oldest);
    }
  }

  /** Its removal failed: what becomes of it is news again. */
  kept(id: string): void {
    this.#removed.delete(id);
  }

  #enqueue(event: EngineEvent): void {
    const before = this.#queues.get(event.id) ?? Promise.resolve();
    const mine = before
      .then(() => this.#handle(event))
      .catch((error: unknown) => {
        if (!this.#closing.aborted)
          this.lookAgain(`after "${event.action}" container ${event.id} could not be looked at: ${wordsOf(error)}`);
      });
    this.#queues.set(event.id, mine);
    void mine.then(() => {
      if (this.#queues.get(event.id) === mine) this.#queues.delete(event.id);
    });
  }

  async #handle(event: EngineEvent): Promise<void> {
    const { action, id, owner } = event;
    if (this.#removed.has(id)) return;
    if (action === 'destroy') this.#sightings.forget(id);
    if (action === 'destroy' || action === 'pause')
      return this.lookAgain(`container ${id} of ${owner.instance}: ${action}`);
    const before = this.#sightings.last(id);
    // Asked at once: both wait in the engine until the death is settled, and the output of the next life is close behind.
    const words = action === 'die' ? this.#lastWords(event, before) : null;
    const found = await this.#sightings.look(id, this.#closing, { words });
    if (found === null) return this.lookAgain(`container ${id} of ${owner.instance} is gone after "${action}"`);
    const ended = action === 'die' ? await this.#endOf(event, before, found, words) : null;
    const tell = (look: Look, next?: Look): void =>
      this.#tell({ kind: 'changed', fleet: owner.fleet, uid: owner.uid, look, ...(next && { next }) });
    let { look } = found;
    if (ended?.incarnation != null) {
      this.#sightings.endTold(id, ended.incarnation);
      if (look.incarnation === ended.incarnation) look = { ...look, incarnation: null };
      return tell(ended, look);
    }
    if (JSON.stringify(look) !== JSON.stringify(before)) tell(look);
  }

  /** The life that this `die` ended, where the fresh look shows what the engine has done since (2). */
  async #endOf(
    event: EngineEvent,
    before: Look | null,
    { info, look }: Found,
    words: Promise<string | null> | null,
  ): Promise<Look | null> {
    if (look.state === 'stopped') return null;
    const told = this.#sightings.toldEnd(event.id);
    const { endpoints: _endpoints, ...attrs } = look.attrs;
    if (info.State.Restarting) {
      const incarnation = incarnationOf(info);
      if (incarnation === told) return null;
      return {
        ...look,
        state: 'stopped',
        incarnation,
        attrs,
        exit: exitOf(info, await (words ?? lastWords(this.#engine, info.Id, lastLife(info), this.#closing))),
      };
    }
    const known = before?.state === 'running' || before?.state === 'changing' ? before.incarnation : null;
    if (known === null || known === look.incarnation || known === told) return null;
    const exit = event.exitCode === null ? null : exitWith(event.exitCode, false, await words);
    return { ...look, state: 'stopped', incarnation: known, attrs, exit };
  }

  /** Of the life that we knew; null when we knew none. */
  #lastWords({ id, at }: EngineEvent, before: Look | null): Promise<string | null> | null {
    if (before?.incarnation == null || before.state === 'stopped') return null;
    const since = stamp(startIn(before.incarnation), lastWordsReachMs(before.restarts));
    const words = lastWords(this.#engine, id, { since, until: at }, this.#closing);
    words.catch(() => undefined); // Only when we are being closed; then nobody may be left to read it.
    return words;
  }
}
