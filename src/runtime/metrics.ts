/**
 * Counts what the loops do, by real outcomes (L42), and tells how the fleets stand whenever somebody asks. The metrics
 * themselves, and the bounds of their labels, are in `observe/families`.
 */
import type { Clock } from '../ports/clock.ts';
import { errorCount } from '../core/fleet-view.ts';
import type { FleetState } from '../core/model.ts';
import { EffectOutcomes } from '../observe/effects.ts';
import { Families } from '../observe/families.ts';
import { Heals } from '../observe/heals.ts';
import { TROUBLES, VALUES, type Trouble } from '../observe/label-values.ts';
import { INSTANCES_WITH_METRICS } from '../observe/limits.ts';
import type { Fleet } from './fleet.ts';
import type { TickReport } from './loop.ts';
import type { Lag } from './pulse.ts';
import type { Runtime } from './runtime.ts';
import type { Targets } from './targets.ts';

export interface MetricsWorld {
  readonly clock: Clock;
  readonly version: string;
  /** The server file asks for metrics of each instance. */
  readonly perInstance?: boolean;
  lag(): Lag;
}

/** What is remembered of one fleet between two scrapes. */
interface Kept {
  readonly effects: EffectOutcomes;
  readonly heals: Heals;
  drained: number;
  /** By the wall clock, s; 0: it never ticked. */
  lastTickWall: number;
  lastTickMono: number;
}

export class Metrics {
  private readonly families = new Families();
  private readonly known = new Map<string, Kept>();
  private readonly world: MetricsWorld;

  constructor(world: MetricsWorld) {
    this.world = world;
  }

  /** One committed tick. */
  ticked({ name: fleet, loop }: Fleet, { drained, durationMs, violations, events }: TickReport): void {
    const { clock } = this.world;
    const kept = this.keep(fleet);
    const { eventsDrained, tickSeconds, healSeconds, actions, effects, flaps } = this.families;
    kept.drained = drained;
    kept.lastTickWall = clock.wall() / 1_000;
    kept.lastTickMono = clock.mono();
    eventsDrained.inc({ fleet }, drained);
    tickSeconds.observe({ fleet }, durationMs / 1_000);
    for (const { invariant } of violations) this.families.violations.inc({ fleet, invariant: String(invariant) });
    for (const event of events) {
      if (event.type === 'tick.decided') for (const { type } of event.data.actions) actions.inc({ fleet, type });
      if (event.type === 'flap.observed') flaps.inc({ fleet, kind: event.data.kind });
    }
    for (const { type, outcome } of kept.effects.of(events, loop.state)) effects.inc({ fleet, type, outcome });
    for (const ms of kept.heals.healed(events)) healSeconds.observe({ fleet }, ms / 1_000);
  }

  /** The fleet is no more. */
  dropped(fleet: string): void {
    if (this.known.delete(fleet)) this.families.drop(fleet);
  }

  async text(runtime: Runtime, targets: Targets): Promise<string> {
    const { families } = this;
    families.beginScrape();
    const { worstMs, meanMs } = this.world.lag();
    families.lag.set({ stat: 'worst' }, worstMs / 1_000);
    families.lag.set({ stat: 'mean' }, meanMs / 1_000);
    families.build.set({ version: this.world.version }, 1);
    for (const name of runtime.known()) this.tell(name, runtime.fleet(name), targets);
    return families.registry.metrics();
  }

  /** Known from here on, at zero, whether it has ever ticked or not. */
  private keep(fleet: string): Kept {
    const known = this.known.get(fleet);
    if (known !== undefined) return known;
    const kept: Kept = {
      effects: new EffectOutcomes(),
      heals: new Heals(),
      drained: 0,
      lastTickWall: 0,
      lastTickMono: this.world.clock.mono(),
    };
    this.known.set(fleet, kept);
    this.families.zero(fleet);
    return kept;
  }

  // ── how it stands ─────────────────────────────────────────────────────────────────────────────────────────────────

