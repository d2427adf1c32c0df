/** Replay against a real log in a store: any range of it, and clear words for what is no range. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredEvent } from '../../src/core/events.ts';
import type { Replayed } from '../../src/core/replay.ts';
import { iso } from '../../src/core/time.ts';
import { Refusal, type ReplayAsk, type ReplayProgress } from '../../src/runtime/api.ts';
import { FLEET, Stage } from './stage.ts';

const WHOLE: ReplayAsk = {
  from: null,
  to: null,
  instance: null,
  policy: null,
  edits: [],
  skip: null,
  limit: null,
};
const forever = new AbortController().signal;

type Answer = Replayed & { readonly fromSeq: number; readonly toSeq: number; readonly snapshotSeq: number };

async function replay(stage: Stage, ask: Partial<ReplayAsk>, signal = forever): Promise<Answer> {
  const answer = stage.control.replay(FLEET, { ...WHOLE, ...ask }, signal, () => undefined);
  return (await stage.during(answer)) as unknown as Answer;
}

async function refusal(stage: Stage, ask: Partial<ReplayAsk>): Promise<Refusal> {
  try {
    await replay(stage, ask);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  assert.fail(`not refused: ${JSON.stringify(ask)}`);
}

const log = (stage: Stage): Promise<readonly StoredEvent[]> => stage.store.read(FLEET, { after: 0, limit: 100_000 });

/** Three that crash now and then, for some minutes. */
async function eventful(crashes = 6): Promise<Stage> {
  const stage = new Stage();
  await stage.runtime.start();
  await stage.up(['a', 'b', 'c']);
  for (let i = 0; i < crashes; i += 1) {
    stage.target.exits(['a', 'b', 'c'][i % 3] ?? 'a');
    await stage.pass(20_000);
  }
  return stage;
}

test('L62 L65 every range of a log is decided again as it was, whole and by instance', async () => {
  const stage = await eventful();
  const events = await log(stage);
  const head = events.length;
  for (let from = 1; from <= head; from += 3) {
    for (const to of [from, Math.min(head, from + 5), head]) {
      const answer = await replay(stage, { from, to });
      assert.deepEqual(answer.differences, [], `${from} to ${to}`);
      assert.ok(answer.toSeq >= to && answer.events === answer.toSeq - from + 1, `${from} to ${to}: ${answer.toSeq}`);
    }
  }
  const one = await replay(stage, { instance: 'a' });
  assert.ok(one.actions.length > 0 && one.actions.every(({ instance }) => instance === 'a'));
});

test('a range that ends between a tick and the flaps that it said ends behind them', async () => {
  const stage = await eventful();
  const events = await log(stage);
  const flap = events.find(({ type }) => type === 'flap.observed');
  assert.ok(flap);
  const tick = events.findLast(({ seq, type }) => seq < flap.seq && type === 'tick.decided');
  assert.ok(tick);
  const answer = await replay(stage, { from: tick.seq, to: tick.seq });
  assert.deepEqual([answer.toSeq >= flap.seq, answer.ticks, answer.differences], [true, 1, []]);
  const behind = await replay(stage, { from: flap.seq, to: flap.seq });
  assert.deepEqual([behind.ticks, behind.differences], [0, []]);
});

test('a time means the first event from then on, and the last one until then', async () => {
  const stage = await eventful();
  const events = await log(stage);
  const { at } = events[Math.floor(events.length / 2)]!;
  const sameTime = events.filter((event) => event.at === at);
  const answer = await replay(stage, { from: iso(at), to: iso(at) });
  assert.equal(answer.fromSeq, sameTime[0]?.seq);
  assert.ok(answer.toSeq >= sameTime.at(-1)!.seq);
  assert.deepEqual(answer.differences, []);
});

test('a stretch in which nothing was written is empty, and stands as the fleet stood then', async () => {
  const stage = await eventful();
  await stage.pass(120_000);
  const { state } = stage.fleet.loop;
  const answer = await replay(stage, { from: iso(state.at + 1_000), to: iso(state.at + 2_000) });
  assert.deepEqual([answer.events, answer.ticks, answer.phases], [0, 0, { RUNNING: 3 }]);
});

test('what is reversed, lies ahead or is no place is refused, saying which', async () => {
  const stage = await eventful();
  const head = stage.fleet.loop.state.seq;
  const now = stage.fleet.loop.time();
  const [early, late] = [iso(now - 60_000), iso(now - 30_000)];
  assert.match(
    (await refusal(stage, { from: 9, to: 3 })).message,
    /reversed: it begins at event 9 and ends at event 3/,
  );
  assert.match((await refusal(stage, { from: late, to: early })).message, /reversed: it begins at 2/);
  assert.match((await refusal(stage, { from: head, to: early })).message, /reversed/);
  assert.match(
    (await refusal(stage, { from: head + 1 })).message,
    new RegExp(`lies ahead: the log's last is event ${head}`),
  );
  assert.match((await refusal(stage, { to: head + 5 })).message, /lies ahead/);
  assert.match((await refusal(stage, { from: iso(now + 60_000) })).message, /lies ahead/);
  assert.match((await refusal(stage, { from: 'yesterday' })).message, /neither a place in the log/);
  // The reader's clock may be a little ahead of the fleet's.
  assert.equal((await replay(stage, { to: iso(now + 5_000) })).toSeq, head);
  assert.equal((await replay(stage, { from: iso(0) })).fromSeq, 1);
});

