/**
 * What `holdfast why` says in every phase and under every hold, word for word: `why.golden.txt` beside this file is read by
 * people, and a change of a sentence is seen in it. `WRITE_GOLDEN=1` writes it anew.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { restsOn, why } from '../../src/core/explain.ts';
import { paintFor } from '../../src/cli/render/colours.ts';
import { whyInWords } from '../../src/cli/render/why.ts';
import { processIo } from '../../src/cli/io.ts';
import { holdScenes, phaseScenes, type Scene } from '../support/why-scenes.ts';

// Times are told by the wall clock of whoever reads.
process.env['TZ'] = 'UTC';

const GOLDEN = join(import.meta.dirname, 'why.golden.txt');

function told({ fleet, name }: Scene): { phase: string; hold: string | null; lines: readonly string[] } {
  const { uid } = fleet.inst(name);
  const events = new Map(
    restsOn(fleet.state, uid, fleet.now).flatMap((seq) => {
      const event = fleet.log[seq - 1];
      return event === undefined ? [] : [[seq, event] as const];
    }),
  );
  const answer = why(fleet.state, fleet.agenda, uid, fleet.now, events);
  assert.ok(answer !== null);
  const io = { ...processIo(), now: () => fleet.now, env: { NO_COLOR: '1' }, tty: false };
  const lines = whyInWords(answer, { io, paint: paintFor(io) });
  return { phase: answer.phase, hold: answer.hold?.reason ?? null, lines };
}

test('why tells of every phase and every hold, a fault of Holdfast included (L46), in words that help, as they were last read over', () => {
  const phases = phaseScenes().map((scene) => ({ shows: scene.shows, ...told(scene) }));
  const holds = holdScenes().map((scene) => ({ shows: scene.shows, ...told(scene) }));
  const text = [...phases, ...holds]
    .map(({ shows, lines }) => `===== ${shows} =====\n${lines.join('\n')}\n`)
    .join('\n');
  if (process.env['WRITE_GOLDEN'] === '1') writeFileSync(GOLDEN, text);
  assert.equal(text, readFileSync(GOLDEN, 'utf8'));
  assert.deepEqual(
    [...phases.map(({ phase }) => phase), ...holds.map(({ hold }) => hold)],
    [...phases, ...holds].map(({ shows }) => shows),
  );
});
