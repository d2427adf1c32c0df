/** The files of `deploy/`, as their tests read them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../deploy/${path}`, import.meta.url)), 'utf8');

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

export interface Panel {
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly fieldConfig?: {
    readonly defaults: {
      readonly noValue?: string;
      readonly thresholds?: { readonly steps: readonly { readonly value: number | null; readonly color: string }[] };
      readonly custom?: { readonly spanNulls?: boolean; readonly stacking?: { readonly mode: string } };
    };
  };
  readonly targets?: readonly { readonly expr: string; readonly instant?: boolean }[];
}

export const rules = (): readonly Rule[] =>
  (parse(read('alerts/holdfast.rules.yaml')) as { groups: readonly { rules: readonly Rule[] }[] }).groups.flatMap(
    (group) => group.rules,
  );

export const ruleTests = (): string => read('alerts/holdfast.test.yaml');

export const panels = (): readonly Panel[] =>
  (JSON.parse(read('grafana/holdfast.json')) as { panels: readonly Panel[] }).panels;

/** What the panels ask, with the variables of the dashboard filled in. */
export const queries = (): readonly string[] =>
  panels()
    .flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
    .map((expr) => expr.replaceAll('$__rate_interval', '1m').replaceAll('$fleet', '.*'));

export const metricsOf = (expr: string): readonly string[] => expr.match(/\bholdfast_\w+/g) ?? [];
