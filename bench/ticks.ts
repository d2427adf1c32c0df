/**
 * What one tick of 100,000 instances costs: when nothing changed, and when 1,000 agents just crashed. Folding the facts counts
 * as part of the tick, and so does folding what it decided. The store is no part of the first figures (it waits for the disk);
 * the whole way through SQLite is shown beside them.
 *
 * Warm-up: the fleet's own creation (300,000 decisions and more), and the first rounds, which are thrown away.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NewEvent } from '../src/core/events.ts';
import { emptyState, evolve } from '../src/core/evolve.ts';
import { conclude, plan, toEvents } from '../src/core/tick.ts';
import { Agenda } from '../src/core/agenda.ts';
import { openSqliteStore } from '../src/stores/sqlite/index.ts';
import { template, who } from './declared.ts';
import { atMost, known, median, quantile, timed, timedAsync, type Bench } from './figure.ts';
import { History } from './history.ts';

const INSTANCES = 100_000;
const CHANGED = 1_000;
const IDLE_ROUNDS = 300;
const CHANGED_ROUNDS = 120;
const WARM_UP_ROUNDS = 20;
const STORE_ROUNDS = 12;
/** Room for all starts of a round at once; and the process target's own, where most of a round waits in line. */
const ROOM = 10_000;
/** Instances declared at once. */
const PORTION = 500;
const PROCESS_ROOM = 32;
/** Longer than a quick life, and than the window of the blast radius. */
const BETWEEN_ROUNDS_MS = 61_000;

export const bench: Bench = async function* ticks() {
  const history = fleet(INSTANCES);
  const idle = Array.from({ length: IDLE_ROUNDS }, () => timed(() => history.tick()));
  yield atMost(`tick, ${INSTANCES} instances, nothing changed: median`, median(idle), 'ms', 1);
  yield known('  99 % of them', quantile(idle, 0.99), 'ms');

  const changed = crashes(history, ROOM);
  yield atMost(`tick, ${INSTANCES} instances, ${CHANGED} changed: median`, median(changed), 'ms', 20);
  yield known('  99 % of them', quantile(changed, 0.99), 'ms');

  const inLine = crashes(history, PROCESS_ROOM);
  yield known(`  with room for ${PROCESS_ROOM} starts, the others wait in line: median`, median(inLine), 'ms');
  yield known('  99 % of them', quantile(inLine, 0.99), 'ms');

  const stored = await throughSqlite();
  yield known('  through SQLite, facts and decisions committed and synced: median', median(stored), 'ms');
};

/** All of them hot, running and heard. */
export function fleet(instances: number, history = new History(() => undefined)): History {
  const spec = template('info');
  history.own();
  history.sync(ROOM);
  for (let from = 0; from < instances; from += PORTION) {
    const portion = Array.from({ length: Math.min(PORTION, instances - from) }, (_, i) => hot(from + i));
    for (const number of portion) history.put(spec(number, 1));
    history.settle();
    for (const number of portion) history.report(who(number).uid, 'first');
    history.settle();
  }
  return history;
}

/** Numbers whose names are of hot ones. */
const hot = (i: number): number => Math.floor(i / 3) * 4 + (i % 3);

/** Times of the ticks in which 1,000 crashes were folded and decided, each round on other instances. */
function crashes(history: History, room: number): number[] {
  history.sync(room);
  history.settle();
  const times: number[] = [];
  for (let round = 0; round < WARM_UP_ROUNDS + CHANGED_ROUNDS; round += 1) {
    history.now += BETWEEN_ROUNDS_MS;
    history.settle();
    const uids = Array.from({ length: CHANGED }, (_, i) => who(hot((round * CHANGED + i) % INSTANCES)).uid);
    let decided = 0;
    const took = timed(() => {
      for (const uid of uids) history.exits(uid);
      decided = history.tick().actions.length;
    });
    if (decided !== Math.min(CHANGED, room)) throw new Error(`${CHANGED} crashed, and ${decided} were started`);
    if (round >= WARM_UP_ROUNDS) times.push(took);
    recover(history, uids);
  }
  return times;
}

function recover(history: History, uids: readonly string[]): void {
  for (const uid of uids) history.succeed(uid);
  history.settle();
  for (const uid of uids) history.report(uid, 'first');
  history.settle();
}

/** The same change, from the hand-over of the facts to the committed and folded decision, as the fleet loop does it. */
async function throughSqlite(): Promise<number[]> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const store = await openSqliteStore(folder);
  try {
    await store.ensureFleet('bench');
    const epoch = (await store.acquire('bench', 'bench', 60_000))?.epoch ?? 0;
    const log: NewEvent[] = [];
    const history = new History(({ seq: _seq, at: _at, v: _v, ...event }) => log.push(event));
    fleet(INSTANCES, history);
    const state = emptyState('bench');
    const agenda = new Agenda();
    const now = (): number => history.now;
    const take = async (): Promise<void> => {
      for (const event of await store.append('bench', log.splice(0, 5_000), now)) evolve(state, event);
      conclude(state, agenda, plan(state, agenda, history.now), []);
    };
    while (log.length > 0) await take();
    const times: number[] = [];
    for (let round = 0; round < STORE_ROUNDS + 3; round += 1) {
      history.now += BETWEEN_ROUNDS_MS;
      history.settle();
      await take();
      const uids = Array.from({ length: CHANGED }, (_, i) => who(hot(round * CHANGED + i)).uid);
      for (const uid of uids) history.exits(uid);
      const facts = log.splice(0);
      const took = await timedAsync(async () => {
        await store.append('bench', facts, now);
        let planned: ReturnType<typeof plan> | null = null;
        const written = await store.tick('bench', epoch, state.seq, now, (fresh) => {
          for (const event of fresh) evolve(state, event);
          planned = plan(state, agenda, history.now);
          return toEvents(planned.decision);
        });
        if (planned !== null) conclude(state, agenda, planned, written);
      });
      history.tick();
      log.splice(0);
      recover(history, uids);
      if (round >= 3) times.push(took);
    }
    return times;
  } finally {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
