/**
 * Looks at containers: one, or all in scope.
 *
 *  1. A listing costs one list call; only containers that may have changed since they were last asked are asked again.
 *  2. Every answer names the engine that gave it; an engine with another data root is another engine (L72). Its id alone does
 *     not say so: until version 23 it belongs to the host (/etc/docker/key.json).
 *  3. A container that does not answer is told by the engine's list, and spoils nothing (L03).
 *  4. Containers are found by label, so that one renamed behind our back is found.
 *  5. What is looked at only to answer somebody (`peek`) is not remembered: else the event that tells of it would find nothing
 *     new, and nobody would be told.
 */
import type { ContainerInfo, ContainerInspectInfo } from 'dockerode';
import type { Look } from '../../core/model.ts';
import { TargetError, type ListedResource, type Listing } from '../../ports/target.ts';
import { ageIn, begun, mayBeSame, type Begun } from './ages.ts';
import type { Engine } from './engine.ts';
import { containerName, infraIn, nextName, ownerIn, scopeFilter, type Owner, type Scope } from './labels.ts';
import { CALL_MS, INSPECT_PARALLEL, SWEEP_INSPECT_MS } from './limits.ts';
import { lastLife, lastWords } from './logs.ts';
import { exitWith, incarnationOf, lookOf } from './looks.ts';
import { eachOf } from './parallel.ts';

/** A container of ours as it was just seen. */
export interface Found {
  readonly owner: Owner;
  readonly info: ContainerInspectInfo;
  readonly look: Look;
}

interface Known {
  readonly owner: Owner;
  readonly look: Look;
  readonly name: string;
  readonly state: string;
  /** Ids of other containers with the same uid. */
  readonly others: readonly string[];
  /** From the last listing; null when it was asked out of turn since. */
  readonly begun: Begun | null;
}

type Summary = Pick<ContainerInfo, 'Id' | 'Names' | 'Labels' | 'State' | 'Status'>;

export class Sightings {
  readonly #engine: Engine;
  readonly #scope: Scope;
  /** By container id; forgotten when a listing lacks it. */
  readonly #known = new Map<string, Known>();
  /** uid → container id, as last found. */
  readonly #ids = new Map<string, string>();
  /** Container id → the life whose end was told. */
  readonly #told = new Map<string, string>();

  constructor(engine: Engine, scope: Scope) {
    this.#engine = engine;
    this.#scope = scope;
  }

