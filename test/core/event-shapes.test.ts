/** The reader of stored rows: what passes, what is quarantined, what stops the start. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { eventProblem, readRow } from '../../src/core/event-shapes.ts';
import type { EventRow } from '../../src/core/event-shapes.ts';
import { EVENT_VERSIONS } from '../../src/core/events.ts';
import type { NewEvent, StoredEvent } from '../../src/core/events.ts';
import { PHASES, type Phase } from '../../src/core/model.ts';
import { SAMPLE_EVENTS } from '../support/sample-events.ts';

function rowOf(event: NewEvent): EventRow {
  return {
    seq: 7,
    at: 70,
    type: event.type,
    v: 1,
    instance: event.instance ?? null,
    uid: event.uid ?? null,
    data: JSON.stringify(event.data),
    by: event.by === undefined ? null : JSON.stringify(event.by),
  };
}

function eventOf(row: EventRow): StoredEvent {
  const read = readRow(row);
  assert.equal(read.kind, 'event');
  return read.event;
}

function assertQuarantined(row: EventRow, about: RegExp): void {
  const event = eventOf(row);
  assert.equal(event.type, 'event.quarantined', `${row.type} ${String(row.data)} passed`);
  assert.equal(event.data.was, row.type);
  assert.match(event.data.message, about);
  const { seq, at, instance = null, uid = null } = event;
  assert.deepEqual({ seq, at, instance, uid }, { seq: row.seq, at: row.at, instance: row.instance, uid: row.uid });
}

const WRONG = [[true]];

describe('reading a stored row', () => {
  test('L17 every phase that can be decided can be stored and read again, and one that is none is refused aloud', () => {
    const moved = (to: string): EventRow =>
      rowOf({
        type: 'tick.decided',
        data: {
          now: 1,
          logic: 1,
          actions: [],
          transitions: [{ instance: 'a', uid: 'u', from: 'PENDING', to: to as Phase, rule: 'start' }],
          holds: [],
        },
      });
    for (const phase of PHASES) assert.equal(eventOf(moved(phase)).type, 'tick.decided', phase);
    assertQuarantined(moved('HIBERNATING'), /transitions/);
    for (const type of Object.keys(EVENT_VERSIONS))
      assert.ok(
        SAMPLE_EVENTS.some((event) => event.type === type),
        type,
      );
  });

  test('every event type has a sample, and every sample comes back as it went in', () => {
    assert.deepEqual(new Set(SAMPLE_EVENTS.map((e) => e.type)), new Set(Object.keys(EVENT_VERSIONS)));
    for (const sample of SAMPLE_EVENTS) {
      assert.deepEqual(eventOf(rowOf(sample)), { seq: 7, at: 70, v: 1, ...sample });
      assert.equal(eventProblem(sample.type, 1, sample.data), null);
    }
  });

  test('a field of a wrong type is noticed, whichever field of whichever type', () => {
    for (const sample of SAMPLE_EVENTS) {
      for (const key of Object.keys(sample.data)) {
        if (key === 'manifest') continue; // any JSON
        const data = { ...sample.data, [key]: WRONG };
        assertQuarantined({ ...rowOf(sample), data: JSON.stringify(data) }, /does not hold/);
        assert.notEqual(eventProblem(sample.type, 1, data), null);
      }
    }
  });

  test('a required field that is missing is noticed', () => {
    const optional = new Set(['eventful', 'leaseUntil', 'error', 'saw', 'config', 'plugin', 'probe']);
    for (const sample of SAMPLE_EVENTS) {
      for (const key of Object.keys(sample.data)) {
        if (optional.has(key) && sample.type !== 'policy.changed') continue;
        if (key === 'ref' && sample.type === 'plugin.ref-moved') continue;
        const data: { [key: string]: unknown } = { ...sample.data };
        delete data[key];
        assertQuarantined({ ...rowOf(sample), data: JSON.stringify(data) }, /does not hold/);
      }
    }
  });

  test('what is not an object, or not JSON, is quarantined', () => {
    for (const data of ['', '{', 'null', '[]', '7', '"text"', '{"hash":"a"}x']) {
      assertQuarantined(
        { ...rowOf({ type: 'config.observed', instance: 'a', uid: 'u', data: { hash: 'c' } }), data },
        /./,
      );
    }
  });

  test('an event about an instance that names none is quarantined', () => {
    assertQuarantined(rowOf({ type: 'config.observed', data: { hash: 'c' } }), /names no instance/);
  });

  test('a damaged "by" is quarantined', () => {
    const row = rowOf({ type: 'target.cleared', data: { target: 't' } });
    assertQuarantined({ ...row, by: '{' }, /not JSON/);
    assertQuarantined({ ...row, by: '{"token":1}' }, /"by"/);
  });

  test('a newer version or an unknown type is refused, never guessed', () => {
    const row = rowOf({ type: 'target.cleared', data: { target: 't' } });
    assert.deepEqual(readRow({ ...row, v: 2 }), {
      kind: 'newer',
      message: 'event 7 is "target.cleared", version 2, where this build knows 1: a newer Holdfast wrote it',
    });
    assert.equal(readRow({ ...row, type: 'agent.sang' }).kind, 'newer');
    assert.equal(readRow({ ...row, type: 'constructor' }).kind, 'newer');
  });

  test('a version that never was is quarantined', () => {
    assertQuarantined({ ...rowOf({ type: 'target.cleared', data: { target: 't' } }), v: 0 }, /version 0/);
  });

  test('data that a store already parsed is taken as it is', () => {
    const sample: NewEvent = { type: 'target.cleared', data: { target: 't' } };
    assert.deepEqual(eventOf({ ...rowOf(sample), data: sample.data }), { seq: 7, at: 70, v: 1, ...sample });
  });
});
