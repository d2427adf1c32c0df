/**
 * Looks after installed plugins of one fleet: what is on each box, and where tracked refs point.
 *
 *  1. A box is read back when a life begins that was not looked at yet (whoever began it), and from time to time. What is
 *     recorded and not there whole becomes `plugins.observed`, and the table installs it again (L69).
 *  2. A look that an operation of that instance overtook says nothing.
 *  3. A tracked ref is looked up once for all who track it; that it moved is said once.
 *  4. Who was looked at longest ago is looked at next, however many are due: nobody is passed over for ever (L04).
 *  5. A box or a source that does not answer is no news: nothing is concluded from that.
 */
import { wordsOf } from '../core/error-words.ts';
import type { NewEvent } from '../core/events.ts';
import { UNSURE, type FleetState, type InstalledPlugin, type Instance, type PluginSpec } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import type { PluginSources } from '../ports/plugin-source.ts';
import type { Subject, Target } from '../ports/target.ts';
import { withDeadline } from './deadline.ts';
import { PLUGIN_LOOK_MS, PLUGIN_LOOKS_AT_ONCE, PLUGIN_RESOLVE_MS, PLUGIN_WATCH_EVERY_MS } from './limits.ts';
import type { Log } from './log.ts';
import type { FleetLoop } from './loop.ts';

export interface PluginWatchWorld {
  readonly clock: Clock;
  readonly log: Log;
  readonly sources: PluginSources;
  /** Throws when there is none of that name. */
  target(name: string): Target;
  subject(inst: Instance): Subject;
}

interface Looked {
  /** The life that was looked at. */
  life: string | null;
  /** When that began. */
  lastMono: number;
  nextMono: number;
  looking: boolean;
}

interface Tracked {
  readonly plugin: PluginSpec;
  nextMono: number;
  asking: boolean;
}

const NEVER = Number.NEGATIVE_INFINITY;

export class PluginWatch {
  private readonly loop: FleetLoop;
  private readonly world: PluginWatchWorld;
  private readonly looked = new Map<string, Looked>();
  private readonly tracked = new Map<string, Tracked>();
  private readonly stopping = new AbortController();
  private looks = 0;
  /** Uids of who is due, who waits longest first; made anew with every round. */
  private due: readonly string[] = [];
  private cancelTimer: () => void = () => undefined;

  constructor(loop: FleetLoop, world: PluginWatchWorld) {
    this.loop = loop;
    this.world = world;
    this.again();
  }

  stop(): void {
    this.stopping.abort('stop');
    this.cancelTimer();
  }

  private again(): void {
    this.cancelTimer = this.world.clock.after(PLUGIN_WATCH_EVERY_MS, () => {
      if (this.stopping.signal.aborted) return;
      this.watch();
      this.again();
    });
  }

  private watch(): void {
    const { instances } = this.loop.state;
    const tracking = new Set<string>();
    const due: { readonly uid: string; readonly lastMono: number }[] = [];
    for (const inst of instances.values()) {
      try {
        const { uid } = inst;
        if (this.watchOne(inst, tracking)) due.push({ uid, lastMono: this.looked.get(uid)?.lastMono ?? NEVER });
      } catch (error) {
        // A fault of ours about one of them is no reason to look after nobody (L46).
        const message = wordsOf(error);
        this.world.log.error(
          { instance: inst.name, error: message },
          'plugins cannot be watched; this is a fault of Holdfast',
        );
      }
    }
    this.due = due.sort((a, b) => a.lastMono - b.lastMono || (a.uid < b.uid ? -1 : 1)).map(({ uid }) => uid);
    this.lookOn();
    for (const key of this.tracked.keys()) if (!tracking.has(key)) this.tracked.delete(key);
    for (const uid of this.looked.keys()) if (!instances.has(uid)) this.looked.delete(uid);
  }

  /** Is its box to be looked at? */
  private watchOne(inst: Instance, tracking: Set<string>): boolean {
    if (inst.spec.plugins.length === 0 && (inst.plugins ?? []).length === 0) return false;
    if (inst.desired === 'deleted') return false;
    for (const plugin of inst.spec.plugins) if (plugin.track) tracking.add(this.maybeAsk(plugin));
    return this.isDue(inst);
  }

