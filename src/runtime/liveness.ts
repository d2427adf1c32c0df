/**
 * Turns heartbeats and health into facts, on transitions only. Age is judged here and nowhere else: `decide` never sees a
 * last-seen time, only "first", "silent", "recovered".
 *
 *  1. What is reported is the difference between what was heard and what is folded, worked out when the loop drains it. So no
 *     road around a hook exists (L14), nothing is said twice, and what the loop could not take is offered again.
 *  2. Our own downtime is not theirs: after a start, an outage of the store or a standstill of ours, everybody gets a full
 *     `silentAfter` (L11); a silence that began meanwhile is noticed after that (L12).
 *  3. A beat of a uid that is not (or no longer) ours, or of one that is stopped, says nothing (L18); nor does the last beat
 *     of one life about the next.
 *  4. However many beat at once, the loop gets one source of facts per `BATCH_EVERY_MS`; however often one agent changes its
 *     mind, it is believed once per `LOOK_EVERY_MS`.
 *  5. At most `PROBES_AT_ONCE` healths are asked at the same time, first those whose present life was never asked: an agent
 *     must not run out of its start grace because others hang.
 */
import { wordsOf } from '../core/error-words.ts';
import type { NewEvent } from '../core/events.ts';
import { silentAfterMs } from '../core/liveness.ts';
import type { FleetState, HealthSpec, Instance } from '../core/model.ts';
import type { Clock } from '../ports/clock.ts';
import { type Beat, factsOf, type Heard, reported, speaksForThisLife } from './beats.ts';
import { withDeadline } from './deadline.ts';
import { PROBE_TIMEOUT_MS, PROBES_AT_ONCE } from './limits.ts';
import type { FleetLoop } from './loop.ts';

export type Probe = (inst: Instance, signal: AbortSignal) => Promise<{ ok: boolean; message: string }>;

interface Asked {
  nextMono: number;
  asking: boolean;
  failingSinceMono: number | null;
  /** The newest answer, of the life it was asked in. */
  answer: {
    readonly ok: boolean;
    readonly message: string;
    readonly life: string | null;
    readonly lasting: boolean;
  } | null;
}

/** How often ages are looked at, ms. */
const LOOK_EVERY_MS = 1_000;
/** Instances looked at in one go. */
const LOOK_PORTION = 2_000;
/** The first news goes on at once, what follows it so soon after goes on together, ms. */
const BATCH_EVERY_MS = 50;
/** A look that comes this much too late means that we stood still, ms. */
const STANDSTILL_MS = 4_000;

export class LivenessWatch {
  private readonly loop: FleetLoop;
  private readonly clock: Clock;
  private readonly probe: Probe;
  private readonly heard = new Map<string, Heard>();
  private readonly asked = new Map<string, Asked>();
  /** Whose facts are to be worked out when the loop drains them; and whether it has been asked to. */
  private readonly due = new Set<string>();
  private offered = false;
  private gathering = false;
  private offeredMono = Number.NEGATIVE_INFINITY;
  private cancelOffer: () => void = () => undefined;
  /** Since when beats could reach us without a break (2). */
  private listeningSinceMono: number;
  private lookedMono: number;
  private failing = false;
  private beats = 0;
  /** Whose health is to be asked, in the order of their turns; and how many are being asked. */
  private readonly toAskFirst: { readonly uid: string; readonly asked: Asked }[] = [];
  private readonly toAsk: { readonly uid: string; readonly asked: Asked }[] = [];
  private asking = 0;
  private readonly stopping = new AbortController();
  private cancelTimer: () => void = () => undefined;

  constructor(loop: FleetLoop, clock: Clock, probe: Probe) {
    this.loop = loop;
    this.clock = clock;
    this.probe = probe;
    this.listeningSinceMono = clock.mono();
    this.lookedMono = this.listeningSinceMono;
    this.look();
  }

  stop(): void {
    this.stopping.abort('stop');
    this.cancelTimer();
    this.cancelOffer();
  }

  /** One heartbeat of a living uid. `serial` is that of the token it came with, where it came with one. */
  beat(uid: string, beat: Beat, serial: number | null = null): void {
    const inst = this.loop.state.instances.get(uid);
    if (inst === undefined) return;
    this.beats += 1;
    const known = this.heard.get(uid);
    const now = this.clock.mono();
    const heard = this.hear(inst, beat, serial, now, known);
    this.heard.set(uid, heard);
    if (now - heard.reportedMono < LOOK_EVERY_MS) {
      // It has just been believed; what it says now, the next look takes up.
      heard.unjudged = true;
    } else if (factsOf(inst, heard).length > 0) {
      heard.reportedMono = now;
      this.judge(uid);
    }
  }

  /** The last beat of a uid, for views; `at` in fleet time. */
  last(uid: string): { readonly at: number; readonly beat: Beat } | null {
    return this.heard.get(uid) ?? null;
  }

