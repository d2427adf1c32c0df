/**
 * The Grafana dashboard, made with Grafana's own typed SDK and checked in as `deploy/grafana/holdfast.json` (`npm run docs`).
 *
 *  1. One row of "is anybody there, and well", then the loop, what it does, the agents, the surroundings.
 *  2. No data is shown as no data: no query fills a gap with zero, lines break where nothing was scraped, panels say it.
 *  3. Everything is by fleet, and the fleets are chosen at the top.
 */
import {
  AxisPlacement,
  BigValueColorMode,
  GraphDrawStyle,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  StackingConfigBuilder,
  StackingMode,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TimeSeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
const NO_DATA = 'no data';
const FLEET = 'fleet=~"$fleet"';
const GREEN = 'green';
const RED = 'red';
const JUST_ABOVE_ZERO = 0.001;

/** A line of a panel: what is asked, and how it is called. */
interface Line {
  readonly expr: string;
  readonly legend: string;
}

interface Chart {
  readonly title: string;
  readonly description: string;
  readonly lines: readonly Line[];
  readonly unit?: string;
  readonly stacked?: boolean;
  /** Above it, the chart turns red. */
  readonly limit?: number;
  readonly wide?: boolean;
}

const query = ({ expr, legend }: Line, at: number): DataqueryBuilder =>
  new DataqueryBuilder()
    .datasource(DATASOURCE)
    .expr(expr)
    .legendFormat(legend)
    .range()
    .refId(String.fromCodePoint(65 + at));

const thresholds = (limit: number): ThresholdsConfigBuilder =>
  new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([
    { value: null, color: GREEN },
    // Grafana colours from the value on, and none at all is well.
    { value: limit === 0 ? JUST_ABOVE_ZERO : limit, color: RED },
  ]);

function chart({ title, description, lines, unit, stacked, limit, wide }: Chart): TimeSeriesBuilder {
  const panel = new TimeSeriesBuilder()
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .span(wide === true ? 24 : 12)
    .height(8)
    .noValue(NO_DATA)
    .min(0)
    .drawStyle(GraphDrawStyle.Line)
    .fillOpacity(stacked === true ? 40 : 8)
    .lineWidth(1)
    .spanNulls(false)
    .axisPlacement(AxisPlacement.Auto)
    .legend(
      new VizLegendOptionsBuilder()
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom)
        .showLegend(true)
        .calcs([]),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending));
  if (unit !== undefined) panel.unit(unit);
  if (stacked === true) panel.stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'));
  if (limit !== undefined) {
    panel
      .thresholds(thresholds(limit))
      .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.LineAndArea));
  }
  for (const [at, line] of lines.entries()) panel.withTarget(query(line, at));
  return panel;
}

interface Figure {
  readonly title: string;
  readonly description: string;
  readonly expr: string;
  readonly unit?: string;
  /** From there on it is red; with `good: 'above'`, below it. */
  readonly limit: number;
  readonly good?: 'above';
}

function figure({ title, description, expr, unit, limit, good }: Figure): StatBuilder {
  const steps =
    good === 'above'
      ? new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([
          { value: null, color: RED },
          { value: limit, color: GREEN },
        ])
      : thresholds(limit);
  const panel = new StatBuilder()
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .span(4)
    .height(4)
    .noValue(NO_DATA)
    .colorMode(BigValueColorMode.Background)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']).values(false).fields(''))
    .thresholds(steps)
    // Asked as of now: the last value of a range would show what was long ago as if it still were (2).
    .withTarget(query({ expr, legend: '' }, 0).instant());
  if (unit !== undefined) panel.unit(unit);
  return panel;
}

const rate = (name: string, by: string, matchers = FLEET): string =>
  `sum by (${by}) (rate(${name}{${matchers}}[$__rate_interval]))`;

/** Of events that are few: how many in the interval that a point stands for. */
const count = (name: string, by: string, matchers = FLEET): string =>
  `sum by (${by}) (increase(${name}{${matchers}}[$__rate_interval]))`;

const quantile = (share: number, name: string): string =>
  `histogram_quantile(${share}, sum by (fleet, le) (rate(${name}_bucket{${FLEET}}[$__rate_interval])))`;

