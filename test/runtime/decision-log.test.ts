/** Holdfast's own log of what it decides: one line per decision, and none where nothing is decided. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyState } from '../../src/core/evolve.ts';
import { LOGIC_VERSION } from '../../src/core/limits.ts';
import { TargetError } from '../../src/ports/target.ts';
import { logDecisions } from '../../src/runtime/decision-log.ts';
import { DECISION_LINES_PER_TICK } from '../../src/runtime/limits.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { BY, FLEET, Stage } from './stage.ts';

interface Line {
  readonly instance?: string;
  readonly rule?: string;
  readonly seq?: number;
  readonly [field: string]: unknown;
}

async function started(names: readonly string[]): Promise<Stage> {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(names);
  return stage;
}

/** Those about instances, since the last time that it was asked. */
function decisions(stage: Stage): readonly (Line & { readonly message: string })[] {
  const lines = stage.lines.splice(0).filter(({ level }) => level === 'info');
  return lines.map(({ fields, message }) => ({ ...(fields as Line), message }));
}

test('each decision is one line with fleet, instance, rule and the seq of its tick', async () => {
  const stage = await started(['a', 'b']);
  decisions(stage);
  const before = stage.fleet.loop.state.seq;
  stage.target.exits('a');
  await stage.pass(5_000);
  const said = decisions(stage);
  assert.deepEqual(
    said.map(({ message }) => message),
    ['decided: start, attempt 2, RUNNING → PENDING', 'a flap: container_stopped', 'decided: PENDING → RUNNING'],
  );
  const events = await stage.store.read(FLEET, { after: before, limit: 100 });
  for (const line of said) {
    assert.deepEqual([line['fleet'], line.instance], [FLEET, 'a']);
    const event = events.find(({ seq }) => seq === line.seq);
    assert.equal(event?.type, line['flap'] === undefined ? 'tick.decided' : 'flap.observed', line.message);
  }
  assert.deepEqual([said[0]?.rule, said[2]?.rule], ['start', 'running']);
  assert.deepEqual([said[0]?.['action'], said[0]?.['from'], said[0]?.['to']], ['start', 'RUNNING', 'PENDING']);
});

test('a hold is said when it begins, when it changes and when it is lifted, with the row that it holds', async () => {
  const stage = await started(['a']);
  await stage.control.hold(FLEET, { reason: 'an upgrade', forMs: null, target: null, instances: null, by: BY });
  decisions(stage);
  stage.target.exits('a');
  await stage.pass(5_000);
  const [held] = decisions(stage);
  assert.deepEqual([held?.rule, held?.['hold'], held?.['detail']], ['start', 'operator-hold', 'an upgrade']);
  assert.equal(held?.message, 'decided: RUNNING → PENDING, held: operator-hold');
  await stage.control.hold(FLEET, { reason: 'another', forMs: null, target: null, instances: ['a'], by: BY });
  await stage.control.release(FLEET, { target: null, instances: null, by: BY });
  await stage.pass(5_000);
  await stage.control.release(FLEET, { target: null, instances: ['a'], by: BY });
  await stage.pass(5_000);
  const lifted = decisions(stage).filter((line) => line['hold'] !== undefined);
  assert.equal(lifted.at(-1)?.['hold'], null);
  assert.ok(
    lifted.every(({ rule }) => rule === 'start'),
    JSON.stringify(lifted),
  );
});

test('a fleet that decides nothing says nothing, however often it is looked at', async () => {
  const stage = await started(['a', 'b', 'c']);
  await stage.pass(60_000);
  decisions(stage);
  const looks = stage.target.lists;
  await stage.pass(10 * 60_000);
  assert.ok(stage.target.lists > looks + 100);
  assert.deepEqual(stage.lines, []);
});

test('what ends badly is told with its words', async () => {
  const stage = await started(['a']);
  decisions(stage);
  stage.target.before = () =>
    Promise.reject(
      new TargetError({ class: 'transient', fault: 'instance', code: 'no-room', message: 'the disk is full' }),
    );
  stage.target.exits('a');
  await stage.pass(500);
  const told = stage.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields as Line);
  assert.deepEqual([told[0]?.instance, told[0]?.['code'], told[0]?.['error']], ['a', 'no-room', 'the disk is full']);
});

test('a tick about very many writes a bounded number of lines, and says how many more there were', () => {
  const said: { readonly fields: object; readonly message: string }[] = [];
  const info = (fields: object, message: string): void => void said.push({ fields, message });
  const count = DECISION_LINES_PER_TICK + 250;
  const transitions = Array.from({ length: count }, (_, at) => ({
    instance: `n-${at}`,
    uid: `u-${at}`,
    from: 'RUNNING' as const,
    to: 'UNKNOWN' as const,
    rule: 'unseen',
  }));
  const data = { now: 1, logic: LOGIC_VERSION, actions: [], transitions, holds: [] };
  const tick = { type: 'tick.decided' as const, seq: 7, at: 1, v: 1, data };
  logDecisions({ ...silentLog, level: 'info', info }, emptyState(FLEET), [tick]);
  assert.equal(said.length, DECISION_LINES_PER_TICK + 1);
  assert.deepEqual(said.at(-1)?.fields, { fleet: FLEET, seq: 7, more: 250 });
});
