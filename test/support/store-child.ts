/**
 * A Holdfast that works on a data folder until it is killed: appends in a loop and prints, one per line, the last seq
 * that the store acknowledged. Run by the SQLite tests as a process of its own.
 */
import { writeSync } from 'node:fs';
import { openSqliteStore } from '../../src/stores/sqlite/index.ts';

const [folder = ''] = process.argv.slice(2);
const store = await openSqliteStore(folder);
const { head } = await store.ensureFleet('f');
const lease = await store.acquire('f', `child-${process.pid}`, 60_000);
if (lease === null) throw new Error('the fleet was not free');
const now = (): number => 1;
const fact = (n: number) => ({ type: 'target.stale', data: { target: 't', message: `after ${n}` } }) as const;

writeSync(1, 'open\n');
for (let last = head; ;) {
  const after = last;
  const added =
    after % 3 === 0
      ? await store.tick('f', lease.epoch, after, now, () => [fact(after)])
      : await store.append('f', [fact(after), fact(after), fact(after)].slice(0, 1 + (after % 3)), now);
  last = added.at(-1)?.seq ?? last;
  // Synchronous, so that a line that the parent reads was acknowledged, and what was acknowledged is printed next.
  writeSync(1, `${last}\n`);
  if (after % 7 === 0) await store.saveSnapshot('f', { seq: last, at: 1, logic: 1, body: `state at ${last}` });
}
