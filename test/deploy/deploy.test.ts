/** The dashboard and the alert rules: whole, readable, tested by the real `promtool`, and about metrics that there are. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { cli } from '../cli/support/cli.ts';
import { metricsOf, panels, queries, rules, ruleTests, type Panel } from '../support/deploy.ts';
import { readExposition } from '../support/exposition.ts';
import { promtool } from '../support/promtool.ts';
import { Stage } from '../runtime/stage.ts';

const ALERTS = fileURLToPath(new URL('../../deploy/alerts/', import.meta.url));
const RULES = join(ALERTS, 'holdfast.rules.yaml');
const TESTS = join(ALERTS, 'holdfast.test.yaml');

const panel = (title: string): Panel => {
  const found = panels().find((one) => one.title === title);
  assert.ok(found !== undefined, `no panel "${title}"`);
  return found;
};

test('promtool accepts the rules, and their unit tests pass', async (t) => {
  const checked = await promtool(t, ['check', 'rules', RULES]);
  if (checked === null) return;
  assert.equal(checked.code, 0, checked.text);
  const tested = await promtool(t, ['test', 'rules', TESTS]);
  assert.equal(tested?.code, 0, tested?.text);
});

test('the unit tests of the rules notice a rule that is broken', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-rules-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'holdfast.test.yaml'), readFileSync(TESTS));
  for (const [from, to] of [
    ['holdfast_last_tick_age_seconds) > 60', 'holdfast_last_tick_age_seconds) > 600'],
    ['min by (fleet) (holdfast_last_tick', 'max by (fleet) (holdfast_last_tick'],
    ['holdfast_pending_events) > 50', 'holdfast_pending_events) > 49'],
    ['phase="ERROR"', 'phase="FAILED"'],
  ] as const) {
    const text = readFileSync(RULES, 'utf8');
    assert.ok(text.includes(from), from);
    writeFileSync(join(folder, 'holdfast.rules.yaml'), text.replace(from, to));
    const said = await promtool(t, ['test', 'rules', join(folder, 'holdfast.test.yaml')]);
    if (said === null) return;
    assert.notEqual(said.code, 0, `${from} → ${to} goes unnoticed`);
  }
});

test('every rule is tested, says what to do, and names commands that there are', async () => {
  const { out } = await cli(['--help'], { tty: true, columns: 200 });
  for (const { alert, labels, annotations } of rules()) {
    assert.ok(ruleTests().includes(alert), `${alert} has no test`);
    assert.match(labels.severity, /^(critical|warning)$/, alert);
    assert.ok(annotations.summary.length > 20 && annotations.description.length > 60, `${alert} helps nobody`);
    for (const [, command = ''] of annotations.description.matchAll(/\bholdfast ([a-z-]+)/g))
      assert.match(out, new RegExp(`^  ${command}( |$)`, 'm'), `${alert}: holdfast ${command}`);
  }
});

test('rules and dashboard ask only for metrics that are served', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  const told = readExposition(await stage.control.metrics());
  const served = new Set(told.samples.map(({ name }) => name));
  const asked = [...rules().map(({ expr }) => expr), ...queries()];
  assert.ok(asked.length > 40, `${asked.length} queries`);
  for (const expr of asked)
    for (const name of metricsOf(expr)) assert.ok(served.has(name), `${name} is not served: ${expr}`);
});

test('every query of the dashboard is PromQL', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-queries-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'queries.yaml');
  const recorded = queries().map((expr, at) => ({ record: `query:${at}`, expr }));
  writeFileSync(file, stringify({ groups: [{ name: 'queries', rules: recorded }] }));
  const said = await promtool(t, ['check', 'rules', file]);
  if (said !== null) assert.equal(said.code, 0, said.text);
});

test('the dashboard shows what an operator looks for, with the limits of the alerts', () => {
  const red = (title: string): number | null | undefined =>
    panel(title).fieldConfig?.defaults.thresholds?.steps.find(({ color }) => color === 'red')?.value;
  assert.equal(red('Tick wall clock'), 0.5);
  assert.equal(red('Pending events'), 50);
  assert.equal(red('Age of the last tick'), 60);
  assert.ok((red('Invariant violations') ?? 1) < 0.01);
  assert.equal(panel('Actions decided, by type').fieldConfig?.defaults.custom?.stacking?.mode, 'normal');
  for (const title of ['Events drained per tick', 'Effects by what came of them', 'Phases', 'Flaps', 'Heals', 'Holds'])
    assert.ok((panel(title).targets ?? []).length > 0, title);
});

test('no data is shown as such', () => {
  for (const { type, title, description, fieldConfig, targets = [] } of panels()) {
    if (type === 'row') continue;
    assert.equal(fieldConfig?.defaults.noValue, 'no data', title);
    assert.ok((description ?? '').length > 0, `${title} has no description`);
    if (type === 'timeseries') assert.equal(fieldConfig?.defaults.custom?.spanNulls, false, title);
    // The last value of a range would pass for the present one.
    if (type === 'stat')
      assert.ok(
        targets.every(({ instant }) => instant === true),
        title,
      );
    // Whether anybody answers at all is the one question with an answer in that case.
    if (title !== 'Servers that answer') for (const { expr } of targets) assert.doesNotMatch(expr, /vector\(/, title);
  }
});
