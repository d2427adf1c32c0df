/**
 * What every store promises (`src/ports/store.ts`), as tests. A store passes all of it unchanged; what only one store
 * can do is tested beside its own harness.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import type { NewEvent, StoredEvent } from '../../src/core/events.ts';
import { FencedError, StoreError } from '../../src/ports/store.ts';
import type { Store, TickBody } from '../../src/ports/store.ts';
import { SAMPLE_EVENTS } from '../support/sample-events.ts';

/** One set of data, and what a test may do to it behind the store's back. */
export interface StoreHarness {
  /** Opens a store on the data; the one opened before was closed. */
  open(): Promise<Store>;
  /** Another store on the same data at the same time, where the kind allows it; else the one that is open. */
  beside(open: Store): Promise<Store>;
  /** Overwrites columns of a stored row. */
  damage(fleet: string, seq: number, row: { data?: string; type?: string; v?: number }): Promise<void>;
  /** Takes a row away. */
  lose(fleet: string, seq: number): Promise<void>;
  /** Lets time go by for every lease. */
  passLeaseTime(ms: number): Promise<void>;
}

/** null: the test was skipped (`realComponent`). Registers with `t.after` how to clean up. */
export type MakeHarness = (t: TestContext) => Promise<StoreHarness | null>;

const LEASE_MS = 30_000;

const stale = (message: string): NewEvent => ({ type: 'target.stale', data: { target: 'process', message } });
const about = (uid: string, hash: string): NewEvent => ({
  type: 'config.observed',
  instance: `name-of-${uid}`,
  uid,
  data: { hash },
});
const at = (time: number) => (): number => time;
const seqs = (events: readonly StoredEvent[]): readonly number[] => events.map((event) => event.seq);
const count = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);
const readAll = (store: Store, fleet: string): Promise<readonly StoredEvent[]> =>
  store.read(fleet, { after: 0, limit: 100_000 });

/** A fleet "f" with events at the times 10, 20, … */
async function fill(store: Store, events: number): Promise<void> {
  await store.ensureFleet('f');
  for (let i = 1; i <= events; i += 1) await store.append('f', [about(`u${i % 2}`, `${i}`)], at(i * 10));
}

async function taken(store: Store, owner = 'a'): Promise<number> {
  await store.ensureFleet('f');
  const lease = await store.acquire('f', owner, LEASE_MS);
  assert.ok(lease);
  return lease.epoch;
}

