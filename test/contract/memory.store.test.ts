/** The store in memory: the contract, and the faults it injects for the simulator. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Store } from '../../src/ports/store.ts';
import { createMemoryDisk, createMemoryStore } from '../../src/stores/memory.ts';
import type { MemoryWrite } from '../../src/stores/memory.ts';
import { storeContract } from './store.suite.ts';

storeContract('memory', async () => {
  let time = 0;
  const disk = createMemoryDisk({ mono: () => time });
  const rowsOf = (fleet: string) => disk.fleets.get(fleet)?.rows ?? assert.fail(`no fleet ${fleet}`);
  const open = async (): Promise<Store> => createMemoryStore({ disk });
  return {
    open,
    beside: open,
    async damage(fleet, seq, change) {
      const rows = rowsOf(fleet);
      const place = rows.findIndex((row) => row.seq === seq);
      const row = rows[place] ?? assert.fail(`no event ${seq}`);
      rows[place] = { ...row, ...change };
    },
    async lose(fleet, seq) {
      const rows = rowsOf(fleet);
      rows.splice(
        rows.findIndex((row) => row.seq === seq),
        1,
      );
    },
    async passLeaseTime(ms) {
      time += ms;
    },
  };
});

describe('memory: faults', () => {
  const fact = { type: 'target.cleared', data: { target: 't' } } as const;
  const now = (): number => 1;

  test('a fault before a commit writes nothing, for any verb', async () => {
    const disk = createMemoryDisk();
    const calm = createMemoryStore({ disk });
    await calm.ensureFleet('f');
    await calm.acquire('f', 'a', 1_000);
    await calm.append('f', [fact], now);
    await calm.putSecret('f', { name: 's', version: 1, sealed: Uint8Array.of(1) });
    const all = async (): Promise<unknown> => [
      await calm.fleets(),
      await calm.read('f', { after: 0, limit: 9 }),
      await calm.snapshot('f'),
      await calm.tokens(),
      await calm.secrets('f'),
    ];
    const before = await all();

    const seen: MemoryWrite[] = [];
    const store = createMemoryStore({
      disk,
      faults: {
        beforeCommit(write) {
          seen.push(write);
          throw new Error('lost before');
        },
      },
    });
    const writes = [
      () => store.ensureFleet('g'),
      () => store.dropFleet('f'),
      () => store.append('f', [fact, fact], now),
      () => store.tick('f', 1, 0, now, () => [fact]),
      () => store.saveSnapshot('f', { seq: 1, at: 1, logic: 1, body: '' }),
      () => store.acquire('f', 'a', 1_000),
      () => store.renew('f', 1, 1_000),
      () => store.release('f', 1),
      () => store.putSecret('f', { name: 's', version: 2, sealed: Uint8Array.of(2) }),
      () => store.dropSecrets('f', 's', 1),
      () => store.putToken({ name: 'x', hash: 'h', scope: 'read', fleets: null, createdAt: 1, expiresAt: null }),
    ];
    for (const write of writes) await assert.rejects(write(), /lost before/);
    assert.deepEqual(await all(), before);
    assert.deepEqual(seen[2], { verb: 'append', fleet: 'f', events: 2 });
    assert.equal(seen.length, writes.length);
    assert.equal(await calm.acquire('f', 'b', 1_000), null, 'the failed release freed the fleet');
  });

  test('a fault after a commit leaves it written: the next tick sees what its owner did not learn', async () => {
    const disk = createMemoryDisk();
    const calm = createMemoryStore({ disk });
    await calm.ensureFleet('f');
    await calm.acquire('f', 'a', 1_000);
    const store = createMemoryStore({
      disk,
      faults: {
        afterCommit(write) {
          if (write.verb === 'tick') throw new Error('no answer');
        },
      },
    });
    await assert.rejects(
      store.tick('f', 1, 0, now, () => [fact]),
      /no answer/,
    );
    const saw: number[] = [];
    await store.tick('f', 1, 0, now, (fresh) => {
      saw.push(...fresh.map((event) => event.seq));
      return [];
    });
    assert.deepEqual(saw, [1]);
  });
});