/** Its log begins somewhere in the middle, behind a snapshot. */
async function retained(): Promise<{ stage: Stage; snapshotSeq: number; oldest: number }> {
  const stage = await eventful();
  await stage.fleet.loop.saveSnapshot();
  const snapshotSeq = stage.fleet.loop.state.seq;
  for (const name of ['a', 'b', 'c']) {
    stage.target.exits(name);
    await stage.pass(20_000);
  }
  await stage.store.retain(FLEET, { sinceAt: Number.MAX_SAFE_INTEGER, events: 12 });
  const oldest = (await stage.store.oldest(FLEET))?.seq ?? 0;
  assert.ok(oldest > 1 && oldest <= snapshotSeq + 1, `${oldest} behind ${snapshotSeq}`);
  return { stage, snapshotSeq, oldest };
}

test('what retention has dropped is refused, with the earliest time that can be reached', async () => {
  const { stage, snapshotSeq } = await retained();
  const [first] = await stage.store.read(FLEET, { after: snapshotSeq, limit: 1 });
  const snapshot = await stage.store.snapshot(FLEET);
  for (const from of [1, snapshotSeq - 1, iso(0), iso((snapshot?.at ?? 0) - 5_000)]) {
    const refused = await refusal(stage, { from });
    assert.deepEqual([refused.kind, refused.rule], ['gone', 'retention']);
    assert.ok(refused.message.includes(`event ${snapshotSeq + 1}, at ${iso(snapshot?.at ?? 0)}`), refused.message);
  }
  const whole = await replay(stage, {});
  assert.deepEqual([whole.fromSeq, whole.snapshotSeq, whole.differences], [first?.seq, snapshotSeq, []]);
  const why = stage.control.why(FLEET, 'a', iso((snapshot?.at ?? 0) - 5_000));
  await assert.rejects(stage.during(why), /is no longer kept; the earliest that can be reached is event/);
});

test('a snapshot of a logic that this build knows no way from is passed over where an older place leads there, else told', async () => {
  const stage = await eventful();
  const { seq, at } = stage.fleet.loop.state;
  await stage.store.saveSnapshot(FLEET, { seq, at, logic: 0, body: '{"columns":[],"instances":[]}' });
  stage.target.exits('a');
  await stage.pass(20_000);
  const answer = await replay(stage, { from: seq + 1 });
  assert.deepEqual([answer.snapshotSeq, answer.differences], [0, []]);
  await stage.store.retain(FLEET, { sinceAt: Number.MAX_SAFE_INTEGER, events: 0 });
  const refused = await refusal(stage, { from: seq + 1 });
  assert.deepEqual([refused.rule, /made by logic version 0/.test(refused.message)], ['logic', true], refused.message);
});

test('the lists are pages, the same ones whenever they are asked for; the counts are whole', async () => {
  const stage = await eventful();
  const whole = await replay(stage, {});
  assert.equal(whole.next, null);
  const to = whole.toSeq;
  const paged: Replayed['actions'][number][] = [];
  for (let skip: number | null = 0; skip !== null;) {
    const page: Answer = await replay(stage, { to, skip, limit: 4 });
    assert.ok(page.actions.length <= 4);
    assert.deepEqual(page.counts, whole.counts);
    paged.push(...page.actions);
    skip = page.next;
  }
  assert.deepEqual(paged, whole.actions);
});

test('a what-if counts what would have been otherwise, and what lies outside its stretch cannot be edited', async () => {
  const stage = await eventful();
  const events = await log(stage);
  const exit = events.find(
    ({ type, data }) => type === 'resource.observed' && (data as { state?: string }).state === 'stopped',
  );
  assert.ok(exit);
  const answer = await replay(stage, { edits: [{ drop: exit.seq }], instance: exit.instance ?? null });
  assert.deepEqual([answer.kind, answer.openLoop], ['what-if', true]);
  const { computed, recorded } = answer.counts;
  assert.equal((recorded.start ?? 0) - (computed.start ?? 0), 1, JSON.stringify(answer.counts));
  assert.match(
    (await refusal(stage, { from: exit.seq + 1, edits: [{ drop: exit.seq }] })).message,
    /the replay begins after/,
  );
  assert.match(
    (await refusal(stage, { to: exit.seq - 2, edits: [{ drop: exit.seq }] })).message,
    /the replay ends at event/,
  );
});

test('whoever has gone is not replayed for, and only so many run at once', async () => {
  const stage = await eventful(60);
  const gone = new AbortController();
  gone.abort();
  // Slices end by the real clock, and time stands still on a stage: a clock that runs makes them due.
  stage.scope.mono = () => performance.now() * 1_000;
  const left = stage.control.replay(FLEET, WHOLE, gone.signal, () => undefined);
  await assert.rejects(left, (error: unknown) => error instanceof Refusal && error.rule === 'given-up');
  const told: ReplayProgress[] = [];
  const running = [1, 2].map(() => stage.control.replay(FLEET, WHOLE, forever, (progress) => told.push(progress)));
  const third = stage.control.replay(FLEET, WHOLE, forever, () => undefined);
  await assert.rejects(third, (error: unknown) => error instanceof Refusal && error.rule === 'replays');
  await Promise.all(running);
  assert.ok(told.some(({ doing, events, of }) => doing === 'replaying' && events > 0 && events <= of));
  const after = await stage.control.replay(FLEET, WHOLE, forever, () => undefined);
  assert.deepEqual(after['differences'], []);
});
