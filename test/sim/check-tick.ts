/** What must hold of every tick, as its owner saw it. */
import { checkEverything } from '../../src/core/audit.ts';
import { decide } from '../../src/core/decide.ts';
import type { DecidedAction } from '../../src/core/events.ts';
import { BLAST_FLOOR, BLAST_SHARE, BLAST_WINDOW_MS, MINUTE_MS } from '../../src/core/limits.ts';
import type { FleetState, Instance } from '../../src/core/model.ts';
import { toEvents } from '../../src/core/tick.ts';
import type { Fleet } from '../../src/runtime/fleet.ts';
import type { TickReport } from '../../src/runtime/loop.ts';
import { Violated } from './violated.ts';
import type { SimWorld } from './world.ts';

/** Ticks between two looks at everybody. */
const EVERYBODY_EVERY = 40;
const MAKES_RUN: ReadonlySet<string> = new Set(['provision', 'start', 'restart']);
/** Backoff allows 5 tries in ten seconds and 10 in ten minutes; conflicts that do not count, and proved lives, allow more. */
const STORMS = [
  { tries: 9, withinMs: 10_000 },
  { tries: 40, withinMs: 10 * MINUTE_MS },
];
/** Beats and probes are lost now and then, never for so long. */
const SURELY_HEARD_MS = 5 * MINUTE_MS;

export class TickChecks {
  private readonly world: SimWorld;
  private ticks = 0;
  /** uid → when it was last made to run. */
  private readonly tries = new Map<string, number[]>();
  /** Provisioned again because missing: target → what and since when. */
  private readonly missed = new Map<string, { uid: string; since: number }[]>();
  private readonly missingSince = new Map<string, number>();
  /** Said to have gone missing though nobody asked, and not made anew yet. */
  private readonly lost = new Set<string>();
  private overriddenAt = Number.NEGATIVE_INFINITY;

  constructor(world: SimWorld) {
    this.world = world;
  }

  check(fleet: Fleet, report: TickReport, ownedForMs: number): void {
    const { state } = fleet.loop;
    // Two under one ref is the world's fault here, and held: that no more comes of it, the other checks tell.
    const first = report.violations.find(({ invariant, message }) => invariant !== 3 || !message.includes('/shared'));
    if (first !== undefined)
      throw new Violated(
        `invariant ${first.invariant}: ${first.instance ?? 'fleet'} (${first.uid ?? ''}): ${first.message} (seq ${state.seq})`,
      );
    const breach = this.world.truth.breaches[0];
    if (breach !== undefined) throw new Violated(`in the world: ${breach} (seq ${state.seq})`);
    for (const event of report.events) {
      // Whoever is asked anew may try anew.
      if (event.uid !== undefined && (event.type === 'command.issued' || event.type === 'spec.applied'))
        this.tries.delete(event.uid);
      if (event.type === 'secret.rotated') this.tries.clear();
      if (event.type === 'command.issued' && event.data.verb === 'override') this.overriddenAt = event.at;
      if (event.type === 'flap.observed' && event.data.kind === 'container_missing') this.lost.add(event.uid ?? '');
      if (event.type !== 'resource.observed' || event.data.state !== 'missing' || event.uid === undefined) continue;
      // Said by an owner that was asleep, it may be too old to be believed.
      if (state.instances.get(event.uid)?.resource?.seq === event.seq) this.saidMissing(event.uid, event.seq, event.at);
    }
    for (const action of report.decision.actions) {
      const inst = state.instances.get(action.uid);
      if (inst !== undefined) this.action(state, inst, action, report.decision.now, ownedForMs);
    }
    this.rollout(state, report.decision.actions);
    this.ticks += 1;
    if (this.ticks % EVERYBODY_EVERY === 0 && state.dirty.size === 0) everybody(fleet, report);
  }

  /** The first goes alone, and then no more than the share at a time. */
  private rollout({ rollout, policy, instances }: FleetState, decided: readonly DecidedAction[]): void {
    if (rollout === null || !decided.some(({ rolloutUntil }) => rolloutUntil !== undefined)) return;
    const gone = decided.filter(({ type }) => type === 'forget').length;
    const share = Math.max(1, Math.floor(policy.rollout.maxUnavailable * (instances.size + gone)));
    const allowed = rollout.proved === 0 ? 1 : share;
    if (rollout.active.size > allowed) {
      throw new Violated(
        `${rollout.active.size} are down for the rollout of ${rollout.revision} at once, where ${allowed} may be`,
      );
    }
  }

