/**
 * How fast a whole log is replayed: read from SQLite by the store, checked, folded, and each recorded tick decided anew and
 * compared; as a ratio of the rate at which the same rows can be read and parsed at all.
 *
 * The two take turns in one process, so that a noisy machine slows both. Warm-up: one round of each.
 */
import { emptyState } from '../src/core/evolve.ts';
import { Replay } from '../src/core/replay.ts';
import { openSqliteStore } from '../src/stores/sqlite/index.ts';
import { atLeast, known, median, timed, timedAsync, type Bench } from './figure.ts';
import { bareRead, FLEET, logFolder, type LogFolder } from './folder.ts';
import { History } from './history.ts';
import { tell } from './story.ts';

const INSTANCES = 1_000;
const EVENTS = 400_000;
const ROUNDS = 7;
const PAGE_EVENTS = 10_000;

export const bench: Bench = async function* replaying() {
  const folder = await logFolder();
  try {
    const history = new History((event) => folder.put(event));
    tell(history, INSTANCES, EVENTS);
    folder.finish();
    const events = history.state.seq;
    const bare: number[] = [];
    const whole: number[] = [];
    const ratios: number[] = [];
    let ticks = 0;
    for (let round = 0; round <= ROUNDS; round += 1) {
      const bareMs = timed(() => {
        const read = bareRead(folder.database, PAGE_EVENTS);
        if (read !== events) throw new Error(`${read} of ${events} events were read`);
      });
      const wholeMs = await timedAsync(async () => {
        ticks = await replayed(folder, events);
      });
      if (round === 0) continue;
      bare.push((events / bareMs) * 1_000);
      whole.push((events / wholeMs) * 1_000);
      ratios.push(bareMs / wholeMs);
    }
    yield known(`replay of ${events} events with ${ticks} ticks, no difference`, median(whole), 'events/s');
    yield known('  bare read + JSON.parse of the same rows', median(bare), 'events/s');
    yield atLeast('  replay, as a share of the bare read: median', median(ratios), '×', 0.6, 'bare SQLite read + JSON.parse');
  } finally {
    folder.remove();
  }
};

async function replayed(folder: LogFolder, events: number): Promise<number> {
  const store = await openSqliteStore(folder.path);
  try {
    const replay = new Replay(emptyState(FLEET));
    for (let after = 0; after < events; ) {
      const page = await store.read(FLEET, { after, limit: PAGE_EVENTS });
      for (const event of page) replay.feed(event);
      after = page.at(-1)?.seq ?? events;
    }
    const result = replay.result();
    if (result.kind === 'refused') throw new Error(`the replay was refused: ${result.because}`);
    const { differences } = result.counts;
    if (differences > 0 || result.events !== events) {
      throw new Error(`the replay saw ${result.events} of ${events} events and ${differences} differences, first ${JSON.stringify(result.differences[0])}`);
    }
    return result.ticks;
  } finally {
    await store.close();
  }
}
