/**
 * How fast a whole log is replayed: read from SQLite by the store, checked, folded, and each recorded tick decided anew and
 * compared; as a ratio of the rate at which the same rows can be read and parsed at all. Folding alone, as a start without a
 * snapshot does it, is shown beside.
 *
 * They take turns in one process, so that a noisy machine slows all. Warm-up: one round of each.
 */
import { emptyState, evolve } from '../src/core/evolve.ts';
import type { StoredEvent } from '../src/core/events.ts';
import { Replay } from '../src/core/replay.ts';
import { openSqliteStore } from '../src/stores/sqlite/index.ts';
import { atLeast, known, median, timed, timedAsync, type Bench } from './figure.ts';
import { bareRead, FLEET, logFolder } from './folder.ts';
import { History } from './history.ts';
import { tell } from './story.ts';

const INSTANCES = 1_000;
const EVENTS = 400_000;
const ROUNDS = 7;
const PAGE_EVENTS = 10_000;
const PEER = 'bare SQLite read + JSON.parse';

export const bench: Bench = async function* replaying() {
  const folder = await logFolder();
  try {
    const history = new History((event) => folder.put(event));
    tell(history, INSTANCES, EVENTS);
    folder.finish();
    const events = history.state.seq;
    const bareMs: number[] = [];
    const replayMs: number[] = [];
    const foldMs: number[] = [];
    let ticks = 0;
    for (let round = 0; round <= ROUNDS; round += 1) {
      const bare = timed(() => expectAll(bareRead(folder.database, PAGE_EVENTS), events));
      const fold = await timedAsync(() => folded(folder.path, events));
      const whole = await timedAsync(async () => {
        ticks = await replayed(folder.path, events);
      });
      if (round === 0) continue;
      bareMs.push(bare);
      foldMs.push(fold);
      replayMs.push(whole);
    }
    const perSecond = (ms: readonly number[]): number => (events / median(ms)) * 1_000;
    const share = (ms: readonly number[]): number => median(ms.map((one, round) => (bareMs[round] ?? 0) / one));
    yield known(`replay of ${events} events with ${ticks} ticks, no difference`, perSecond(replayMs), 'events/s');
    yield known('  read, checked and folded, nothing decided', perSecond(foldMs), 'events/s');
    yield known(`  ${PEER} of the same rows`, perSecond(bareMs), 'events/s');
    yield atLeast('  replay, as a share of the bare read', share(replayMs), '×', 0.6, PEER);
    yield known('  folding, as a share of the bare read', share(foldMs), '×');
  } finally {
    folder.remove();
  }
};

async function replayed(folder: string, events: number): Promise<number> {
  const replay = new Replay(emptyState(FLEET));
  await readAll(folder, (event) => replay.feed(event));
  const result = replay.result();
  if (result.kind === 'refused') throw new Error(`the replay was refused: ${result.because}`);
  expectAll(result.events, events);
  const { differences } = result.counts;
  if (differences === 0) return result.ticks;
  throw new Error(`the replay has ${differences} differences; the first: ${JSON.stringify(result.differences[0])}`);
}

async function folded(folder: string, events: number): Promise<void> {
  const state = emptyState(FLEET);
  await readAll(folder, (event) => evolve(state, event));
  expectAll(state.seq, events);
}

async function readAll(folder: string, take: (event: StoredEvent) => void): Promise<void> {
  const store = await openSqliteStore(folder);
  try {
    for (let after = 0; ;) {
      const page = await store.read(FLEET, { after, limit: PAGE_EVENTS });
      for (const event of page) take(event);
      if (page.length < PAGE_EVENTS) return;
      after += page.length;
    }
  } finally {
    await store.close();
  }
}

function expectAll(read: number, events: number): void {
  if (read !== events) throw new Error(`${read} of ${events} events were read; the figure would mean nothing`);
}
