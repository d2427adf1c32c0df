/**
 * Counts what the loop does, by real outcomes (L42). Label sets are bounded: by fleet, never by instance. Everything is
 * zero-initialised, so that "no data" means that nobody answers.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { PHASES, type ActionType, type FlapKind, type HoldReason, type OperationKind } from '../core/model.ts';
import type { Fleet } from './fleet.ts';
import type { TickReport } from './loop.ts';
import type { Runtime } from './runtime.ts';
import type { Targets } from './targets.ts';

const OPERATIONS: readonly OperationKind[] = [
  'provision', 'start', 'stop', 'sleep', 'restart', 'update', 'destroy',
  'apply-config', 'persist-config', 'install-plugin', 'uninstall-plugin', 'probe',
]; // prettier-ignore
const MARKS: readonly ActionType[] = [
  'abort',
  'abandon',
  'forget',
  'forgive',
  'rollout-proved',
  'rollout-failed',
  'rollout-left',
];
const OUTCOMES = ['attempted', 'succeeded', 'failed'] as const;
const FLAPS: readonly FlapKind[] = [
  'process_exited',
  'container_stopped',
  'container_missing',
  'instance_terminated',
  'instance_stopped',
];
const HOLDS: readonly HoldReason[] = [
  'unsynced', 'target-stale', 'target-refused', 'quarantined', 'conflict', 'operator-hold', 'breaker', 'blast-radius',
  'backoff', 'gave-up', 'rollout', 'rollout-failed', 'budget', 'busy', 'predecessor',
]; // prettier-ignore
const INVARIANTS = 13;
const MAX_IN_FLIGHT = 10_000;

const isOperation = (type: ActionType): type is OperationKind => (OPERATIONS as readonly ActionType[]).includes(type);

export class Metrics {
  private readonly registry = new Registry();
  private readonly known = new Set<string>();
  /** Kinds of the operations in flight, by id. Those of an owner before us may never be told of: bounded, the oldest goes. */
  private readonly inFlight = new Map<string, OperationKind>();
  private readonly drained = this.gauge('holdfast_tick_events_drained', 'Events drained by the last tick.', ['fleet']);
  private readonly actions = this.counter('holdfast_actions_total', 'Actions decided.', ['fleet', 'type']);
  private readonly effects = this.counter('holdfast_effects_total', 'Effects by real outcome.', [
    'fleet',
    'type',
    'outcome',
  ]);
  private readonly violations = this.counter('holdfast_invariant_violations_total', 'Invariants found broken.', [
    'fleet',
    'invariant',
  ]);
  private readonly flaps = this.counter('holdfast_flaps_total', 'Stops and disappearances nobody asked for.', [
    'fleet',
    'kind',
  ]);
  private readonly duration = new Histogram({
    name: 'holdfast_tick_duration_seconds',
    help: 'Wall clock of a tick.',
    labelNames: ['fleet'],
    buckets: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
    registers: [this.registry],
  });
  private readonly lastTick = this.gauge(
    'holdfast_last_tick_timestamp_seconds',
    'When the last tick succeeded (wall clock).',
    ['fleet'],
  );
  private readonly pending = this.gauge('holdfast_pending_events', 'Facts that are not in the log yet.', ['fleet']);
  private readonly instances = this.gauge('holdfast_instances', 'Instances by phase.', ['fleet', 'phase']);
  private readonly holds = this.gauge('holdfast_holds', 'Instances by what holds them.', ['fleet', 'reason']);
  private readonly head = this.gauge('holdfast_log_head', 'Last event of the log.', ['fleet']);
  private readonly heartbeats = this.counter('holdfast_heartbeats_total', 'Heartbeats heard.', ['fleet']);
  private readonly observations = this.counter(
    'holdfast_observations_total',
    'Looks taken, and those that became facts.',
    ['target', 'written'],
  );

  private gauge(name: string, help: string, labelNames: string[]): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  private counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  /** One committed tick. Whatever of an effect is not a success is a failure. */
  ticked({ name: fleet }: Fleet, report: TickReport): void {
    this.zero(fleet);
    this.drained.set({ fleet }, report.drained);
    this.duration.observe({ fleet }, report.durationMs / 1000);
    this.lastTick.set({ fleet }, Date.now() / 1000);
    for (const { invariant } of report.violations) this.violations.inc({ fleet, invariant: String(invariant) });
    for (const event of report.events) {
      switch (event.type) {
        case 'tick.decided':
          for (const { type, operation } of event.data.actions) {
            this.actions.inc({ fleet, type });
            if (operation === undefined) continue;
            if (isOperation(type)) this.begun(fleet, operation, type);
            else if (type === 'abandon') this.ended(fleet, operation, 'failed');
          }
          break;
        case 'operation.ended':
          this.ended(fleet, event.data.operation, event.data.outcome === 'succeeded' ? 'succeeded' : 'failed');
          break;
        case 'flap.observed':
          this.flaps.inc({ fleet, kind: event.data.kind });
          break;
        default:
      }
    }
  }

  private begun(fleet: string, operation: string, type: OperationKind): void {
    this.effects.inc({ fleet, type, outcome: 'attempted' });
    this.inFlight.set(operation, type);
    if (this.inFlight.size <= MAX_IN_FLIGHT) return;
    for (const oldest of this.inFlight.keys()) {
      this.inFlight.delete(oldest);
      return;
    }
  }

  /** Said of each operation once: a late result of an abandoned one counts no more. */
  private ended(fleet: string, operation: string, outcome: 'succeeded' | 'failed'): void {
    const type = this.inFlight.get(operation);
    if (type === undefined) return;
    this.inFlight.delete(operation);
    this.effects.inc({ fleet, type, outcome });
  }

  /** The fleet is no more: its last figures must not stand for ever, nor wake anybody. */
  dropped(fleet: string): void {
    if (!this.known.delete(fleet)) return;
    for (const type of [...OPERATIONS, ...MARKS]) this.actions.remove({ fleet, type });
    for (const type of OPERATIONS) for (const outcome of OUTCOMES) this.effects.remove({ fleet, type, outcome });
    for (let invariant = 1; invariant <= INVARIANTS; invariant += 1)
      this.violations.remove({ fleet, invariant: String(invariant) });
    for (const kind of FLAPS) this.flaps.remove({ fleet, kind });
    for (const reason of HOLDS) this.holds.remove({ fleet, reason });
    for (const phase of PHASES) this.instances.remove({ fleet, phase });
    for (const one of [this.drained, this.lastTick, this.pending, this.head]) one.remove({ fleet });
    this.duration.remove({ fleet });
    this.heartbeats.remove({ fleet });
  }

  async text(runtime: Runtime, targets: Targets): Promise<string> {
    for (const { name: fleet, loop, liveness } of runtime.fleets()) {
      this.zero(fleet);
      this.heartbeats.inc({ fleet }, liveness?.takeBeats() ?? 0);
      this.pending.set({ fleet }, loop.pendingFacts);
      this.head.set({ fleet }, loop.state.seq);
      const phases = new Map<string, number>();
      const holds = new Map<string, number>();
      for (const { phase, hold } of loop.state.instances.values()) {
        phases.set(phase, (phases.get(phase) ?? 0) + 1);
        if (hold !== null) holds.set(hold.reason, (holds.get(hold.reason) ?? 0) + 1);
      }
      for (const phase of PHASES) this.instances.set({ fleet, phase }, phases.get(phase) ?? 0);
      for (const reason of HOLDS) this.holds.set({ fleet, reason }, holds.get(reason) ?? 0);
    }
    for (const observer of targets.all()) {
      const { observed, written } = observer.takeCounts();
      this.observations.inc({ target: observer.name, written: 'yes' }, written);
      this.observations.inc({ target: observer.name, written: 'no' }, Math.max(0, observed - written));
    }
    return this.registry.metrics();
  }

  private zero(fleet: string): void {
    if (this.known.has(fleet)) return;
    this.known.add(fleet);
    for (const type of [...OPERATIONS, ...MARKS]) this.actions.inc({ fleet, type }, 0);
    for (const type of OPERATIONS) for (const outcome of OUTCOMES) this.effects.inc({ fleet, type, outcome }, 0);
    for (let invariant = 1; invariant <= INVARIANTS; invariant += 1)
      this.violations.inc({ fleet, invariant: String(invariant) }, 0);
    for (const kind of FLAPS) this.flaps.inc({ fleet, kind }, 0);
    for (const reason of HOLDS) this.holds.set({ fleet, reason }, 0);
  }
}