  // ── boxes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  private isDue({ spec, resource, operation, uid }: Instance): boolean {
    const target = this.loop.state.targets.get(spec.target);
    const there = resource !== null && (resource.state === 'running' || resource.state === 'stopped');
    const seen = target !== undefined && target.synced && target.stale === null && target.refused === null;
    if (!there || !seen || operation !== null) return false;
    const known = this.looked.get(uid);
    if (known === undefined) return true;
    return !known.looking && (known.life !== resource.incarnation || this.world.clock.mono() >= known.nextMono);
  }

  /** As many as may be looked at once, in turn; called again when one is done. */
  private lookOn(): void {
    while (this.looks < PLUGIN_LOOKS_AT_ONCE && !this.stopping.signal.aborted) {
      const [uid, ...rest] = this.due;
      if (uid === undefined) return;
      this.due = rest;
      const inst = this.loop.state.instances.get(uid);
      if (inst === undefined || inst.desired === 'deleted' || !this.isDue(inst)) continue;
      const known = this.looked.get(uid) ?? { life: null, lastMono: NEVER, nextMono: NEVER, looking: false };
      this.looked.set(uid, known);
      void this.look(inst, known);
    }
  }

  /** Never rejects. */
  private async look(inst: Instance, known: Looked): Promise<void> {
    const { clock, log } = this.world;
    const began = this.loop.state.seq;
    known.life = inst.resource?.incarnation ?? null;
    known.lastMono = clock.mono();
    known.nextMono = Number.POSITIVE_INFINITY;
    known.looking = true;
    this.looks += 1;
    let everyMs = PLUGIN_LOOK_MS;
    try {
      const box = this.world.target(inst.spec.target).plugins;
      if (box === undefined) return;
      everyMs = box.lookEveryMs;
      const subject = this.world.subject(inst);
      const what = `the look at the plugins of ${inst.name}`;
      const found = await withDeadline(
        clock,
        PLUGIN_LOOK_MS,
        what,
        (signal) => box.installed(subject, signal),
        this.stopping.signal,
      );
      if (differs(inst.plugins, found)) this.loop.report((state) => observed(state, inst.uid, began, found));
    } catch (error) {
      if (!this.stopping.signal.aborted)
        log.warn(
          { fleet: this.loop.fleet, instance: inst.name, error: wordsOf(error) },
          'plugins could not be read back',
        );
    } finally {
      this.looks -= 1;
      known.looking = false;
      known.nextMono = clock.mono() + everyMs;
      this.lookOn();
    }
  }

  // ── tracked refs ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** What it is tracked under. */
  private maybeAsk(plugin: PluginSpec): string {
    const { source, ref, header } = plugin;
    const key = JSON.stringify([source, ref, header ?? null]);
    const known = this.tracked.get(key) ?? { plugin, nextMono: NEVER, asking: false };
    this.tracked.set(key, known);
    if (!known.asking && this.world.clock.mono() >= known.nextMono) void this.ask(known);
    return key;
  }

  /** Never rejects. */
  private async ask(known: Tracked): Promise<void> {
    const { clock, log, sources } = this.world;
    const { source, ref } = known.plugin;
    known.asking = true;
    try {
      const sha = await withDeadline(
        clock,
        PLUGIN_RESOLVE_MS,
        `looking up plugin ${source}`,
        (signal) => sources.resolve({ ...known.plugin, fleet: this.loop.fleet }, signal),
        this.stopping.signal,
      );
      if (hasMoved(this.loop.state, source, ref, sha))
        this.loop.report((state) =>
          hasMoved(state, source, ref, sha) ? [{ type: 'plugin.ref-moved', data: { source, ref, sha } }] : [],
        );
    } catch (error) {
      if (!this.stopping.signal.aborted)
        log.warn(
          { fleet: this.loop.fleet, plugin: source, error: wordsOf(error) },
          'a tracked plugin could not be looked up',
        );
    } finally {
      known.asking = false;
      known.nextMono = clock.mono() + sources.trackEveryMs;
    }
  }
}

function observed(
  state: FleetState,
  uid: string,
  began: number,
  found: readonly InstalledPlugin[],
): readonly NewEvent[] {
  const inst = state.instances.get(uid);
  if (inst === undefined || inst.operation !== null || inst.operationSeq > began) return [];
  if (!differs(inst.plugins, found)) return [];
  return [{ type: 'plugins.observed', instance: inst.name, uid, data: { installed: found } }];
}

/** Nothing installed yet, and nothing there, is no difference. */
function differs(known: readonly InstalledPlugin[] | null, found: readonly InstalledPlugin[]): boolean {
  // What is in doubt is not on record: only that it is there would be news.
  return asText((known ?? []).filter(({ ref }) => ref !== UNSURE)) !== asText(found);
}

const asText = (plugins: readonly InstalledPlugin[]): string =>
  plugins
    .map(({ source, ref, sha, treeDigest, restart = false }) => JSON.stringify([source, ref, sha, treeDigest, restart]))
    .sort()
    .join();

/** Somebody who tracks it has another sha, and has not been told of this one. */
function hasMoved(state: FleetState, source: string, ref: string | null, sha: string): boolean {
  for (const { spec, plugins, movedRefs, desired } of state.instances.values()) {
    if (desired === 'deleted') continue;
    if (!spec.plugins.some((one) => one.track && one.source === source && one.ref === ref)) continue;
    const has = plugins?.find((one) => one.source === source)?.sha;
    if (has !== undefined && has !== '' && has !== sha && movedRefs?.[source] !== sha) return true;
  }
  return false;
}
