/**
 * The metrics that Holdfast serves: names, help, labels. What they count is said in `runtime/metrics`.
 *
 *  1. Label sets are bounded: the fleet, the target, and the values listed in `label-values`; never an instance, unless the
 *     server file asks for it.
 *  2. Whatever belongs to a fleet is there at zero as soon as the fleet is known, so that "no data" means that nobody answers,
 *     and goes with the fleet.
 *  3. Gauges are told anew for each scrape; only counters and histograms remember.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { VALUES } from './label-values.ts';

type Labels = { readonly [label: string]: string };

export class Families {
  readonly registry = new Registry();
  private readonly counters: { readonly counter: Counter; readonly sets: readonly Labels[] }[] = [];
  private readonly gauges: Gauge[] = [];
  private readonly histograms: Histogram[] = [];

  // ── what happens ──────────────────────────────────────────────────────────────────────────────────────────────────

  readonly eventsDrained = this.counter('holdfast_events_drained_total', 'Facts drained by ticks.');
  readonly actions = this.counter('holdfast_actions_total', 'Actions decided.', { type: VALUES.action });
  readonly effects = this.counter('holdfast_effects_total', 'Effects by what really came of them.', {
    type: VALUES.operation,
    outcome: VALUES.outcome,
  });
  readonly violations = this.counter(
    'holdfast_invariant_violations_total',
    'Invariants found broken after a tick; each is a fault of Holdfast.',
    { invariant: VALUES.invariant },
  );
  readonly flaps = this.counter('holdfast_flaps_total', 'Stops and disappearances that nobody asked for.', {
    kind: VALUES.flap,
  });
  readonly heartbeats = this.counter('holdfast_heartbeats_total', 'Heartbeats heard.');
  readonly observations = this.counter(
    'holdfast_observations_total',
    'What targets answered about one instance each, by whether it became a fact in the log.',
    { written: VALUES.written },
  );
  readonly tickSeconds = this.histogram(
    'holdfast_tick_duration_seconds',
    'Wall clock of a tick, its writes to the store included.',
    [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5],
  );
  readonly healSeconds = this.histogram(
    'holdfast_heal_seconds',
    'From the moment an unasked loss was seen to the proof that all is as declared again.',
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800],
  );

  // ── how it stands ─────────────────────────────────────────────────────────────────────────────────────────────────

  readonly drained = this.gauge('holdfast_tick_events_drained', 'Facts drained by the last tick.');
  readonly lastTick = this.gauge(
    'holdfast_last_tick_timestamp_seconds',
    'When the last tick succeeded, by the wall clock; 0 before the first.',
  );
  readonly lastTickAge = this.gauge(
    'holdfast_last_tick_age_seconds',
    'Since the last tick that succeeded, by the monotonic clock; before the first, since the fleet is known here.',
  );
  readonly owned = this.gauge('holdfast_fleet_owned', '1 while this process owns the fleet and its loop runs.');
  readonly pending = this.gauge('holdfast_pending_events', 'Facts that are not in the log yet.');
  readonly head = this.gauge('holdfast_log_head', 'Last event of the log.');
  readonly instances = this.gauge('holdfast_instances', 'Instances by phase.', ['phase']);
  readonly errors = this.gauge(
    'holdfast_instances_with_error',
    'Instances with an unresolved lastError, in any phase.',
  );
  readonly holds = this.gauge('holdfast_holds', 'Instances by what holds them.', ['reason']);
  readonly quarantined = this.gauge(
    'holdfast_quarantined',
    'Instances concerned by a row of the log that cannot be read, until somebody has looked.',
  );
  readonly orphans = this.gauge('holdfast_orphans', 'Resources of this deployment that belong to no living instance.');
  readonly trouble = this.gauge('holdfast_target_trouble', '1 while that keeps the target from being acted on.', [
    'target',
    'trouble',
  ]);
  readonly broken = this.gauge('holdfast_invariants_broken', 'Violations that stand now.', ['invariant']);
  readonly instancePhase = this.gauge(
    'holdfast_instance_phase',
    '1 for the phase that the instance is in. Only where the server file asks for it.',
    ['instance', 'phase'],
  );
  readonly instanceCrashes = this.gauge(
    'holdfast_instance_crashes',
    'Crashes of the instance since it was declared. Only where the server file asks for it.',
    ['instance'],
  );
  readonly instancesLeftOut = this.gauge(
    'holdfast_instance_metrics_left_out',
    'Instances beyond the bound of metrics per instance. Only where the server file asks for them.',
  );
  /** Of the process, not of a fleet. */
  readonly lag = this.gauge(
    'holdfast_event_loop_lag_seconds',
    'How late the event loop was within the last minute.',
    ['stat'],
    false,
  );
  readonly build = this.gauge('holdfast_build_info', 'Always 1; the version is in the label.', ['version'], false);

  private counter(name: string, help: string, labels: { readonly [label: string]: readonly string[] } = {}): Counter {
    const counter = new Counter({
      name,
      help,
      labelNames: ['fleet', ...Object.keys(labels)],
      registers: [this.registry],
    });
    this.counters.push({ counter, sets: product(labels) });
    return counter;
  }

  private gauge(name: string, help: string, labels: readonly string[] = [], ofFleet = true): Gauge {
    const labelNames = [...(ofFleet ? ['fleet'] : []), ...labels];
    const gauge = new Gauge({ name, help, labelNames, registers: [this.registry] });
    this.gauges.push(gauge);
    return gauge;
  }

  private histogram(name: string, help: string, buckets: number[]): Histogram {
    const histogram = new Histogram({ name, help, labelNames: ['fleet'], buckets, registers: [this.registry] });
    this.histograms.push(histogram);
    return histogram;
  }

  /** Everything that is counted of this fleet is there, at zero (2). */
  zero(fleet: string): void {
    for (const { counter, sets } of this.counters) for (const set of sets) counter.inc({ fleet, ...set }, 0);
    for (const histogram of this.histograms) histogram.zero({ fleet });
  }

  /** Nothing of it is left: its last figures must not stand for ever, nor wake anybody. */
  drop(fleet: string): void {
    for (const { counter, sets } of this.counters) for (const set of sets) counter.remove({ fleet, ...set });
    for (const histogram of this.histograms) histogram.remove({ fleet });
  }

  /** How it stands is told anew from here (3). */
  beginScrape(): void {
    for (const gauge of this.gauges) gauge.reset();
  }
}

/** Every combination of the values: one set where there is no label. */
function product(labels: { readonly [label: string]: readonly string[] }): readonly Labels[] {
  let sets: readonly Labels[] = [{}];
  for (const [label, values] of Object.entries(labels))
    sets = sets.flatMap((set) => values.map((value) => ({ ...set, [label]: value })));
  return sets;
}
