/**
 * `apply --wait`: follows the instances that an apply touched until each is as declared, has failed, is held, or the time
 * is up. The watch says when to look; what counts is what a look shows.
 *
 *  1. Nothing is judged before Holdfast has decided on what was applied: an old ERROR is not the new spec's.
 *  2. A lost watch costs promptness only: everything awaited is looked at every `LOOK_EVERY_MS` all the same.
 */
import type { InstanceView } from '../runtime/api.ts';
import { mapAtOnce } from './at-once.ts';
import type { Client } from './client.ts';
import { Interrupted, ProblemFailure } from './failure.ts';
import type { Io } from './io.ts';
import { CALLS_AT_ONCE, LOOK_BY_NAME, LOOK_EVERY_MS, LOOK_GATHER_MS, PROVED_AFTER_MS } from './limits.ts';
import { concerns } from './render/events.ts';
import { verdictOf, type Verdict } from './settle.ts';

export interface Awaited {
  readonly name: string;
  /** Its absence is what is awaited. */
  readonly leaving: boolean;
}

export type Outcome = 'settled' | 'failed' | 'held' | 'timeout';

/** Where one instance stands. `view` null: not there (yet, or any more). */
export interface Standing {
  readonly name: string;
  readonly leaving: boolean;
  readonly view: InstanceView | null;
  readonly outcome: Outcome | null;
}

export interface Convergence {
  readonly fleet: string;
  /** Position of what was applied. */
  readonly seq: number;
  readonly awaited: readonly Awaited[];
  readonly timeoutMs: number;
  /** After each look: where everybody stands, and whose state has changed. */
  readonly onLook: (all: readonly Standing[], changed: readonly Standing[]) => Promise<void>;
}

export async function converge(client: Client, io: Io, ask: Convergence): Promise<readonly Standing[]> {
  const started = io.elapsed();
  const standings = new Map(
    ask.awaited.map(({ name, leaving }): [string, Standing] => [name, { name, leaving, view: null, outcome: null }]),
  );
  const proving = new Map<string, { readonly since: number; readonly life: string }>();
  const bell = watchFor(client, io, ask);
  try {
    let decided = false;
    for (;;) {
      decided ||= await isDecided(client, ask, bell.tickSeen());
      const open = [...standings.values()].filter(({ outcome }) => outcome === null);
      const views = await look(
        client,
        ask.fleet,
        open.map(({ name }) => name),
      );
      const changed: Standing[] = [];
      for (const standing of open) {
        const view = views.get(standing.name) ?? null;
        const outcome = decided ? outcomeOf(standing, view, proving, io.elapsed()) : null;
        const next = { ...standing, view, outcome };
        standings.set(standing.name, next);
        if (outcome !== null || faceOf(view) !== faceOf(standing.view)) changed.push(next);
      }
      const all = [...standings.values()];
      await ask.onLook(all, changed);
      if (all.every(({ outcome }) => outcome !== null)) return all;
      const leftMs = ask.timeoutMs - (io.elapsed() - started);
      if (leftMs <= 0) return all.map((each) => (each.outcome === null ? { ...each, outcome: 'timeout' } : each));
      await bell.rung(Math.min(leftMs, decided && proving.size === 0 ? LOOK_EVERY_MS : LOOK_GATHER_MS));
    }
  } finally {
    bell.stop();
  }
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function outcomeOf(
  { name, leaving }: Standing,
  view: InstanceView | null,
  proving: Map<string, { readonly since: number; readonly life: string }>,
  now: number,
): Outcome | null {
  if (leaving) return view === null ? 'settled' : null;
  const verdict: Verdict = view === null ? 'working' : verdictOf(view);
  if (verdict !== 'proving' || view === null) {
    proving.delete(name);
    return verdict === 'working' || verdict === 'proving' ? null : verdict;
  }
  const life = `${view.uid}/${view.since}/${view.restarts.crashes}`;
  const known = proving.get(name);
  if (known?.life !== life) {
    proving.set(name, { since: now, life });
    return null;
  }
  if (now - known.since < PROVED_AFTER_MS) return null;
  proving.delete(name);
  return 'settled';
}

/** What a person would notice. */
function faceOf(view: InstanceView | null): string {
  if (view === null) return '';
  const { phase, reason, hold, lastError, operation } = view;
  return [phase, reason.rule, hold?.reason, lastError?.code, lastError?.at, operation?.id].join('|');
}

/** Decided upon: a tick was written after it, or nothing of the log waits for one. */
async function isDecided(client: Client, { fleet, seq }: Convergence, tickSeen: boolean): Promise<boolean> {
  if (tickSeen) return true;
  const { head, pending } = await client.fleet(fleet);
  return head >= seq && pending === 0;
}

async function look(
  client: Client,
  fleet: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, InstanceView>> {
  if (names.length > LOOK_BY_NAME) {
    const all = await client.instances(fleet, { phase: null, labels: {} });
    return new Map(all.map((view) => [view.name, view]));
  }
  const views = await mapAtOnce(names, CALLS_AT_ONCE, async (name) => {
    try {
      return await client.instance(fleet, name);
    } catch (error) {
      if (error instanceof ProblemFailure && error.problem.status === 404) return null;
      throw error;
    }
  });
  return new Map(views.filter((view) => view !== null).map((view) => [view.name, view]));
}

interface Bell {
  /** Resolves when something happened to somebody awaited, shortly after it did; or after the time. */
  readonly rung: (withinMs: number) => Promise<void>;
  readonly tickSeen: () => boolean;
  readonly stop: () => void;
}

function watchFor(client: Client, io: Io, { fleet, seq, awaited }: Convergence): Bell {
  const ended = new AbortController();
  const signal = AbortSignal.any([io.signal(), ended.signal]);
  let pending = false;
  let tickSeen = false;
  let wake: () => void = () => undefined;
  const listen = async (): Promise<void> => {
    try {
      for await (const event of client.watch(fleet, seq, async () => undefined, signal)) {
        tickSeen ||= event.type === 'tick.decided';
        if (!awaited.some(({ name }) => concerns(event, name))) continue;
        pending = true;
        wake();
      }
    } catch {
      // Ended by us, or refused: the looks at intervals go on, and say themselves what is wrong.
    }
  };
  const listening = listen();
  return {
    tickSeen: () => tickSeen,
    stop: () => {
      ended.abort(new Interrupted('done'));
      void listening;
    },
    rung: async (withinMs) => {
      const timer = new AbortController();
      const rang = new Promise<void>((resolve) => (wake = resolve));
      if (!pending) await Promise.race([rang, quietly(io.delay(withinMs, AbortSignal.any([signal, timer.signal])))]);
      timer.abort();
      wake = () => undefined;
      signal.throwIfAborted();
      if (pending) await io.delay(LOOK_GATHER_MS, signal);
      pending = false;
    },
  };
}

/** A delay that was cut short is over as well; whoever cut it looks at the signal. */
async function quietly(delay: Promise<void>): Promise<void> {
  try {
    await delay;
  } catch {
    return;
  }
}
