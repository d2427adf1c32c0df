/** A real process whose declaration nobody has any more: ended with the grace that it would have had by default. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { JsonObject } from '../../src/core/model.ts';
import type { Subject } from '../../src/ports/target.ts';
import { processType } from '../../src/targets/process/type.ts';
import { spec } from '../support/specs.ts';

test(
  'L54 an orphan of which nothing is declared is asked to end before it is killed',
  { timeout: 60_000 },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-orphan-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const ready = join(folder, 'ready');
    const said = join(folder, 'said');
    const script = `process.on('SIGTERM', () => setTimeout(() => { require('fs').writeFileSync(${JSON.stringify(said)}, 'bye'); process.exit(0); }, 200)); require('fs').writeFileSync(${JSON.stringify(ready)}, ''); setInterval(() => {}, 1000);`;
    const raw = processType.run({ command: [process.execPath, '-e', script], cwd: folder });
    assert.ok(raw.ok);
    const subjectOf = (run: JsonObject): Subject => ({
      fleet: 'demo',
      instance: 'ghost',
      uid: 'ghost',
      generation: 0,
      spec: spec({ target: 'process', targetType: 'process', run }),
      infraHash: '',
      configHash: null,
      env: {},
    });
    const target = processType.create({}, { deployment: 'orphans', dataDir: folder, name: 'process' });
    const { signal } = new AbortController();
    await target.provision(subjectOf(raw.run), { unstarted: false }, signal);
    const deadline = performance.now() + 30_000;
    for (;;) {
      try {
        readFileSync(ready);
        break;
      } catch {
        assert.ok(performance.now() < deadline, 'it never came up');
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    const look = await target.destroy(subjectOf({}), { data: 'keep' }, signal);
    assert.equal(look.state, 'missing');
    assert.equal(readFileSync(said, 'utf8'), 'bye');
    await target.close();
  },
);
