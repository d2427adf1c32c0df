/** When agents were last heard, written down in batches. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { LAST_SEEN_EVERY_MS } from '../../src/runtime/limits.ts';
import { silentLog } from '../../src/runtime/log.ts';
import { LastSeen } from '../../src/runtime/last-seen.ts';
import { SimClock } from '../sim/clock.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-seen-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const open = (
  folder: string,
  clock = new SimClock(),
  isKnown = (_uid: string): boolean => true,
  warned: string[] = [],
): LastSeen =>
  new LastSeen({
    folder,
    clock: clock.scope(),
    log: { ...silentLog, level: 'warn', warn: (_, message) => void warned.push(message) },
    isKnown,
  });

const inodes = (folder: string): readonly number[] => {
  const at = join(folder, 'last-seen');
  return readdirSync(at).filter((file) => file.endsWith('.json')).map((file) => statSync(join(at, file)).ino); // prettier-ignore
};

/** Writes happen in real time, though their timers ring in simulated time. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}

test('what was heard is there again after a clean end', async (t) => {
  const folder = folderOf(t);
  const seen = open(folder);
  for (let n = 0; n < 1_000; n += 1) seen.note(`uid-${n}`, n);
  await seen.stop();
  const again = open(folder);
  for (let n = 0; n < 1_000; n += 1) assert.equal(again.at(`uid-${n}`), n);
  assert.equal(again.at('nobody'), null);
});

test('50,000 agents cost one write per turn, less than two a second, and none while nobody is heard', async (t) => {
  const folder = folderOf(t);
  const clock = new SimClock();
  const seen = open(folder, clock);
  for (let n = 0; n < 50_000; n += 1) seen.note(`uid-${n}`, n);
  assert.ok(LAST_SEEN_EVERY_MS >= 500);
  const counts: number[] = [];
  for (let half = 1; half <= 4; half += 1) {
    await clock.runUntil(clock.now + LAST_SEEN_EVERY_MS);
    for (let turn = 0; inodes(folder).length < half && turn < 1_000; turn += 1) await settle();
    counts.push(inodes(folder).length);
    // The file is there before its write is over, and only then the next timer is set.
    for (let turn = 0; turn < 20; turn += 1) await settle();
  }
  assert.deepEqual(counts, [1, 2, 3, 4]);
  await seen.stop();
});

test('a damaged file is an empty one, and the folder may be there already', (t) => {
  const folder = folderOf(t);
  mkdirSync(join(folder, 'last-seen'));
  for (let n = 0; n < 16; n += 1)
    writeFileSync(join(folder, 'last-seen', `${n.toString(16)}.json`), n % 2 === 0 ? '{"uid-1":' : '[7]');
  assert.equal(open(folder).at('uid-1'), null);
});

test('a disk that takes nothing is said once, and harms nobody', async (t) => {
  const folder = folderOf(t);
  const clock = new SimClock();
  const warned: string[] = [];
  const seen = open(folder, clock, undefined, warned);
  rmSync(join(folder, 'last-seen'), { recursive: true });
  seen.note('uid-1', 1);
  for (let turn = 0; warned.length === 0 && turn < 1_000; turn += 1) {
    await clock.runUntil(clock.now + LAST_SEEN_EVERY_MS);
    await settle();
  }
  await clock.runUntil(clock.now + LAST_SEEN_EVERY_MS);
  await settle();
  assert.equal(warned.length, 1);
  mkdirSync(join(folder, 'last-seen'));
  await seen.stop();
  assert.equal(open(folder).at('uid-1'), 1);
});

test('of one that nobody knows any more, the time is dropped after an hour', async (t) => {
  const folder = folderOf(t);
  const seen = open(folder, new SimClock(), (uid) => uid === 'alive');
  const hour = 60 * 60_000;
  // Those that share a file with one that is heard now: all of them, in turn.
  for (const uid of ['alive', 'dead']) seen.note(uid, 1);
  for (let n = 0; n < 200; n += 1) seen.note(`other-${n}`, hour + 2);
  await seen.stop();
  const again = open(folder);
  assert.deepEqual([again.at('alive'), again.at('dead'), again.at('other-1')], [1, null, hour + 2]);
  assert.ok(existsSync(folder));
});
