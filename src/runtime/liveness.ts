/**
 * Turns heartbeats and health into facts, on transitions only. Age is judged here and nowhere else: `decide` never sees a
 * last-seen time, only "first", "silent", "recovered".
 *
 *  1. What is reported is the difference between what was heard and what is folded, so no road around a hook exists (L14).
 *  2. Our own downtime is not theirs: at start everybody who was heard gets a full `silentAfter` (L11).
 *  3. A beat of a uid that is not (or no longer) ours says nothing (L18).
 */
import type { NewEvent } from '../core/events.ts';
import type { FleetState, Instance } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import { withDeadline } from './deadline.ts';
import { PROBE_TIMEOUT_MS } from './limits.ts';
import type { FleetLoop } from './loop.ts';

/** What a heartbeat may say; everything is optional. */
export interface Beat {
  readonly status?: 'ready' | 'degraded';
  readonly message?: string;
  readonly activeTasks?: number;
  readonly version?: string;
}

export type Probe = (inst: Instance, signal: AbortSignal) => Promise<{ ok: boolean; message: string }>;

interface Heard {
  atMono: number;
  beat: Beat;
}

interface Asked {
  nextMono: number;
  asking: boolean;
  failingSinceMono: number | null;
}

/** How often ages are looked at, ms. */
const LOOK_EVERY_MS = 1_000;

export class LivenessWatch {
  private readonly loop: FleetLoop;
  private readonly clock: Clock;
  private readonly probe: Probe;
  private readonly heard = new Map<string, Heard>();
  private readonly asked = new Map<string, Asked>();
  private readonly stopping = new AbortController();
  private cancelTimer: () => void = () => undefined;

  constructor(loop: FleetLoop, clock: Clock, probe: Probe) {
    this.loop = loop;
    this.clock = clock;
    this.probe = probe;
    this.look();
  }

  stop(): void {
    this.stopping.abort('stop');
    this.cancelTimer();
  }

  /** One heartbeat of a living uid. */
  beat(uid: string, beat: Beat): void {
    const inst = this.loop.state.instances.get(uid);
    if (inst === undefined) return;
    this.heard.set(uid, { atMono: this.clock.mono(), beat });
    if (beatFacts(inst, beat).length > 0) {
      this.loop.report((state) => {
        const now = state.instances.get(uid);
        return now === undefined ? [] : beatFacts(now, beat);
      });
    }
  }

  /** The last beat of a uid, for views; age in ms. */
  last(uid: string): { readonly ageMs: number; readonly beat: Beat } | null {
    const heard = this.heard.get(uid);
    return heard === undefined ? null : { ageMs: this.clock.mono() - heard.atMono, beat: heard.beat };
  }

  private look(): void {
    if (this.stopping.signal.aborted) return;
    const { instances } = this.loop.state;
    for (const inst of instances.values()) {
      if (inst.spec.heartbeat !== null) this.age(inst);
      if (inst.spec.health !== null) this.ask(inst);
    }
    for (const uid of this.heard.keys()) if (!instances.has(uid)) this.heard.delete(uid);
    for (const uid of this.asked.keys()) if (!instances.has(uid)) this.asked.delete(uid);
    this.cancelTimer = this.clock.after(LOOK_EVERY_MS, () => this.look());
  }

  private age(inst: Instance): void {
    if (inst.agent?.heard !== 'heard') return;
    const now = this.clock.mono();
    const heard = this.heard.get(inst.uid);
    // Heard before our time: its grace begins now.
    if (heard === undefined) this.heard.set(inst.uid, { atMono: now, beat: {} });
    else if (now - heard.atMono >= (inst.spec.heartbeat?.silentAfterMs ?? 0)) {
      this.loop.report((state) => {
        const then = state.instances.get(inst.uid);
        return then?.agent?.heard === 'heard' ? [fact(then, { report: 'silent' })] : [];
      });
    }
  }

  /** Asks the declared health of what runs, in its own rhythm; edges become facts. */
  private ask(inst: Instance): void {
    const health = inst.spec.health;
    if (health === null || inst.resource?.state !== 'running') {
      this.asked.delete(inst.uid);
      return;
    }
    const now = this.clock.mono();
    const asked = this.asked.get(inst.uid) ?? { nextMono: now, asking: false, failingSinceMono: null };
    this.asked.set(inst.uid, asked);
    if (asked.asking || now < asked.nextMono) return;
    asked.asking = true;
    asked.nextMono = now + health.everyMs;
    const life = inst.resource.incarnation;
    void this.answer(inst).then(({ ok, message }) => {
      asked.asking = false;
      const at = this.clock.mono();
      if (ok) asked.failingSinceMono = null;
      else asked.failingSinceMono ??= at;
      const failedFor = asked.failingSinceMono === null ? 0 : at - asked.failingSinceMono;
      this.loop.report((state) => healthFacts(state, inst.uid, life, ok, message, failedFor >= health.silentAfterMs));
    });
  }

  /** Never rejects: no answer is an answer. */
  private async answer(inst: Instance): Promise<{ ok: boolean; message: string }> {
    try {
      return await withDeadline(
        this.clock,
        PROBE_TIMEOUT_MS,
        'the health probe',
        (signal) => this.probe(inst, signal),
        this.stopping.signal,
      );
    } catch (error) {
      return { ok: false, message: error instanceof Error ? error.message : String(error) };
    }
  }
}

type Report = Extract<NewEvent, { type: 'agent.reported' }>['data'];
const fact = (inst: Instance, data: Report): NewEvent => ({
  type: 'agent.reported',
  instance: inst.name,
  uid: inst.uid,
  data,
});

/** What this beat changes, compared with what is folded. */
export function beatFacts(inst: Instance, beat: Beat): readonly NewEvent[] {
  const agent = inst.agent;
  const facts: NewEvent[] = [];
  if (agent === null || agent.heard === 'never') facts.push(fact(inst, { report: 'first' }));
  else if (agent.heard === 'silent') facts.push(fact(inst, { report: 'recovered' }));
  const degraded = beat.status === 'degraded';
  if (degraded && agent?.degraded == null)
    facts.push(fact(inst, { report: 'degraded', message: beat.message ?? 'it gave no reason' }));
  if (beat.status === 'ready' && agent?.degraded != null) facts.push(fact(inst, { report: 'well' }));
  const busy = beat.activeTasks === undefined ? (agent?.busy ?? false) : beat.activeTasks > 0;
  if (busy !== (agent?.busy ?? false)) facts.push(fact(inst, { report: busy ? 'busy' : 'idle' }));
  if (beat.version !== undefined && beat.version !== agent?.version)
    facts.push(fact(inst, { report: 'version', version: beat.version }));
  return facts;
}

function healthFacts(
  state: FleetState,
  uid: string,
  life: string | null,
  ok: boolean,
  message: string,
  failedLongEnough: boolean,
): readonly NewEvent[] {
  const inst = state.instances.get(uid);
  // The answer of a life that is over says nothing about the next.
  if (inst === undefined || inst.resource?.incarnation !== life) return [];
  const known = inst.agent?.health ?? 'unasked';
  const turned = ok ? known !== 'ok' : known === 'ok' && failedLongEnough;
  return turned ? [{ type: 'probe.answered', instance: inst.name, uid, data: { ok, message } }] : [];
}