  private action(state: FleetState, inst: Instance, action: DecidedAction, now: number, ownedForMs: number): void {
    if (!MAKES_RUN.has(action.type)) return;
    const what = `${inst.name} (${inst.uid}): ${action.type} by "${action.rule}" (seq ${state.seq})`;
    if (inst.desired !== 'running') throw new Violated(`${what} though it is desired ${inst.desired}`);
    this.storm(inst, now, what);
    if (action.rule === 'missing') this.massHeal(state, inst, what);
    if (action.rule === 'silent' && action.type === 'restart') this.wronglySilent(inst, ownedForMs, what);
  }

  /** The same thing tried over and over: a backoff that does not back off (L40, L42). */
  private storm(inst: Instance, now: number, what: string): void {
    const tries = [...(this.tries.get(inst.uid) ?? []), now].slice(-50);
    this.tries.set(inst.uid, tries);
    for (const { tries: allowed, withinMs } of STORMS) {
      const lately = tries.filter((at) => at > now - withinMs).length;
      if (lately > allowed) throw new Violated(`${what} is its ${lately}th try within ${withinMs / 1_000} s`);
    }
  }

  /** Many gone at once are not made anew, unless an operator said so (L45, L51, L72). */
  private massHeal(state: FleetState, inst: Instance, what: string): void {
    // Else an operation of ours may have removed it, as far as anybody can know: nothing was lost.
    if (!this.lost.delete(inst.uid)) return;
    const { target } = inst.spec;
    const since = this.missingSince.get(inst.uid) ?? state.at;
    // As the design counts: what is there again by now is no loss any more.
    const isLost = (uid: string): boolean => state.instances.get(uid)?.resource?.state === 'missing';
    const missed = [
      ...(this.missed.get(target) ?? []).filter(
        (one) => one.uid !== inst.uid && one.since > since - BLAST_WINDOW_MS && isLost(one.uid),
      ),
      { uid: inst.uid, since },
    ];
    this.missed.set(target, missed);
    const excused = this.overriddenAt > since - BLAST_WINDOW_MS || state.ownerAt > since - BLAST_WINDOW_MS;
    const existing = [...state.instances.values()].filter((one) => one.existed && one.spec.target === target).length;
    const allowed = Math.max(BLAST_FLOOR, BLAST_SHARE * existing);
    if (!excused && missed.length > allowed)
      throw new Violated(
        `${what} is one of ${missed.length} made anew that went missing within a minute, of ${existing} on "${target}"`,
      );
  }

  /** "Missing" needs proof: it is gone, or two complete listings in a row lied. */
  private saidMissing(uid: string, seq: number, at: number): void {
    this.missingSince.set(uid, at);
    const { truth } = this.world;
    if (this.world.find(uid) !== null && truth.deniedTimes(uid) < 2) {
      throw new Violated(`${uid} is said to be missing (seq ${seq}), and no two complete listings lacked it`);
    }
  }

  /** A healthy one is never killed as silent (L05). */
  private wronglySilent(inst: Instance, ownedForMs: number, what: string): void {
    const { clock } = this.world;
    const resource = this.world.find(inst.uid)?.resource;
    if (resource === undefined || !this.world.beats(resource) || !this.world.healthy(inst.uid)) return;
    const wellForMs = Math.min(clock.now - resource.since, ownedForMs);
    if (wellForMs > SURELY_HEARD_MS)
      throw new Violated(`${what} though it has been heard and well for ${wellForMs} ms`);
  }
}

/** Deciding everybody must decide nothing that deciding the dirty and the due did not; and all that is counted adds up. */
function everybody(fleet: Fleet, report: TickReport): void {
  const { state, agenda } = fleet.loop;
  const { now } = report.decision;
  const missed = toEvents(decide(state, now, state.instances.keys()))[0];
  if (missed?.type === 'tick.decided')
    throw new Violated(
      `a look at everybody finds what the tick missed: ${JSON.stringify(missed.data).slice(0, 600)} (seq ${state.seq})`,
    );
  const first = checkEverything(state, now, agenda).find(
    ({ invariant, message }) => invariant !== 3 || !message.includes('/shared'),
  );
  if (first !== undefined)
    throw new Violated(
      `invariant ${first.invariant}, looking at everybody: ${first.instance ?? 'fleet'}: ${first.message} (seq ${state.seq})`,
    );
}
