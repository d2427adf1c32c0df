/** An exported log: nothing private in it, and all that decisions rest on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { StoredEvent } from '../../src/core/events.ts';
import { emptyState, evolve } from '../../src/core/evolve.ts';
import { LogFileError, logHead, logLine, readLogFile } from '../../src/core/log-file.ts';
import type { FleetState } from '../../src/core/model.ts';
import { replay } from '../../src/core/replay.ts';
import { thaw } from '../../src/core/snapshot.ts';
import { lab } from '../support/fleet.ts';
import { play, stories } from '../support/stories.ts';

const ABOUT = { fleet: 'lab', build: 'test', at: 0 };

function exported(log: readonly StoredEvent[], from = 0): string {
  let state: FleetState | null = null;
  if (from > 0) {
    state = emptyState('lab');
    for (const event of log.slice(0, from)) evolve(state, event);
  }
  const events = log.slice(from);
  const end = JSON.stringify({ end: true, events: events.length });
  return [JSON.stringify(logHead(ABOUT, state)), ...events.map(logLine), end].join('\n');
}

test('an exported log is decided again as it was, from its beginning and from any transaction on', () => {
  fc.assert(
    fc.property(stories(), fc.nat(), (told, where) => {
      const { log } = play(told);
      let from = where % (log.length + 1);
      while (log[from]?.type === 'flap.observed') from += 1;
      for (const at of [0, from]) {
        const { head, events } = readLogFile(exported(log, at));
        const state = head.snapshot === null ? emptyState('lab') : thaw(head.snapshot.body, head.snapshot.logic);
        const result = replay(state, events);
        assert.ok(result.kind === 'replay');
        assert.deepEqual(result.differences, []);
        assert.equal(result.seq, log.length);
      }
    }),
    { numRuns: 150 },
  );
});

const PRIVATE = 'sesame-open';

test('values of environments and configs, output of agents and the manifest are left out, in events and in the state', () => {
  const fleet = lab();
  const value = { greeting: PRIVATE };
  fleet.declare('a', {
    run: { image: 'bot:1', env: { KEY: PRIVATE } },
    config: { channel: 'file', path: null, onChange: 'restart', value },
  } as never);
  fleet.put({ type: 'manifest.applied', data: { revision: 'r9', manifest: { note: PRIVATE } } });
  fleet.settle();
  fleet.exits('a', { code: 1, output: `it said ${PRIVATE}` });
  fleet.drain();
  const { log } = fleet;
  assert.ok(JSON.stringify(log).includes(PRIVATE));
  for (const from of [0, log.length]) {
    const text = exported(log, from);
    assert.ok(!text.includes(PRIVATE), text.slice(text.indexOf(PRIVATE) - 200).slice(0, 300));
    assert.ok(text.includes('KEY') && text.includes('bot:1'), 'names stay');
  }
});

test('a file that is cut off, has a hole, or is no log is refused, saying where', () => {
  const fleet = lab();
  fleet.declare('a');
  fleet.settle();
  const whole = exported(fleet.log);
  const lines = whole.split('\n');
  const refused = (text: string): string => {
    try {
      readLogFile(text);
    } catch (error) {
      if (error instanceof LogFileError) return error.message;
      throw error;
    }
    return 'not refused';
  };
  assert.match(refused(''), /line 1 is not JSON/);
  assert.match(refused('{}\n{"end":true,"events":0}'), /not the head of an exported log/);
  assert.match(refused(lines.slice(0, -1).join('\n')), /cut off/);
  assert.match(refused(whole.slice(0, -30)), /is not JSON|cut off/);
  assert.match(refused([...lines.slice(0, 2), ...lines.slice(3)].join('\n')), /line 3: event 3 cannot follow event 1/);
  assert.match(refused(whole.replace('"format":1', '"format":9')), /format 9/);
  assert.match(refused([lines[0], '{"seq":1}', lines.at(-1)].join('\n')), /line 2 is no event/);
});