/** With several servers on one store only the owner of a fleet knows: the others report it as not theirs. */
const FIGURES: readonly Figure[] = [
  {
    title: 'Servers that answer',
    description: 'Scraped just now. With none, everything below is what was, or no data.',
    expr: 'count(holdfast_build_info) or vector(0)',
    limit: 1,
    good: 'above',
  },
  {
    title: 'Last tick',
    description:
      'Age of the last good tick of the fleet that is worst off. It ticks every 10 s even when nothing happens.',
    expr: `max(min by (fleet) (holdfast_last_tick_age_seconds{${FLEET}}))`,
    unit: 's',
    limit: 60,
  },
  {
    title: 'Invariant violations, 24 h',
    description: 'Each is a fault of Holdfast; the log, Sentry and `holdfast history` name it.',
    expr: `sum(increase(holdfast_invariant_violations_total{${FLEET}}[24h]))`,
    limit: 0,
  },
  {
    title: 'In ERROR',
    description: 'Instances that gave up, or cannot go on without somebody. `holdfast get --phase ERROR`',
    expr: `sum(max by (fleet) (holdfast_instances{${FLEET}, phase="ERROR"}))`,
    limit: 0,
  },
  {
    title: 'Targets in trouble',
    description: 'Stale, refused, under their breaker or held by the blast radius.',
    expr: `sum(max by (fleet, target, trouble) (holdfast_target_trouble{${FLEET}, trouble!="unsynced"}))`,
    limit: 0,
  },
  {
    title: 'Orphans',
    description: 'Resources of this deployment that belong to nobody. `holdfast orphans`',
    expr: `sum(max by (fleet) (holdfast_orphans{${FLEET}}))`,
    limit: 0,
  },
];

