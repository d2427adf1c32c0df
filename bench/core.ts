/**
 * The reconciler itself: what a tick costs, how fast history is read again, what an instance weighs, how soon a killed
 * process runs again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Agenda } from '../src/core/agenda.ts';
import type { NewEvent, StoredEvent } from '../src/core/events.ts';
import { emptyState, evolve } from '../src/core/evolve.ts';
import type { FleetState } from '../src/core/model.ts';
import { replay } from '../src/core/replay.ts';
import { conclude, plan, toEvents } from '../src/core/tick.ts';
import { openSqliteStore } from '../src/stores/sqlite/index.ts';
import { atLeast, atMost, known, median, type Bench } from './figure.ts';
import { declared, history, running } from './fleets.ts';
import { heal } from './heal.ts';
import { startSeconds } from './start.ts';

const INSTANCES = 100_000;
const CHANGED = 1_000;
const HISTORY_EVENTS = 500_000;
const ROUNDS = 5;

export const bench: Bench = async function* core() {
  yield* ticks();
  yield* replaying();
  yield await startWithMillionEvents();
  yield* heal();
};

async function* ticks(): ReturnType<Bench> {
  const before = heapBytes();
  const rssBefore = process.memoryUsage.rss();
  const state = emptyState('bench');
  const agenda = new Agenda();
  for (const event of declared(INSTANCES)) put(state, event);
  for (const event of running(state)) put(state, event);
  tick(state, agenda);
  tick(state, agenda);
  const perInstance = (heapBytes() - before) / INSTANCES;
  const rss = process.memoryUsage.rss() - rssBefore;

  const idle = Array.from({ length: 50 }, () => timed(() => tick(state, agenda)));
  yield atMost(`tick, ${INSTANCES} instances, nothing changed`, median(idle), 'ms', 1);

  const changed: number[] = [];
  const names = [...state.names.keys()].slice(0, CHANGED);
  for (let round = 0; round < 20; round += 1) {
    const events = names.map((name) => exitOf(state, name, round));
    changed.push(timed(() => {
      for (const event of events) put(state, event);
      tick(state, agenda);
    }));
    for (const event of running(state, names, round)) put(state, event);
    tick(state, agenda);
    tick(state, agenda);
  }
  yield atMost(`tick, ${INSTANCES} instances, ${CHANGED} changed`, median(changed), 'ms', 20);
  yield atMost('heap per instance at rest', perInstance / 1024, 'KiB', 4);
  yield known(`resident for ${INSTANCES} instances`, rss / 1024 / 1024, 'MiB');
}

/** Reads the same rows twice: bare, and as a replay that folds, decides again and compares. */
async function* replaying(): ReturnType<Bench> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  try {
    const store = openSqliteStore(folder);
    await store.ensureFleet('bench');
    const log = history(HISTORY_EVENTS);
    for (let from = 0; from < log.length; from += 5_000) {
      await store.append('bench', log.slice(from, from + 5_000), () => log[from]?.at ?? 0);
    }
    const bare: number[] = [];
    const whole: number[] = [];
    let differences = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      bare.push(log.length / bareRead(folder) * 1000);
      const began = performance.now();
      const result = await replay(emptyState('bench'), pages(store));
      whole.push(log.length / (performance.now() - began) * 1000);
      differences += result.differences.length;
    }
    await store.close();
    if (differences > 0) throw new Error(`the replay differs in ${differences} places; the figure would mean nothing`);
    yield known('bare read + JSON.parse', median(bare), 'events/s');
    yield known('replay', median(whole), 'events/s');
    yield atLeast('replay, of a bare read', median(whole) / median(bare), '×', 0.6, 'bare SQLite read + JSON.parse, same rows');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function* pages(store: ReturnType<typeof openSqliteStore>): AsyncGenerator<readonly StoredEvent[]> {
  for (let after = 0; ; ) {
    const page = await store.read('bench', { after, limit: 10_000 });
    if (page.length === 0) return;
    yield page;
    after = page[page.length - 1]?.seq ?? after;
  }
}
