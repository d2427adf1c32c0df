/**
 * How soon a Holdfast with a million events in its log is ready, after the worst of ends: it was killed just before its next
 * snapshot was due, so that a whole interval of events must be folded on top of the last one.
 *
 * The folder is made as a running one would have left it (`runtime/loop`): a snapshot every 20,000 events, of which only the
 * last matters. Its instances live on a target that no server file names, so whatever is started here starts nothing. The file
 * is in the page cache, as after a restart of the program; after a restart of the machine the disk adds its own time.
 * An empty folder, started in turn, shows what of it is the program itself.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SNAPSHOT_EVERY_EVENTS } from '../src/runtime/limits.ts';
import { atMost, known, median, type Bench } from './figure.ts';
import { logFolder } from './folder.ts';
import { History } from './history.ts';
import { startServer } from './server.ts';
import { tell } from './story.ts';

const EVENTS = 1_000_000;
const INSTANCES = 2_000;
const ROUNDS = 7;

export const bench: Bench = async function* starting() {
  const empty = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const folder = await logFolder();
  try {
    const history = new History((event) => folder.put(event));
    let snapshotSeq = 0;
    tell(history, INSTANCES, EVENTS, () => {
      if (snapshotSeq > 0 || history.state.seq < EVENTS - SNAPSHOT_EVERY_EVENTS) return;
      folder.snapshot(history.state);
      snapshotSeq = history.state.seq;
    });
    folder.finish();
    const long: number[] = [];
    const short: number[] = [];
    // The first of each warms the page cache.
    for (let round = 0; round <= ROUNDS; round += 1) {
      const from = [await readyMs(folder.path), await readyMs(empty)] as const;
      folder.rewind();
      if (round === 0) continue;
      long.push(from[0] / 1_000);
      short.push(from[1] / 1_000);
    }
    const tail = history.state.seq - snapshotSeq;
    yield atMost(
      `start with ${history.state.seq} events, ${INSTANCES} instances, ${tail} events after the snapshot`,
      median(long),
      's',
      2,
    );
    yield known('  start of an empty one', median(short), 's');
  } finally {
    folder.remove();
    rmSync(empty, { recursive: true, force: true });
  }
};

/** Killed right after, so that it leaves no better snapshot than it found. */
async function readyMs(folder: string): Promise<number> {
  const server = await startServer(folder);
  await server.end('SIGKILL');
  return server.readyMs;
}