  private tell(fleet: string, owned: Fleet | null, targets: Targets): void {
    const { families } = this;
    const kept = this.keep(fleet);
    families.owned.set({ fleet }, owned === null ? 0 : 1);
    families.drained.set({ fleet }, kept.drained);
    families.lastTick.set({ fleet }, kept.lastTickWall);
    families.lastTickAge.set({ fleet }, (this.world.clock.mono() - kept.lastTickMono) / 1_000);
    families.heartbeats.inc({ fleet }, owned?.liveness?.takeBeats() ?? 0);
    families.pending.set({ fleet }, owned?.loop.pendingFacts ?? 0);
    families.head.set({ fleet }, owned?.loop.state.seq ?? 0);
    let orphans = 0;
    for (const observer of targets.all()) {
      orphans += observer.orphansOf(fleet).orphans.length;
      const { written, unwritten } = observer.takeCounts(fleet);
      families.observations.inc({ fleet, written: 'yes' }, written);
      families.observations.inc({ fleet, written: 'no' }, unwritten);
    }
    families.orphans.set({ fleet }, orphans);
    const standing = owned?.episodes.standing();
    for (const invariant of VALUES.invariant)
      families.broken.set({ fleet, invariant }, standing?.get(Number(invariant)) ?? 0);
    this.tellState(fleet, owned?.loop.state ?? null);
  }

  private tellState(fleet: string, state: FleetState | null): void {
    const { families } = this;
    const { phases, holds, errors, quarantined } = tally(state);
    for (const phase of VALUES.phase) families.instances.set({ fleet, phase }, phases[phase] ?? 0);
    for (const reason of VALUES.hold) families.holds.set({ fleet, reason }, holds[reason] ?? 0);
    families.errors.set({ fleet }, errors);
    families.quarantined.set({ fleet }, quarantined);
    if (state === null) return;
    for (const { name: target, synced, stale, refused, breaker, blast } of state.targets.values()) {
      const now: Record<Trouble, boolean> = {
        unsynced: !synced,
        stale: stale !== null,
        refused: refused !== null,
        breaker: breaker !== null,
        'blast-radius': blast !== null,
      };
      for (const trouble of TROUBLES) families.trouble.set({ fleet, target, trouble }, now[trouble] ? 1 : 0);
    }
    if (this.world.perInstance === true) this.tellInstances(fleet, state);
  }

  /** In the order of the log, so that it is always the same ones; the rest is counted. */
  private tellInstances(fleet: string, state: FleetState): void {
    const { families } = this;
    let told = 0;
    for (const { name: instance, phase, restarts } of state.instances.values()) {
      if ((told += 1) > INSTANCES_WITH_METRICS) break;
      families.instancePhase.set({ fleet, instance, phase }, 1);
      families.instanceCrashes.set({ fleet, instance }, restarts.crashes);
    }
    families.instancesLeftOut.set({ fleet }, Math.max(0, state.instances.size - INSTANCES_WITH_METRICS));
  }
}

interface Tally {
  readonly phases: { readonly [phase: string]: number };
  readonly holds: { readonly [reason: string]: number };
  readonly errors: number;
  /** Also who runs on as declared, and is no `hold` yet: nothing would be done for it. */
  readonly quarantined: number;
}

const zeros = (values: readonly string[]): { [value: string]: number } =>
  Object.fromEntries(values.map((value) => [value, 0]));

/** One look at each instance: 100,000 of them in some 10 ms. */
function tally(state: FleetState | null): Tally {
  const phases = zeros(VALUES.phase);
  const holds = zeros(VALUES.hold);
  if (state === null) return { phases, holds, errors: 0, quarantined: 0 };
  let quarantined = state.lost.size;
  for (const inst of state.instances.values()) {
    phases[inst.phase] = (phases[inst.phase] ?? 0) + 1;
    if (inst.hold !== null) holds[inst.hold.reason] = (holds[inst.hold.reason] ?? 0) + 1;
    if (inst.quarantinedSeq !== null && !state.lost.has(inst.name)) quarantined += 1;
  }
  return { phases, holds, errors: errorCount(state), quarantined };
}
