/** Every wait on the outside ends in time, and leaves nothing behind that could end the process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeadlineError, withDeadline } from '../../src/runtime/deadline.ts';
import { dry, SimClock } from '../sim/clock.ts';

async function unhandledDuring(work: () => Promise<void>): Promise<readonly unknown[]> {
  const unhandled: unknown[] = [];
  const on = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', on);
  try {
    await work();
    await dry();
    await dry();
  } finally {
    process.off('unhandledRejection', on);
  }
  return unhandled;
}

test('work that throws before its first wait leaves no deadline behind that nobody reads', async () => {
  const clock = new SimClock();
  const unhandled = await unhandledDuring(async () => {
    const work = (): Promise<void> => {
      throw new Error('at once');
    };
    await assert.rejects(withDeadline(clock.scope(), 1_000, 'it', work), /at once/);
    await clock.runUntil(5_000);
  });
  assert.deepEqual(unhandled, []);
});

test('L03 work that never ends is given up at its deadline, whatever it does with its signal', async () => {
  const clock = new SimClock();
  const unhandled = await unhandledDuring(async () => {
    let fail: (error: Error) => void = () => undefined;
    const work = new Promise<never>((_resolve, reject) => (fail = reject));
    const waiting = withDeadline(clock.scope(), 1_000, 'it', () => work);
    const over = assert.rejects(waiting, DeadlineError);
    await clock.runUntil(1_000);
    await over;
    fail(new Error('late'));
  });
  assert.deepEqual(unhandled, []);
});

test('an outer signal ends the wait at once', async () => {
  const clock = new SimClock();
  const outer = new AbortController();
  const waiting = withDeadline(clock.scope(), 1_000, 'it', () => new Promise<void>(() => undefined), outer.signal);
  const over = assert.rejects(waiting, /called off/);
  outer.abort();
  await over;
  assert.equal(clock.now, 0);
});