function refuses(work: Promise<unknown>, code: StoreError['code'], words?: RegExp): Promise<void> {
  return assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof StoreError, `not a StoreError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    if (words !== undefined) assert.match(error.message, words);
    return true;
  });
}

export function storeContract(name: string, makeHarness: MakeHarness): void {
  /** A test with a store that is closed at its end. */
  function it(title: string, body: (store: Store, harness: StoreHarness) => Promise<void>): void {
    test(title, async (t) => {
      const harness = await makeHarness(t);
      if (harness === null) return;
      const store = await harness.open();
      try {
        await body(store, harness);
      } finally {
        await store.close();
      }
    });
  }

  describe(`${name}: appending`, () => {
    it('an append answers with what a read gives back, for every type of event', async (store) => {
      await store.ensureFleet('f');
      const added = await store.append('f', SAMPLE_EVENTS, at(5));
      assert.deepEqual(seqs(added), count(1, SAMPLE_EVENTS.length));
      assert.deepEqual(
        added,
        SAMPLE_EVENTS.map((event, i) => ({ seq: i + 1, at: 5, v: 1, ...event })),
      );
      assert.deepEqual(await readAll(store, 'f'), added);
    });

    it('text of any kind survives', async (store) => {
      await store.ensureFleet('f');
      const odd = ['\u0000', '\ud800', '𝒳', '\u2028', `'";--`, '{"a":1}', '\\', 'NULL', ''];
      const added = await store.append(
        'f',
        odd.map((text) => stale(text)),
        at(1),
      );
      assert.deepEqual(await readAll(store, 'f'), added);
      assert.deepEqual(
        added.map((event) => event.type === 'target.stale' && event.data.message),
        odd,
      );
    });

    it('concurrent appends leave no gap and no double', async (store, harness) => {
      const other = await harness.beside(store);
      await store.ensureFleet('f');
      const appends = count(1, 60).map((n) =>
        (n % 2 === 0 ? store : other).append(
          'f',
          count(1, (n % 3) + 1).map((i) => stale(`${n}.${i}`)),
          at(n),
        ),
      );
      const answered = (await Promise.all(appends)).flat();
      const log = await readAll(store, 'f');
      assert.deepEqual(seqs(log), count(1, 120));
      assert.deepEqual(
        [...answered].sort((a, b) => a.seq - b.seq),
        log,
      );
      for (let i = 1; i < log.length; i += 1) assert.ok((log[i]?.at ?? 0) >= (log[i - 1]?.at ?? 0), 'time went back');
      if (other !== store) await other.close();
    });

    it('time never goes back in the log, also when the clock does, nor after all events were dropped', async (store) => {
      await store.ensureFleet('f');
      const times = [];
      for (const now of [100, 50, 100.9, 101, 7]) {
        const [event] = await store.append('f', [stale('x')], at(now));
        times.push(event?.at);
      }
      assert.deepEqual(times, [100, 100, 100, 101, 101]);
      await store.saveSnapshot('f', { seq: 5, at: 101, logic: 1, body: '{}' });
      assert.equal(await store.retain('f', { sinceAt: 1_000, events: 0 }), 5);
      assert.deepEqual(
        (await store.append('f', [stale('x')], at(1))).map((e) => [e.seq, e.at]),
        [[6, 101]],
      );
    });

    it('the clock is asked under the lock: a later append never has an earlier time', async (store, harness) => {
      const other = await harness.beside(store);
      await store.ensureFleet('f');
      let time = 0;
      const now = (): number => (time += 1);
      const both = await Promise.all(
        count(1, 30).map((n) => (n % 2 === 0 ? store : other).append('f', [stale('x')], now)),
      );
      const log = both.flat().sort((a, b) => a.seq - b.seq);
      assert.deepEqual(
        log.map((e) => e.at),
        count(1, 30),
      );
      if (other !== store) await other.close();
    });

    it('an append that expects another head is refused and writes nothing', async (store) => {
      await fill(store, 3);
      await refuses(store.append('f', [stale('x')], at(99), 2), 'conflict', /at event 3, no longer at 2/);
      assert.equal((await store.append('f', [stale('x')], at(99), 3)).length, 1);
      assert.deepEqual(seqs(await readAll(store, 'f')), [1, 2, 3, 4]);
    });

    it('of concurrent appends that expect the same head, one wins', async (store, harness) => {
      const other = await harness.beside(store);
      await fill(store, 1);
      const tries = await Promise.allSettled(
        count(1, 8).map((n) => (n % 2 === 0 ? store : other).append('f', [stale(`${n}`)], at(99), 1)),
      );
      assert.equal(tries.filter((each) => each.status === 'fulfilled').length, 1);
      assert.deepEqual(seqs(await readAll(store, 'f')), [1, 2]);
      if (other !== store) await other.close();
    });

    it('an append of nothing writes nothing', async (store) => {
      await fill(store, 1);
      assert.deepEqual(await store.append('f', [], at(500)), []);
      assert.deepEqual(await store.fleets(), [{ fleet: 'f', head: 1, epoch: 0 }]);
    });

    it('an event that a reader would quarantine is refused when written, with the whole append', async (store) => {
      await fill(store, 1);
      const broken = { type: 'config.observed', instance: 'a', uid: 'u', data: { hash: 7 } } as unknown as NewEvent;
      const unknown = { type: 'agent.sang', data: {} } as unknown as NewEvent;
      await assert.rejects(store.append('f', [stale('x'), broken], at(99)), /broken event: config.observed/);
      await assert.rejects(store.append('f', [stale('x'), unknown], at(99)), /agent.sang is not an event type/);
      await assert.rejects(store.append('f', [stale('x')], at(Number.NaN)), /answered no time/);
      assert.deepEqual(seqs(await readAll(store, 'f')), [1]);
    });

    it('the log does not change with an object that a caller kept', async (store) => {
      await store.ensureFleet('f');
      const data = { target: 'process', message: 'before' };
      const [added] = await store.append('f', [{ type: 'target.stale', data }], at(1));
      data.message = 'after';
      const [read] = await readAll(store, 'f');
      assert.deepEqual(read?.data, { target: 'process', message: 'before' });
      assert.deepEqual(added?.data, read.data);
    });
  });

  describe(`${name}: ticks`, () => {
    it('a tick sees exactly the events it has not seen, then appends behind them', async (store) => {
      await fill(store, 5);
      const epoch = await taken(store);
      const saw: unknown[] = [];
      const added = await store.tick('f', epoch, 2, at(60), (fresh, log) => {
        saw.push(seqs(fresh), log);
        return [stale('decided'), stale('too')];
      });
      assert.deepEqual(saw, [[3, 4, 5], { head: 5, lastAt: 50 }]);
      assert.deepEqual(
        added.map((event) => [event.seq, event.at]),
        [
          [6, 60],
          [7, 60],
        ],
      );
      assert.deepEqual(await store.read('f', { after: 5, limit: 10 }), added);
    });

    it('whatever is appended meanwhile, tick n is decided on exactly 1…n−1', async (store, harness) => {
      const other = await harness.beside(store);
      await store.ensureFleet('f');
      const epoch = await taken(store);
      let folded = 0;
      const decide: TickBody = (fresh, log) => {
        for (const event of fresh) {
          folded += 1;
          assert.equal(event.seq, folded);
        }
        assert.equal(folded, log.head);
        return [stale(`decided on ${log.head}`)];
      };
      const facts = count(1, 40).map(() => other.append('f', [stale('fact'), stale('fact')], at(1)));
      for (let n = 0; n < 20; n += 1) {
        for (const event of await store.tick('f', epoch, folded, at(1), decide)) folded = event.seq;
      }
      await Promise.all(facts);
      const log = await readAll(store, 'f');
      assert.deepEqual(seqs(log), count(1, 100));
      for (const event of log) {
        if (event.type !== 'target.stale' || event.data.message === 'fact') continue;
        assert.equal(event.data.message, `decided on ${event.seq - 1}`);
      }
      if (other !== store) await other.close();
    });

    it('a tick that decides nothing writes nothing', async (store) => {
      await fill(store, 2);
      const epoch = await taken(store);
      assert.deepEqual(await store.tick('f', epoch, 0, at(500), () => []), []);
      assert.deepEqual(await store.fleets(), [{ fleet: 'f', head: 2, epoch }]);
    });

    it('a tick whose decision throws writes nothing, and the fleet is free for the next', async (store) => {
      await fill(store, 2);
      const epoch = await taken(store);
      const bug = new RangeError('a bug in decide');
      const failed = store.tick('f', epoch, 0, at(60), () => {
        throw bug;
      });
      await assert.rejects(failed, (error) => error === bug);
      assert.equal((await store.tick('f', epoch, 0, at(60), () => [stale('x')]))[0]?.seq, 3);
    });

    it('a tick with one broken event among good ones writes none of them', async (store) => {
      const epoch = await taken(store);
      const broken = { type: 'target.stale', data: {} } as unknown as NewEvent;
      await assert.rejects(
        store.tick('f', epoch, 0, at(1), () => [stale('x'), broken]),
        /broken event/,
      );
      assert.deepEqual(await readAll(store, 'f'), []);
    });

    it('a replaced owner is fenced, before its decision is even asked', async (store, harness) => {
      const old = await taken(store, 'a');
      await harness.passLeaseTime(LEASE_MS);
      const next = await taken(store, 'b');
      assert.equal(next, old + 1);
      const asked = store.tick('f', old, 0, at(1), () => assert.fail('asked to decide'));
      await assert.rejects(asked, (error) => error instanceof FencedError && /epoch 2; ours is 1/.test(error.message));
      assert.deepEqual(await readAll(store, 'f'), []);
      assert.equal((await store.tick('f', next, 0, at(1), () => [stale('x')])).length, 1);
    });

    it('a tick refuses to decide on a log with a hole', async (store, harness) => {
      await fill(store, 5);
      const epoch = await taken(store);
      await harness.lose('f', 4);
      const tick = store.tick('f', epoch, 2, at(60), () => assert.fail('asked to decide'));
      await refuses(tick, 'corrupt', /holds 2 of the 3 events after 2/);
    });

    it('a tick refuses to go on where the log is shorter than what was folded', async (store) => {
      await fill(store, 2);
      const epoch = await taken(store);
      const tick = store.tick('f', epoch, 9, at(60), () => assert.fail('asked to decide'));
      await refuses(tick, 'corrupt', /ends at event 2, but events up to 9/);
    });
  });

  describe(`${name}: reading`, () => {
    it('pages are bounded by after, to and limit, and join without a seam', async (store) => {
      await fill(store, 7);
      assert.deepEqual(seqs(await store.read('f', { after: 2, limit: 3 })), [3, 4, 5]);
      assert.deepEqual(seqs(await store.read('f', { after: 2, to: 4, limit: 30 })), [3, 4]);
      assert.deepEqual(seqs(await store.read('f', { after: 6, limit: 30 })), [7]);
      assert.deepEqual(await store.read('f', { after: 7, limit: 30 }), []);
      assert.deepEqual(await store.read('f', { after: 0, limit: 0 }), []);
      assert.deepEqual(await store.read('f', { after: 5, to: 4, limit: 30 }), []);
    });

    it('one instance is read by its uid alone', async (store) => {
      await fill(store, 7);
      await store.append('f', [stale('about no instance')], at(80));
      assert.deepEqual(seqs(await store.read('f', { after: 0, limit: 9, uid: 'u1' })), [1, 3, 5, 7]);
      assert.deepEqual(seqs(await store.read('f', { after: 1, to: 6, limit: 9, uid: 'u1' })), [3, 5]);
      assert.deepEqual(seqs(await store.read('f', { after: 0, limit: 2, uid: 'u0' })), [2, 4]);
      assert.deepEqual(await store.read('f', { after: 0, limit: 9, uid: 'nobody' }), []);
    });

    it('fleets do not see each other', async (store) => {
      await fill(store, 3);
      await store.ensureFleet('g');
      await store.append('g', [about('u1', 'g')], at(5));
      assert.deepEqual(seqs(await readAll(store, 'g')), [1]);
      assert.deepEqual(seqs(await store.read('g', { after: 0, limit: 9, uid: 'u1' })), [1]);
      assert.equal((await readAll(store, 'f')).length, 3);
    });

    it('a corrupt row is quarantined at its own seq, and keeps its instance', async (store, harness) => {
      await fill(store, 4);
      await harness.damage('f', 2, { data: '{"hash":' });
      await harness.damage('f', 3, { data: '{"hash":3}' });
      const log = await readAll(store, 'f');
      assert.deepEqual(
        log.map((event) => event.type),
        ['config.observed', 'event.quarantined', 'event.quarantined', 'config.observed'],
      );
      const [, second, third] = log;
      assert.ok(second?.type === 'event.quarantined' && third?.type === 'event.quarantined');
      assert.deepEqual([second.seq, second.at, second.uid, second.instance], [2, 20, 'u0', 'name-of-u0']);
      assert.equal(second.data.was, 'config.observed');
      assert.match(second.data.message, /not JSON/);
      assert.match(third.data.message, /does not hold { hash }/);
      assert.deepEqual(seqs(await store.read('f', { after: 0, limit: 9, uid: 'u0' })), [2, 4]);

      const epoch = await taken(store);
      await store.tick('f', epoch, 0, at(60), (fresh) => {
        assert.deepEqual(fresh, log);
        return [];
      });
    });

    it('a row of a newer version, or of an unknown type, is refused', async (store, harness) => {
      await fill(store, 3);
      const epoch = await taken(store);
      for (const row of [{ v: 2 }, { v: 1, type: 'agent.sang' }]) {
        await harness.damage('f', 2, row);
        await refuses(readAll(store, 'f'), 'newer-schema', /fleet "f" event 2 is .*Upgrade this Holdfast/);
        const tick = store.tick('f', epoch, 0, at(60), () => assert.fail('asked to decide'));
        await refuses(tick, 'newer-schema');
      }
      assert.deepEqual(seqs(await store.read('f', { after: 2, limit: 9 })), [3]);
    });

    it('a lost row is not passed over in silence', async (store, harness) => {
      await fill(store, 5);
      await harness.lose('f', 3);
      await refuses(readAll(store, 'f'), 'corrupt', /hole between events 1 and 5: 1 are missing/);
    });

    it('the oldest event, and the event of a time, are found', async (store) => {
      await store.ensureFleet('f');
      assert.equal(await store.oldest('f'), null);
      assert.equal(await store.seqAt('f', 1_000), 0);
      for (const time of [10, 20, 20, 20, 30]) await store.append('f', [stale('x')], at(time));
      assert.deepEqual(await store.oldest('f'), { seq: 1, at: 10 });
      const found = [];
      for (const time of [9, 10, 19, 20, 20.5, 29, 30, 31]) found.push(await store.seqAt('f', time));
      assert.deepEqual(found, [0, 1, 1, 4, 4, 4, 5, 5]);
    });

    it('the event of a time is found in a log of any length', async (store) => {
      await store.ensureFleet('f');
      for (let length = 1; length <= 9; length += 1) {
        await store.append('f', [stale('x')], at(length * 10));
        for (let seq = 0; seq <= length; seq += 1) assert.equal(await store.seqAt('f', seq * 10 + 5), seq);
      }
    });
  });

  describe(`${name}: snapshots and retention`, () => {
    const snapshot = (seq: number, body = `state at ${seq}`) => ({ seq, at: seq * 10, logic: 1, body });

    it('the newest two snapshots are kept, whatever the order they come in', async (store) => {
      await fill(store, 9);
      assert.equal(await store.snapshot('f'), null);
      for (const seq of [3, 8, 5]) await store.saveSnapshot('f', snapshot(seq));
      assert.deepEqual(await store.snapshot('f'), snapshot(8));
      assert.deepEqual(await store.snapshot('f', 8), snapshot(8));
      assert.deepEqual(await store.snapshot('f', 7), snapshot(5));
      assert.equal(await store.snapshot('f', 4), null);
    });

    it('a second snapshot of the same seq replaces the first, unless its logic is older', async (store) => {
      await fill(store, 3);
      await store.saveSnapshot('f', { ...snapshot(3, 'one'), logic: 2 });
      await store.saveSnapshot('f', { ...snapshot(3, 'two'), logic: 2 });
      await store.saveSnapshot('f', { ...snapshot(3, 'old'), logic: 1 });
      assert.deepEqual(await store.snapshot('f'), { ...snapshot(3, 'two'), logic: 2 });
    });

    it('a snapshot ahead of the log is refused', async (store) => {
      await fill(store, 3);
      await refuses(store.saveSnapshot('f', snapshot(4)), 'conflict', /event 4 is ahead of the log/);
    });

    it('retention drops what is older than both bounds', async (store) => {
      await fill(store, 10);
      await store.saveSnapshot('f', snapshot(10));
      assert.equal(await store.retain('f', { sinceAt: 50, events: 8 }), 2); // 1…4 by age, 1…2 by count
      assert.deepEqual(await store.oldest('f'), { seq: 3, at: 30 });
      assert.equal(await store.retain('f', { sinceAt: 50, events: 2 }), 2); // 1…4 by age, 1…8 by count
      assert.deepEqual(await store.oldest('f'), { seq: 5, at: 50 });
      assert.equal(await store.retain('f', { sinceAt: 50, events: 2 }), 0);
      assert.deepEqual(seqs(await readAll(store, 'f')), [5, 6, 7, 8, 9, 10]);
      assert.deepEqual(seqs(await store.read('f', { after: 6, limit: 2 })), [7, 8]);
      assert.equal(await store.seqAt('f', 49), 0);
      assert.equal(await store.seqAt('f', 75), 7);
    });

    it('retention never goes above the newest snapshot, and drops nothing without one', async (store) => {
      await fill(store, 6);
      assert.equal(await store.retain('f', { sinceAt: 1_000, events: 0 }), 0);
      await store.saveSnapshot('f', snapshot(4));
      assert.equal(await store.retain('f', { sinceAt: 1_000, events: 0 }), 4);
      assert.deepEqual(await store.oldest('f'), { seq: 5, at: 50 });
      assert.deepEqual(await store.snapshot('f'), snapshot(4));
    });

    it('a log that retention emptied goes on where it was', async (store) => {
      await fill(store, 3);
      const epoch = await taken(store);
      await store.saveSnapshot('f', snapshot(3));
      assert.equal(await store.retain('f', { sinceAt: 1_000, events: 0 }), 3);
      assert.equal(await store.oldest('f'), null);
      assert.equal(await store.seqAt('f', 29), 0);
      assert.equal(await store.seqAt('f', 30), 3);
      await refuses(
        store.tick('f', epoch, 1, at(99), () => []),
        'corrupt',
        /removed by retention/,
      );
      assert.deepEqual(seqs(await store.tick('f', epoch, 3, at(99), () => [stale('x')])), [4]);
      assert.deepEqual(seqs(await readAll(store, 'f')), [4]);
    });

    it('retention of more rows than one batch holds drops them all', async (store) => {
      await store.ensureFleet('f');
      await store.append(
        'f',
        count(1, 12_001).map(() => stale('x')),
        at(10),
      );
      await store.saveSnapshot('f', snapshot(12_001));
      assert.equal(await store.retain('f', { sinceAt: 11, events: 1 }), 12_000);
      assert.deepEqual(await store.oldest('f'), { seq: 12_001, at: 10 });
    });
  });

  describe(`${name}: owners`, () => {
    it('a fleet has one owner until all of its lease is over', async (store, harness) => {
      const other = await harness.beside(store);
      assert.equal(await taken(store, 'a'), 1);
      assert.equal(await other.acquire('f', 'b', LEASE_MS), null);
      await harness.passLeaseTime(LEASE_MS / 2);
      assert.equal(await other.acquire('f', 'b', LEASE_MS), null);
      assert.equal(await store.renew('f', 1, LEASE_MS), true);
      await harness.passLeaseTime(LEASE_MS / 2);
      assert.equal(await other.acquire('f', 'b', LEASE_MS), null);
      await harness.passLeaseTime(LEASE_MS / 2);
      assert.deepEqual(await other.acquire('f', 'b', LEASE_MS), { epoch: 2 });
      assert.equal(await store.renew('f', 1, LEASE_MS), false);
      assert.equal(await store.acquire('f', 'a', LEASE_MS), null);
      if (other !== store) await other.close();
    });

    it('of owners that ask at once, one gets the fleet', async (store, harness) => {
      const other = await harness.beside(store);
      await store.ensureFleet('f');
      const asked = count(1, 8).map((n) => (n % 2 === 0 ? store : other).acquire('f', `owner-${n}`, LEASE_MS));
      const got = (await Promise.all(asked)).filter((lease) => lease !== null);
      assert.deepEqual(got, [{ epoch: 1 }]);
      if (other !== store) await other.close();
    });

    it('an owner that asks again has a new epoch: what it left behind is fenced', async (store) => {
      const first = await taken(store, 'a');
      assert.equal(await taken(store, 'a'), first + 1);
      await assert.rejects(
        store.tick('f', first, 0, at(1), () => []),
        FencedError,
      );
      assert.equal(await store.renew('f', first, LEASE_MS), false);
    });

    it('a released fleet is free at once, and its lease cannot be renewed', async (store) => {
      const epoch = await taken(store, 'a');
      await store.release('f', epoch + 1); // somebody else's: nothing happens
      assert.equal(await store.acquire('f', 'b', LEASE_MS), null);
      await store.release('f', epoch);
      assert.equal(await store.renew('f', epoch, LEASE_MS), false);
      assert.deepEqual(await store.acquire('f', 'b', LEASE_MS), { epoch: epoch + 1 });
      await store.release('f', epoch); // late: the fleet is b's now
      assert.equal(await store.acquire('f', 'a', LEASE_MS), null);
    });

    it('a lease that ran out but was not taken can be renewed', async (store, harness) => {
      const epoch = await taken(store, 'a');
      await harness.passLeaseTime(2 * LEASE_MS);
      assert.equal(await store.renew('f', epoch, LEASE_MS), true);
      assert.equal(await store.acquire('f', 'b', LEASE_MS), null);
    });

    it('facts of a replica that is no owner are taken', async (store, harness) => {
      const other = await harness.beside(store);
      await taken(store, 'a');
      assert.equal((await other.append('f', [stale('x')], at(1))).length, 1);
      if (other !== store) await other.close();
    });
  });

  describe(`${name}: fleets, tokens, opening and closing`, () => {
    it('fleets are listed by name, and making one twice changes nothing', async (store) => {
      assert.deepEqual(await store.fleets(), []);
      for (const fleet of ['b', 'a', 'B', 'a-1']) await store.ensureFleet(fleet);
      await store.append('a', [stale('x')], at(1));
      assert.deepEqual(await store.ensureFleet('a'), { fleet: 'a', head: 1, epoch: 0 });
      assert.deepEqual(
        (await store.fleets()).map((row) => row.fleet),
        ['B', 'a', 'a-1', 'b'],
      );
    });

    it('a dropped fleet is gone with its log and snapshots; dropping it again changes nothing', async (store) => {
      await fill(store, 3);
      await store.saveSnapshot('f', { seq: 3, at: 30, logic: 1, body: '{}' });
      await store.dropFleet('f');
      await store.dropFleet('f');
      assert.deepEqual(await store.fleets(), []);
      await refuses(readAll(store, 'f'), 'unknown-fleet');
      assert.equal((await store.ensureFleet('f')).head, 0);
      assert.deepEqual(await readAll(store, 'f'), []);
      assert.equal(await store.snapshot('f'), null);
      assert.equal(await store.oldest('f'), null);
      assert.deepEqual(seqs(await store.append('f', [stale('x')], at(1))), [1]);
    });

    it('a fleet made again never uses an epoch again: the owner of the dropped one stays fenced', async (store) => {
      await taken(store, 'a');
      const old = await taken(store, 'a');
      await store.dropFleet('f');
      await store.ensureFleet('g');
      const next = await taken(store, 'b');
      assert.ok(next > old);
      await assert.rejects(
        store.tick('f', old, 0, at(1), () => []),
        FencedError,
      );
    });

    it('every verb says that it does not know a fleet', async (store) => {
      const words = /no fleet "nobody"/;
      await refuses(store.append('nobody', [stale('x')], at(1)), 'unknown-fleet', words);
      await refuses(
        store.tick('nobody', 1, 0, at(1), () => []),
        'unknown-fleet',
        words,
      );
      await refuses(store.read('nobody', { after: 0, limit: 1 }), 'unknown-fleet', words);
      await refuses(store.read('nobody', { after: 0, limit: 1, uid: 'u' }), 'unknown-fleet', words);
      await refuses(store.oldest('nobody'), 'unknown-fleet', words);
      await refuses(store.seqAt('nobody', 1), 'unknown-fleet', words);
      await refuses(store.snapshot('nobody'), 'unknown-fleet', words);
      await refuses(store.saveSnapshot('nobody', { seq: 0, at: 0, logic: 1, body: '' }), 'unknown-fleet', words);
      await refuses(store.retain('nobody', { sinceAt: 0, events: 0 }), 'unknown-fleet', words);
      await refuses(store.acquire('nobody', 'a', 1), 'unknown-fleet', words);
      const secret = { name: 's', version: 1, sealed: Uint8Array.of(1) };
      await refuses(store.putSecret('nobody', secret), 'unknown-fleet', words);
      await refuses(store.dropSecrets('nobody', 's', 1), 'unknown-fleet', words);
      assert.equal(await store.renew('nobody', 1, 1), false);
      await store.release('nobody', 1);
    });

    it('secrets are kept by fleet, name and version, and listed in order', async (store) => {
      await store.ensureFleet('f');
      await store.ensureFleet('g');
      const secret = (name: string, version: number, ...bytes: number[]) => ({
        name,
        version,
        sealed: Uint8Array.from(bytes),
      });
      const [a1, a2, a10, b1] = [secret('a', 1, 0, 255), secret('a', 2, 1), secret('a', 10, 2), secret('B', 1, 3)];
      for (const one of [a10, b1, a2, a1]) assert.equal(await store.putSecret('f', one), true);
      assert.deepEqual(await store.secrets('f'), [b1, a1, a2, a10]);
      assert.deepEqual(await store.secrets('g'), []);
      assert.equal(await store.dropSecrets('f', 'a', 2), 2);
      assert.equal(await store.dropSecrets('f', 'a', 2), 0);
      assert.deepEqual(await store.secrets('f'), [b1, a10]);
    });

    it('a version of a secret, once sealed, is never changed', async (store) => {
      await store.ensureFleet('f');
      const first = { name: 'a', version: 1, sealed: Uint8Array.of(1, 2, 3) };
      assert.equal(await store.putSecret('f', first), true);
      assert.equal(await store.putSecret('f', { ...first, sealed: Uint8Array.of(9) }), false);
      assert.deepEqual(await store.secrets('f'), [first]);
      first.sealed[0] = 7;
      assert.equal((await store.secrets('f'))[0]?.sealed[0], 1, 'what the caller does to its bytes changes nothing');
    });

    it('secrets go with their fleet', async (store) => {
      await store.ensureFleet('f');
      await store.putSecret('f', { name: 'a', version: 1, sealed: Uint8Array.of(1) });
      await store.dropFleet('f');
      assert.deepEqual(await store.secrets('f'), []);
      await store.ensureFleet('f');
      assert.deepEqual(await store.secrets('f'), []);
    });

    it('tokens are kept by name, listed in order, and dropped', async (store) => {
      const token = (name: string) => ({ name, hash: `hash of ${name}`, createdAt: 1 });
      const ci = { ...token('ci'), scope: 'operate', fleets: ['a', 'b'], expiresAt: 9 } as const;
      const admin = { ...token('admin'), scope: 'admin', fleets: null, expiresAt: null } as const;
      assert.equal(await store.putToken(ci), true);
      assert.equal(await store.putToken(admin), true);
      assert.equal(await store.putToken({ ...ci, hash: 'another' }), false);
      assert.deepEqual(await store.tokens(), [admin, ci]);
      assert.equal(await store.dropToken('ci'), true);
      assert.equal(await store.dropToken('ci'), false);
      assert.deepEqual(await store.tokens(), [admin]);
    });

    it('closed and opened again, everything is there', async (store, harness) => {
      await fill(store, 4);
      await taken(store);
      await store.saveSnapshot('f', { seq: 2, at: 20, logic: 3, body: '{"state":"…"}' });
      await store.putToken({ name: 'ci', hash: 'h', scope: 'read', fleets: null, createdAt: 1, expiresAt: null });
      await store.putSecret('f', { name: 'llm', version: 2, sealed: Uint8Array.of(0, 1, 255) });
      const all = async (from: Store): Promise<unknown> => [
        from.deployment,
        await from.fleets(),
        await readAll(from, 'f'),
        await from.snapshot('f'),
        await from.tokens(),
        await from.secrets('f'),
      ];
      const before = await all(store);
      await store.close();
      const again = await harness.open();
      assert.deepEqual(await all(again), before);
      assert.deepEqual(seqs(await again.append('f', [stale('x')], at(1))), [5]);
      await again.close();
    });

    it('a closed store refuses, and may be closed twice', async (store) => {
      await store.ensureFleet('f');
      await store.close();
      await store.close();
      await refuses(store.fleets(), 'unreachable', /was closed/);
      await refuses(store.append('f', [stale('x')], at(1)), 'unreachable', /was closed/);
    });

    it('every deployment has an id of its own', async (store) => {
      assert.match(store.deployment, /^[a-z0-9-]{4,}$/);
    });
  });
}