  /** How many let themselves be heard. */
  get size(): number {
    return this.heard.size;
  }

  /** Beats since this was last asked, for metrics. */
  takeBeats(): number {
    const { beats } = this;
    this.beats = 0;
    return beats;
  }

  private hear(inst: Instance, beat: Beat, serial: number | null, now: number, known: Heard | undefined): Heard {
    const { resource, operation } = inst;
    const ran = resource?.state === 'running';
    const life = ran ? resource.incarnation : null;
    const sameLife = known !== undefined && known.ran === ran && known.life === life;
    const busy = beat.activeTasks === undefined ? (inst.agent?.busy ?? false) : beat.activeTasks > 0;
    const stands = sameLife && busy && beat.work !== undefined && beat.work === known.beat.work;
    const workSinceMono = stands ? Math.max(known.workSinceMono, this.listeningSinceMono) : now;
    const standsForMs = now - workSinceMono;
    return {
      atMono: now,
      at: this.loop.time(),
      beat,
      ran,
      life,
      // Nothing of it ran before, or only the new life has this token: it can be no other.
      early:
        operation !== null &&
        ((!ran && (operation.kind === 'provision' || operation.kind === 'start')) ||
          (serial !== null && inst.token.next === serial && inst.token.next !== inst.token.serial)),
      operations: inst.operations,
      workSinceMono,
      stalledMs: stands && standsForMs >= silentAfterMs(inst) ? standsForMs : null,
      stalledBefore: sameLife && (known.stalledMs !== null || known.stalledBefore),
      reportedMono: known?.reportedMono ?? Number.NEGATIVE_INFINITY,
      unjudged: false,
    };
  }

  // ── towards the loop ────────────────────────────────────────────────────────────────────────────────────────────────

  private judge(uid: string): void {
    this.due.add(uid);
    this.offer();
  }

  private offer(): void {
    if (this.offered || this.gathering || this.due.size === 0) return;
    const waitMs = this.offeredMono + BATCH_EVERY_MS - this.clock.mono();
    if (waitMs > 0) {
      this.gathering = true;
      this.cancelOffer = this.clock.after(waitMs, () => {
        this.gathering = false;
        this.offer();
      });
      return;
    }
    this.offeredMono = this.clock.mono();
    // An idle loop drains before `report` returns.
    this.offered = true;
    const taken = this.loop.report((state, draft) => {
      const uids = [...this.due];
      if (!draft) {
        this.offered = false;
        this.due.clear();
      }
      return uids.flatMap((uid) => this.facts(state, uid));
    });
    if (!taken) this.offered = false;
  }

  /** Everything that is so of this one and not folded yet. */
  private facts(state: FleetState, uid: string): readonly NewEvent[] {
    const inst = state.instances.get(uid);
    if (inst === undefined || inst.desired !== 'running') return [];
    const heard = this.heard.get(uid);
    const silent = this.isSilent(inst) ? [reported(inst, { report: 'silent' })] : [];
    const said = heard === undefined || silent.length > 0 ? [] : factsOf(inst, heard);
    return [...said, ...silent, ...healthFacts(inst, this.asked.get(uid))];
  }

  // ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  private look(): void {
    if (this.stopping.signal.aborted) return;
    this.listen();
    this.lookOn(this.loop.state.instances.values());
  }

  /**
   * In portions: at 50,000 agents one look at all of them would keep every heartbeat waiting. (A generator that yields after
   * each of them reads better, and takes three times as long.)
   */
  private lookOn(looking: Iterator<Instance>): void {
    if (this.stopping.signal.aborted) return;
    for (let n = 0; n < LOOK_PORTION; n += 1) {
      const next = looking.next();
      if (next.done !== true) {
        this.lookAt(next.value);
        continue;
      }
      this.dropGone();
      this.offer();
      this.cancelTimer = this.clock.after(LOOK_EVERY_MS, () => this.look());
      return;
    }
    this.cancelTimer = this.clock.after(1, () => this.lookOn(looking));
  }

  private lookAt(inst: Instance): void {
    if (this.isSilent(inst)) this.due.add(inst.uid);
    if (inst.spec.health !== null) this.ask(inst);
    const heard = this.heard.get(inst.uid);
    if (heard !== undefined && (heard.unjudged || (heard.early && inst.operation === null))) this.again(inst, heard);
  }

  private dropGone(): void {
    const { instances } = this.loop.state;
    for (const uid of this.heard.keys()) if (!instances.has(uid)) this.heard.delete(uid);
    for (const uid of this.asked.keys()) if (!instances.has(uid)) this.asked.delete(uid);
  }

  /** What was put off: said too soon after something else, or before its life was known to have begun. */
  private again(inst: Instance, heard: Heard): void {
    heard.unjudged = false;
    if (
      heard.early &&
      inst.operations === heard.operations &&
      speaksForThisLife(inst, heard) &&
      inst.resource !== null
    ) {
      heard.ran = true;
      heard.life = inst.resource.incarnation;
    }
    heard.early = false;
    if (factsOf(inst, heard).length === 0) return;
    heard.reportedMono = this.clock.mono();
    this.due.add(inst.uid);
  }

  /** Have beats been able to reach us? While the store fails they are refused (L71), and while we stand still they wait. */
  private listen(): void {
    const now = this.clock.mono();
    const failing = this.loop.failure !== null;
    const stoodStill = now - this.lookedMono > LOOK_EVERY_MS + STANDSTILL_MS;
    // A single failure that the next try mends keeps no agent from being heard.
    if (stoodStill || (failing && this.failing)) this.listeningSinceMono = now;
    this.failing = failing;
    this.lookedMono = now;
  }

  private isSilent(inst: Instance): boolean {
    const { heartbeat, targetType } = inst.spec;
    if (heartbeat === null || inst.desired !== 'running' || inst.agent?.heard !== 'heard') return false;
    if (targetType !== 'external' && inst.resource?.state !== 'running') return false;
    const lastMono = Math.max(this.heard.get(inst.uid)?.atMono ?? 0, this.listeningSinceMono);
    return this.clock.mono() - lastMono >= heartbeat.silentAfterMs;
  }

  /** Asks the declared health of what runs, in its own rhythm; edges become facts. */
  private ask(inst: Instance): void {
    const health = inst.spec.health;
    if (health === null || inst.resource?.state !== 'running') {
      this.asked.delete(inst.uid);
      return;
    }
    const now = this.clock.mono();
    const asked = this.asked.get(inst.uid) ?? { nextMono: now, asking: false, failingSinceMono: null, answer: null };
    this.asked.set(inst.uid, asked);
    if (asked.asking || now < asked.nextMono) return;
    asked.asking = true;
    (asked.answer?.life === inst.resource.incarnation ? this.toAsk : this.toAskFirst).push({ uid: inst.uid, asked });
    this.askNext();
  }

  /** So many at a time (5): whoever hangs, hangs up to the deadline of a probe, and keeps a place for so long. */
  private askNext(): void {
    while (this.asking < PROBES_AT_ONCE) {
      const turn = this.toAskFirst.shift() ?? this.toAsk.shift();
      if (turn === undefined || this.stopping.signal.aborted) return;
      const { uid, asked } = turn;
      const inst = this.loop.state.instances.get(uid);
      const health = inst?.spec.health ?? null;
      // It stopped meanwhile; if it runs again, it has taken another turn.
      if (this.asked.get(uid) !== asked) continue;
      if (inst === undefined || health === null || inst.resource?.state !== 'running') asked.asking = false;
      else this.askNow(inst, asked, health, inst.resource.incarnation);
    }
  }

  private askNow(inst: Instance, asked: Asked, health: HealthSpec, life: string | null): void {
    asked.nextMono = this.clock.mono() + health.everyMs;
    this.asking += 1;
    void this.answer(inst).then((answer) => {
      this.asking -= 1;
      asked.asking = false;
      if (answer === null) return this.askNext();
      const { ok, message } = answer;
      const at = this.clock.mono();
      if (ok) asked.failingSinceMono = null;
      else asked.failingSinceMono ??= at;
      const failedFor = asked.failingSinceMono === null ? 0 : at - asked.failingSinceMono;
      asked.answer = { ok, message, life, lasting: failedFor >= health.silentAfterMs };
      const present = this.loop.state.instances.get(inst.uid);
      if (present !== undefined && healthFacts(present, asked).length > 0) this.judge(inst.uid);
      this.askNext();
    });
  }

  /** Never rejects: no answer of the agent is an answer. null: an authority that could not be asked said nothing of it. */
  private async answer(inst: Instance): Promise<{ ok: boolean; message: string } | null> {
    try {
      return await withDeadline(
        this.clock,
        PROBE_TIMEOUT_MS,
        'the health probe',
        (signal) => this.probe(inst, signal),
        this.stopping.signal,
      );
    } catch (error) {
      if (inst.spec.health?.http === null) return null;
      return { ok: false, message: wordsOf(error) };
    }
  }
}

function healthFacts(inst: Instance, asked: Asked | undefined): readonly NewEvent[] {
  const answer = asked?.answer ?? null;
  // The answer of a life that is over says nothing about the next.
  if (answer === null || inst.resource?.state !== 'running' || inst.resource.incarnation !== answer.life) return [];
  const { ok, message } = answer;
  const known = inst.agent?.health ?? 'unasked';
  const turned = ok ? known !== 'ok' : known === 'ok' && answer.lasting;
  return turned ? [{ type: 'probe.answered', instance: inst.name, uid: inst.uid, data: { ok, message } }] : [];
}
