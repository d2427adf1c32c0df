/** L43 through the whole runtime: whatever a target throws, what is written down of it says something. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isWordless, thrown } from '../support/thrown.ts';
import { FLEET, Stage } from './stage.ts';

test('L43 whatever a target throws ends as words: in the error, in the log of the fleet and in our own', async () => {
  const ends = fc.asyncProperty(thrown, thrown, async (started, listed) => {
    const stage = new Stage();
    await stage.runtime.start();
    await stage.up(['a']);
    stage.target.before = (verb) => (verb === 'start' ? reject(started) : Promise.resolve());
    stage.target.exits('a');
    await stage.pass(500);
    const { lastError } = await stage.control.instance(FLEET, 'a');
    assert.ok(
      lastError !== null && !isWordless(lastError.message) && !isWordless(lastError.code),
      JSON.stringify(lastError),
    );
    stage.target.listed = () => reject(listed);
    await stage.pass(20_000);
    for (const { type, data } of await stage.store.read(FLEET, { after: 0, limit: 1_000 })) {
      if (type === 'operation.ended' && data.error !== undefined) assert.ok(!isWordless(data.error.message));
      if (type === 'target.stale') assert.ok(!isWordless(data.message));
    }
    const told = stage.lines.filter(({ level }) => level === 'warn' || level === 'error');
    assert.ok(told.length > 0);
    for (const { fields, message } of told) {
      assert.ok(!isWordless(message));
      if ('error' in fields) assert.ok(!isWordless(fields.error), JSON.stringify(fields));
    }
    stage.kill();
  });
  await fc.assert(ends, { numRuns: 25 });
});

// Not only errors are thrown out there.
const reject = (thing: unknown): Promise<never> => Promise.reject(thing);
