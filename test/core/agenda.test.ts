/** Who is to be looked at next: nobody is forgotten, and nothing void piles up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Agenda } from '../../src/core/agenda.ts';
import { budgetRoom } from '../../src/core/gates.ts';
import type { Heap } from '../../src/core/heap.ts';
import { lab } from '../support/fleet.ts';

/** What the agenda holds besides what is in force; nothing outside of it may depend on that. */
function held(agenda: Agenda): number {
  const inside = agenda as unknown as { alarms: Heap<unknown>; lines: ReadonlyMap<string, { queue: Heap<unknown> }> };
  let entries = inside.alarms.size;
  for (const { queue } of inside.lines.values()) entries += queue.size;
  return entries;
}

const DAY_MS = 86_400_000;

test('an instance that changes its alarm with every fact leaves no heap of void ones behind', () => {
  const fleet = lab();
  const uid = fleet.declare('a');
  const agenda = new Agenda();
  for (let i = 0; i < 100_000; i += 1) {
    const wakeAt = i % 2 === 0 ? fleet.now + 30 * DAY_MS : fleet.now + DAY_MS + i;
    agenda.done(fleet.state, [{ uid, wakeAt, waitsFor: null }]);
  }
  assert.ok(held(agenda) < 1_000, `${held(agenda)} entries for one instance`);
  assert.equal(agenda.nextAt, fleet.now + DAY_MS + 99_999);
});

test('an instance that asks for room again and again stands in line once', () => {
  const fleet = lab();
  const uids = ['a', 'b'].map((name) => fleet.declare(name));
  const agenda = new Agenda();
  const waitsFor = { lines: [[budgetRoom('docker', 'run')]], priority: 3 } as const;
  for (let i = 0; i < 100_000; i += 1)
    for (const uid of uids) agenda.done(fleet.state, [{ uid, wakeAt: Number.POSITIVE_INFINITY, waitsFor }]);
  assert.ok(held(agenda) < 1_000, `${held(agenda)} entries for two instances`);
  for (const uid of uids) assert.ok(agenda.waits(uid));
});

test('an alarm is rung for as long as nobody has decided, and not for one that is forgotten', () => {
  const fleet = lab();
  const uid = fleet.declare('a');
  const agenda = new Agenda();
  fleet.state.dirty.clear();
  agenda.done(fleet.state, [{ uid, wakeAt: fleet.now, waitsFor: null }]);
  assert.deepEqual([...agenda.candidates(fleet.state, fleet.now)], [uid]);
  assert.deepEqual([...agenda.candidates(fleet.state, fleet.now)], [uid]);
  agenda.forget(uid);
  assert.equal(agenda.nextAt, Number.POSITIVE_INFINITY);
});
