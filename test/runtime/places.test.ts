/** What is heavy in memory has places: a crowd that asks about the past is served in order, or refused, and never all at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { iso } from '../../src/core/time.ts';
import { Refusal } from '../../src/runtime/api.ts';
import { Places } from '../../src/runtime/control/places.ts';
import { LOOKS_AT_ONCE, LOOKS_WAITING, PAST_STATES_AT_ONCE, PAST_STATES_WAITING } from '../../src/runtime/limits.ts';
import { FLEET, Stage } from './stage.ts';

test('so many at once, so many in line, in order; the rest is refused, and every place comes back', async () => {
  const places = new Places({ atOnce: 2, waiting: 3, what: 'things' });
  const gates: (() => void)[] = [];
  const began: number[] = [];
  const work = (i: number) => (): Promise<number> => {
    began.push(i);
    return new Promise((resolve, reject) => gates.push(() => (i === 1 ? reject(new Error('it failed')) : resolve(i))));
  };
  const asked = [0, 1, 2, 3, 4].map((i) => places.within(work(i)));
  const ends = Promise.allSettled(asked);
  await assert.rejects(places.within(work(5)), /2 things are being made and 3 wait, as many as may/);
  assert.deepEqual(began, [0, 1]);
  for (let i = 0; i < 5; i += 1) {
    gates[i]?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(began, [0, 1, 2, 3, 4]);
  assert.deepEqual(
    (await ends).map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'],
  );
  let all = 0;
  await Promise.all([6, 7].map(() => places.within(async () => (all += 1))));
  assert.equal(all, 2);
});

test('a crowd that asks why of the past holds no more states of the fleet than there are places', async () => {
  let reading = 0;
  let most = 0;
  const stage = new Stage({
    store: (inner) => ({
      ...inner,
      async snapshot(...ask) {
        if (!isAsked) return inner.snapshot(...ask);
        reading += 1;
        most = Math.max(most, reading);
        await new Promise((resolve) => setImmediate(resolve));
        reading -= 1;
        return inner.snapshot(...ask);
      },
    }),
  });
  let isAsked = false;
  await stage.runtime.start();
  await stage.up(['a']);
  isAsked = true;
  const at = iso(stage.fleet.loop.time());
  const crowd = Array.from({ length: 200 }, () => stage.control.why(FLEET, 'a', at));
  const ends = await Promise.allSettled(crowd);
  const served = ends.filter(({ status }) => status === 'fulfilled').length;
  assert.equal(served, PAST_STATES_AT_ONCE + PAST_STATES_WAITING);
  for (const end of ends)
    if (end.status === 'rejected') assert.ok(end.reason instanceof Refusal && end.reason.kind === 'unavailable');
  assert.ok(most >= 1 && most <= PAST_STATES_AT_ONCE, `${most} at once`);
});

test('a crowd of dry runs that look first does not keep the target busy with listings', async () => {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a']);
  let listing = 0;
  let most = 0;
  stage.target.listed = async () => {
    listing += 1;
    most = Math.max(most, listing);
    await new Promise((resolve) => setImmediate(resolve));
    listing -= 1;
    return stage.target.all();
  };
  const { signal } = new AbortController();
  const crowd = Array.from({ length: 100 }, () => stage.control.dryRun(FLEET, { observe: true }, signal));
  const ends = await Promise.allSettled(crowd);
  assert.equal(ends.filter(({ status }) => status === 'fulfilled').length, LOOKS_AT_ONCE + LOOKS_WAITING);
  assert.ok(most >= 1 && most <= LOOKS_AT_ONCE, `${most} at once`);
});