  async list(signal: AbortSignal): Promise<Listing> {
    const askedMs = performance.now();
    // Together, since the first takes the engine ten times as long; one that was exchanged between the two answers neither.
    const [identity, summaries] = await Promise.all([this.#identity(signal), this.#summaries(undefined, signal)]);
    const groups = new Map<string, Summary[]>();
    const present = new Set<string>();
    for (const summary of summaries) {
      const owner = ownerIn(summary.Labels, this.#scope);
      if (owner === null) continue;
      present.add(summary.Id);
      const same = groups.get(owner.uid);
      if (same) same.push(summary);
      else groups.set(owner.uid, [summary]);
    }
    for (const id of this.#known.keys()) if (!present.has(id)) this.forget(id);
    const items = await eachOf([...groups.values()], INSPECT_PARALLEL, (group) => this.#listed(group, askedMs, signal));
    return { identity, items: items.filter((item) => item !== null) };
  }

  /** Fresh from the engine; null when there is none. */
  async find(uid: string, signal: AbortSignal, how: { readonly peek?: boolean } = {}): Promise<Found | null> {
    const id = this.#ids.get(uid);
    // The id that we know saves a list call; the labels of a container never change.
    if (id !== undefined && this.#known.get(id)?.others.length === 0) {
      const found = await this.look(id, signal, how);
      if (found) return found;
    }
    const [main, ...others] = this.#mainFirst(await this.#summaries(uid, signal));
    return main === undefined ? null : this.look(main.Id, signal, { ...how, others: others.map(({ Id }) => Id) });
  }

  /** Ids of all containers that carry the uid. */
  async every(uid: string, signal: AbortSignal): Promise<readonly string[]> {
    return this.#mainFirst(await this.#summaries(uid, signal)).map(({ Id }) => Id);
  }

  /** One container by its id; null when it is gone, or not ours. */
  async look(
    id: string,
    signal: AbortSignal,
    how: {
      others?: readonly string[];
      withinMs?: number;
      words?: Promise<string | null> | null;
      peek?: boolean;
    } = {},
  ): Promise<Found | null> {
    const info = await this.inspect(id, signal, how.withinMs);
    const owner = info && ownerIn(info.Config.Labels, this.#scope);
    if (!owner) {
      if (how.peek !== true) this.forget(id);
      return null;
    }
    const before = this.#known.get(id);
    const others = how.others ?? before?.others ?? [];
    const look = lookOf({
      info,
      ref: containerName(this.#scope, owner),
      host: this.#engine.host,
      output: how.peek === true ? null : await this.#wordsOf(info, before?.look ?? null, how.words ?? null, signal),
      told: this.#told.get(id) ?? null,
      doubles: others,
    });
    if (how.peek === true) return { owner, info, look };
    this.#ids.set(owner.uid, id);
    this.#known.set(id, { owner, look, name: info.Name, state: info.State.Status, others, begun: null });
    return { owner, info, look };
  }

  inspect(id: string, signal: AbortSignal, withinMs = CALL_MS): Promise<ContainerInspectInfo | null> {
    const path = `/containers/${encodeURIComponent(id)}/json`;
    return this.#engine.find<ContainerInspectInfo>(
      { method: 'GET', path, doing: `look at container ${id}`, withinMs },
      signal,
    );
  }

  /** What was last handed out of it. */
  last(id: string): Look | null {
    return this.#known.get(id)?.look ?? null;
  }

  /** The end of this life has been told; what the engine does until the next one begins is no life. */
  endTold(id: string, incarnation: string): void {
    this.#told.set(id, incarnation);
  }

  toldEnd(id: string): string | null {
    return this.#told.get(id) ?? null;
  }

  forget(id: string): void {
    const uid = this.#known.get(id)?.owner.uid;
    if (uid !== undefined && this.#ids.get(uid) === id) this.#ids.delete(uid);
    this.#known.delete(id);
    this.#told.delete(id);
  }

  async #identity(signal: AbortSignal): Promise<string> {
    const who = await this.#engine.ask<{ ID: string; DockerRootDir: string }>(
      { method: 'GET', path: '/info', doing: 'ask who the engine is' },
      signal,
    );
    return `${who.ID}@${who.DockerRootDir}`;
  }

  #summaries(uid: string | undefined, signal: AbortSignal): Promise<readonly Summary[]> {
    const query = { all: true, filters: JSON.stringify({ label: scopeFilter(this.#scope, uid) }) };
    return this.#engine.ask({ method: 'GET', path: '/containers/json', query, doing: 'list containers' }, signal);
  }

  async #listed(group: readonly Summary[], askedMs: number, signal: AbortSignal): Promise<ListedResource | null> {
    const [main, ...rest] = this.#mainFirst(group);
    if (main === undefined) return null;
    const others = rest.map(({ Id }) => Id);
    const age = ageIn(main.Status);
    const known = this.#known.get(main.Id);
    const unchanged =
      known?.begun != null &&
      age !== null &&
      known.state === main.State &&
      main.Names.includes(known.name) &&
      known.others.join() === others.join() &&
      mayBeSame(known.begun, age, askedMs);
    const item = unchanged ? { ...known.owner, look: known.look } : await this.#asked(main, others, signal);
    const now = this.#known.get(main.Id);
    // One that did not answer is asked again next time; of one that did, another life is seen by its age from now on.
    if (item === null || age === null || now?.look !== item.look || (!unchanged && now === known)) return item;
    const { byMs } = begun(age, askedMs);
    // What has begun by two times has begun by the earlier one.
    this.#known.set(main.Id, {
      ...now,
      begun: { of: age.of, byMs: unchanged ? Math.min(known.begun.byMs, byMs) : byMs },
    });
    return item;
  }

  async #asked(main: Summary, others: readonly string[], signal: AbortSignal): Promise<ListedResource | null> {
    try {
      const found = await this.look(main.Id, signal, { others, withinMs: SWEEP_INSPECT_MS });
      return found && { ...found.owner, look: found.look };
    } catch (error) {
      const owner = ownerIn(main.Labels, this.#scope);
      if (signal.aborted || owner === null || !(error instanceof TargetError) || error.detail.code !== 'engine-slow')
        throw error;
      return { ...owner, look: this.#lookFromList(main, owner) };
    }
  }

  /** All that the engine's list says of one that does not answer (some lock of its own in the engine is stuck). */
  #lookFromList(summary: Summary, owner: Owner): Look {
    const known = this.#known.get(summary.Id);
    if (known?.state === summary.State) return known.look;
    const code = /^Exited \((\d+)\)/.exec(summary.Status)?.[1];
    return {
      state:
        summary.State === 'running' ? 'running' : /restarting|removing/.test(summary.State) ? 'changing' : 'stopped',
      ref: containerName(this.#scope, owner),
      incarnation: known?.look.incarnation ?? null,
      infra: infraIn(summary.Labels),
      exit: code === undefined ? null : exitWith(Number(code), false, null),
      restarts: known?.look.restarts ?? 0,
      attrs: { containerId: summary.Id },
    };
  }

  /** Of an ended life only; asked once, and perhaps already on the way. */
  async #wordsOf(
    info: ContainerInspectInfo,
    before: Look | null,
    words: Promise<string | null> | null,
    signal: AbortSignal,
  ): Promise<string | null> {
    const incarnation = incarnationOf(info);
    if ((info.State.Status !== 'exited' && info.State.Status !== 'dead') || incarnation === null) return null;
    if (before?.state === 'stopped' && before.incarnation === incarnation && before.exit !== null)
      return before.exit.output;
    return words ?? lastWords(this.#engine, info.Id, lastLife(info), signal);
  }

  /** Several of one uid: the one with its name, else one that runs, else the newest; what an update prepares comes last. */
  #mainFirst(group: readonly Summary[]): readonly Summary[] {
    const rank = ({ Names, Labels, State }: Summary): number => {
      const owner = ownerIn(Labels, this.#scope);
      if (owner === null || Names.includes(`/${nextName(this.#scope, owner)}`)) return 3;
      if (Names.includes(`/${containerName(this.#scope, owner)}`)) return 0;
      return State === 'running' ? 1 : 2;
    };
    return [...group].sort((a, b) => rank(a) - rank(b));
  }
}