const CHARTS: readonly { readonly row: string; readonly charts: readonly Chart[] }[] = [
  {
    row: 'The loop',
    charts: [
      {
        title: 'Events drained per tick',
        description: 'Facts folded by each tick, on average.',
        lines: [
          {
            expr: `${rate('holdfast_events_drained_total', 'fleet')} / ${rate('holdfast_tick_duration_seconds_count', 'fleet')}`,
            legend: '{{fleet}}',
          },
          { expr: `max by (fleet) (holdfast_tick_events_drained{${FLEET}})`, legend: '{{fleet}}, last tick' },
        ],
      },
      {
        title: 'Tick wall clock',
        description: 'With its writes to the store. Above 500 ms something is wrong with the store or the machine.',
        unit: 's',
        limit: 0.5,
        lines: [
          { expr: quantile(0.5, 'holdfast_tick_duration_seconds'), legend: '{{fleet}}, half' },
          { expr: quantile(0.99, 'holdfast_tick_duration_seconds'), legend: '{{fleet}}, 99 of 100' },
        ],
      },
      {
        title: 'Pending events',
        description: 'Facts that are not in the log yet. More than 50 for long: the store is slow, or does not answer.',
        limit: 50,
        lines: [{ expr: `max by (fleet) (holdfast_pending_events{${FLEET}})`, legend: '{{fleet}}' }],
      },
      {
        title: 'Age of the last tick',
        description: 'Above 60 s the loop is wedged; `/readyz` says why.',
        unit: 's',
        limit: 60,
        lines: [{ expr: `min by (fleet) (holdfast_last_tick_age_seconds{${FLEET}})`, legend: '{{fleet}}' }],
      },
      {
        title: 'Invariant violations',
        description: 'Any is a fault of Holdfast.',
        limit: 0,
        lines: [
          {
            expr: count('holdfast_invariant_violations_total', 'fleet, invariant'),
            legend: '{{fleet}}, invariant {{invariant}}',
          },
        ],
      },
      {
        title: 'Event loop lag',
        description: 'How late the process itself was, within the last minute.',
        unit: 's',
        limit: 10,
        lines: [
          { expr: 'max by (instance, stat) (holdfast_event_loop_lag_seconds)', legend: '{{instance}}, {{stat}}' },
        ],
      },
    ],
  },
  {
    row: 'What it does',
    charts: [
      {
        title: 'Actions decided, by type',
        description: 'Per second. What is decided again and again, while no effect succeeds, is a storm.',
        stacked: true,
        unit: 'ops',
        lines: [{ expr: rate('holdfast_actions_total', 'fleet, type'), legend: '{{fleet}}, {{type}}' }],
      },
      {
        title: 'Effects by what came of them',
        description: 'Attempted is succeeded and failed together, less what is in flight.',
        unit: 'ops',
        lines: [{ expr: rate('holdfast_effects_total', 'fleet, outcome'), legend: '{{fleet}}, {{outcome}}' }],
      },
      {
        title: 'Failed effects, by type',
        description: 'Reported done without effect, timed out, called off and given up count as failed.',
        stacked: true,
        lines: [
          {
            expr: count('holdfast_effects_total', 'fleet, type', `${FLEET}, outcome="failed"`),
            legend: '{{fleet}}, {{type}}',
          },
        ],
      },
      {
        title: 'Holds',
        description: 'Instances by what keeps them from being acted on. `holdfast why NAME` says what lifts it.',
        stacked: true,
        lines: [{ expr: `max by (fleet, reason) (holdfast_holds{${FLEET}})`, legend: '{{fleet}}, {{reason}}' }],
      },
    ],
  },
  {
    row: 'The agents',
    charts: [
      {
        title: 'Phases',
        description: 'Instances by phase.',
        stacked: true,
        wide: true,
        lines: [{ expr: `max by (fleet, phase) (holdfast_instances{${FLEET}})`, legend: '{{fleet}}, {{phase}}' }],
      },
      {
        title: 'Flaps',
        description: 'Stops and disappearances that nobody asked for.',
        lines: [{ expr: count('holdfast_flaps_total', 'fleet, kind'), legend: '{{fleet}}, {{kind}}' }],
      },
      {
        title: 'Heals',
        description: 'From the loss that was seen to the proof that all is as declared again.',
        unit: 's',
        lines: [
          { expr: quantile(0.5, 'holdfast_heal_seconds'), legend: '{{fleet}}, half' },
          { expr: quantile(0.95, 'holdfast_heal_seconds'), legend: '{{fleet}}, 95 of 100' },
        ],
      },
      {
        title: 'Unresolved errors',
        description: 'Instances with a lastError, in whatever phase.',
        lines: [{ expr: `max by (fleet) (holdfast_instances_with_error{${FLEET}})`, legend: '{{fleet}}' }],
      },
      {
        title: 'Heartbeats',
        description: 'Per second.',
        unit: 'ops',
        lines: [{ expr: rate('holdfast_heartbeats_total', 'fleet'), legend: '{{fleet}}' }],
      },
    ],
  },
  {
    row: 'The surroundings',
    charts: [
      {
        title: 'Targets in trouble',
        description: 'Nothing is done there while it lasts.',
        lines: [
          {
            expr: `max by (fleet, target, trouble) (holdfast_target_trouble{${FLEET}})`,
            legend: '{{fleet}}, {{target}} {{trouble}}',
          },
        ],
      },
      {
        title: 'Observations',
        description: 'What targets answered, and what of it became facts. A steady fleet writes nothing.',
        unit: 'ops',
        lines: [
          { expr: rate('holdfast_observations_total', 'fleet, written'), legend: '{{fleet}}, written: {{written}}' },
        ],
      },
      {
        title: 'Orphans',
        description: 'Removed only on your word: `holdfast orphans prune`.',
        limit: 0,
        lines: [{ expr: `max by (fleet) (holdfast_orphans{${FLEET}})`, legend: '{{fleet}}' }],
      },
      {
        title: 'Log',
        description: 'Events written per second.',
        unit: 'ops',
        lines: [{ expr: `max by (fleet) (rate(holdfast_log_head{${FLEET}}[$__rate_interval]))`, legend: '{{fleet}}' }],
      },
    ],
  },
];

export function dashboardJson(): string {
  // Its successor (schema v2) is read by Grafana 12 and newer alone; this one by every Grafana that there is.
  // oxlint-disable-next-line typescript/no-deprecated
  const dashboard = new DashboardBuilder('Holdfast')
    .uid('holdfast')
    .description('The fleets of a Holdfast, and the loop that keeps them.')
    .tags(['holdfast'])
    .refresh('30s')
    .time({ from: 'now-6h', to: 'now' })
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(new DatasourceVariableBuilder('datasource').label('Data source').type('prometheus'))
    .withVariable(
      new QueryVariableBuilder('fleet')
        .label('Fleet')
        .datasource(DATASOURCE)
        .query('label_values(holdfast_log_head, fleet)')
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .sort(VariableSort.AlphabeticalAsc)
        .multi(true)
        .includeAll(true)
        .allValue('.*'),
    );
  for (const one of FIGURES) dashboard.withPanel(figure(one));
  for (const { row, charts } of CHARTS) {
    dashboard.withRow(new RowBuilder(row));
    for (const one of charts) dashboard.withPanel(chart(one));
  }
  return `${JSON.stringify(dashboard.build(), null, 2)}\n`;
}
