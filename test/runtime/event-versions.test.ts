/**
 * A log over a version change of an event. No type is past version 1 yet, so a later build stands in: one that calls what we
 * call `outcome` of `operation.ended` so, where "its version 1" called it `result`. Rows, reader and replay are the real ones.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventRow } from '../../src/core/event-shapes.ts';
import { readRow } from '../../src/core/event-shapes.ts';
import { UPGRADES, type Upgrades } from '../../src/core/event-upgrades.ts';
import { EVENT_VERSIONS, type EventType, type StoredEvent } from '../../src/core/events.ts';
import { emptyState } from '../../src/core/evolve.ts';
import { Replay, type Replayed } from '../../src/core/replay.ts';
import { FLEET, Stage } from './stage.ts';

const LATER: Upgrades = {
  'operation.ended': [
    ({ result, ...rest }) => {
      if (typeof result !== 'string') throw new Error('it has no result');
      return { ...rest, outcome: result };
    },
  ],
};

async function history(): Promise<readonly StoredEvent[]> {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b']);
  for (const name of ['a', 'b', 'a']) {
    stage.target.exits(name);
    await stage.pass(20_000);
  }
  return stage.store.read(FLEET, { after: 0, limit: 1_000 });
}

const rowOf = ({ seq, at, v, type, instance, uid, data, by }: StoredEvent): EventRow => ({
  seq,
  at,
  v,
  type,
  instance: instance ?? null,
  uid: uid ?? null,
  data: JSON.stringify(data),
  by: by === undefined ? null : JSON.stringify(by),
});

/** As the build before wrote it. */
function inTheOldShape(event: StoredEvent): EventRow {
  if (event.type !== 'operation.ended') return rowOf(event);
  const { outcome: result, ...rest } = event.data;
  return { ...rowOf(event), data: JSON.stringify({ ...rest, result }) };
}

function read(row: EventRow): StoredEvent {
  const answer = readRow(row, LATER);
  if (answer.kind === 'newer') throw new Error(answer.message);
  return answer.event;
}

function replayed(rows: readonly EventRow[]): Replayed {
  const run = new Replay(emptyState(FLEET));
  for (const row of rows) run.feed(read(row));
  const result = run.result();
  assert.notEqual(result.kind, 'refused');
  return result as Replayed;
}

test('a log that was begun by an older build and gone on with by a later one is decided as it was', async () => {
  const events = await history();
  const ends = events.filter(({ type }) => type === 'operation.ended').map(({ seq }) => seq);
  assert.ok(ends.length >= 5);
  const change = ends[2] ?? 0;
  const rows = events.map((event) =>
    event.seq <= change ? inTheOldShape(event) : { ...rowOf(event), v: event.type === 'operation.ended' ? 2 : event.v },
  );
  const { differences, quarantined, ticks, phases } = replayed(rows);
  assert.deepEqual([differences, quarantined, phases], [[], 0, { RUNNING: 2 }]);
  assert.ok(ticks > 10);
  // Without the step, what the older build wrote means nothing; and what the later one wrote is not guessed at.
  const [old, later] = [rows[(ends[0] ?? 0) - 1], rows[(ends.at(-1) ?? 0) - 1]];
  assert.ok(old !== undefined && later !== undefined);
  assert.equal((readRow(old) as { event: StoredEvent }).event.type, 'event.quarantined');
  assert.deepEqual(readRow(later).kind, 'newer');
});

test('an old row that cannot be brought up is quarantined at its own seq, and its instance is held', async () => {
  const events = await history();
  const broken = events.findIndex(({ type }) => type === 'operation.ended');
  const rows = events.map((event, i) =>
    i === broken ? { ...rowOf(event), data: '{"operation":"x"}' } : inTheOldShape(event),
  );
  const bad = rows[broken];
  assert.ok(bad !== undefined);
  const event = read(bad);
  assert.equal(event.type, 'event.quarantined');
  assert.deepEqual([event.seq, event.uid], [bad.seq, bad.uid]);
  assert.match(JSON.stringify(event.data), /its version 1 cannot be read as version 2: it has no result/);
  assert.equal(replayed(rows).quarantined, 1);
});

test('each type is at the version that its steps lead to', () => {
  for (const type of Object.keys(EVENT_VERSIONS) as EventType[])
    assert.equal(EVENT_VERSIONS[type], 1 + (UPGRADES[type]?.length ?? 0), type);
});
