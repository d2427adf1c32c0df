/**
 * What holds in every store, whatever it keeps its rows in: how an append is stamped and written, how a page is read,
 * and the sentences with which a store refuses. A store adds only storage and locking to this.
 */
import { readRow } from '../core/event-shapes.ts';
import type { EventRow } from '../core/event-shapes.ts';
import { EVENT_VERSIONS } from '../core/events.ts';
import type { NewEvent, StoredEvent } from '../core/events.ts';
import { FencedError, StoreError } from '../ports/store.ts';

/** Snapshots kept per fleet: the newest, and one to fall back on. */
export const SNAPSHOTS_KEPT = 2;
/** Rows removed per transaction by `retain`: about 10 ms each, so that a large clean-up never stalls a tick. */
export const RETAIN_BATCH_ROWS = 5_000;

/** The lock's view of a log: what an append needs to know, read under the lock. */
export interface LogHead {
  readonly head: number;
  readonly lastAt: number;
  readonly epoch: number;
}

/** A row on its way into the log; `data` and `by` are JSON text. */
export interface NewRow extends EventRow {
  readonly data: string;
}

export interface Stamped {
  readonly rows: readonly NewRow[];
  readonly events: readonly StoredEvent[];
  readonly head: number;
  readonly at: number;
}

/**
 * Gives events their place and time behind `log`. What is returned went through the text that is stored and through
 * the reader of every later replay: a caller folds exactly what a replay will fold, and an event that would be
 * quarantined when read is refused when written. That is a bug of the caller, hence a TypeError.
 */
export function stampEvents(fleet: string, log: LogHead, events: readonly NewEvent[], now: () => number): Stamped {
  const at = Math.max(Math.floor(now()), log.lastAt);
  if (!Number.isSafeInteger(at)) throw new TypeError(`the clock of fleet "${fleet}" answered no time`);
  const rows = events.map((event, i) => rowOf(event, log.head + 1 + i, at));
  return { rows, events: rows.map((row) => readOwn(fleet, row)), head: log.head + rows.length, at };
}

function rowOf(event: NewEvent, seq: number, at: number): NewRow {
  return {
    seq,
    at,
    type: event.type,
    v: EVENT_VERSIONS[event.type],
    instance: event.instance ?? null,
    uid: event.uid ?? null,
    data: JSON.stringify(event.data),
    by: event.by === undefined ? null : JSON.stringify(event.by),
  };
}

function readOwn(fleet: string, row: NewRow): StoredEvent {
  const read = readRow(row);
  if (read.kind === 'newer') throw new TypeError(`fleet "${fleet}": ${row.type} is not an event type`);
  const { event } = read;
  if (event.type === 'event.quarantined' && row.type !== 'event.quarantined') {
    throw new TypeError(`fleet "${fleet}": refused to write a broken event: ${event.data.message}`);
  }
  return event;
}

/** One stored row as an event; a newer one is refused. */
export function readStored(fleet: string, row: EventRow): StoredEvent {
  const read = readRow(row);
  if (read.kind === 'event') return read.event;
  throw new StoreError('newer-schema', `In the log of fleet "${fleet}" ${read.message}. Upgrade this Holdfast.`);
}

/** Invariant 11: a page without a filter has no hole. */
export function checkGapless(fleet: string, page: readonly StoredEvent[]): void {
  const first = page[0];
  const last = page.at(-1);
  if (first === undefined || last === undefined || last.seq - first.seq === page.length - 1) return;
  throw new StoreError(
    'corrupt',
    `The log of fleet "${fleet}" has a hole between events ${first.seq} and ${last.seq}: ` +
      `${last.seq - first.seq + 1 - page.length} are missing. Restore the data from a backup.`,
  );
}

/** A tick is decided on exactly 1…head (DESIGN §4): what it sees begins at `after` + 1 and ends at `head`. */
export function checkFresh(fleet: string, after: number, head: number, fresh: readonly StoredEvent[]): void {
  if (after > head) {
    throw new StoreError(
      'corrupt',
      `The log of fleet "${fleet}" ends at event ${head}, but events up to ${after} were already acted on: ` +
        'an older copy of the data was put in place. Restart Holdfast to start from what is there.',
    );
  }
  if (fresh.length === head - after) return;
  throw new StoreError(
    'corrupt',
    `The log of fleet "${fleet}" holds ${fresh.length} of the ${head - after} events after ${after}: ` +
      'the others were removed by retention or are lost. Restart Holdfast to start from its newest snapshot.',
  );
}

export function checkEpoch(fleet: string, log: LogHead, epoch: number): void {
  if (log.epoch === epoch) return;
  throw new FencedError(`Fleet "${fleet}" was taken by another owner (epoch ${log.epoch}; ours is ${epoch}).`);
}

export function checkExpected(fleet: string, log: LogHead, expect: number | undefined): void {
  if (expect === undefined || log.head === expect) return;
  throw new StoreError('conflict', `The log of fleet "${fleet}" is at event ${log.head}, no longer at ${expect}.`);
}

export function checkSnapshot(fleet: string, seq: number, head: number): void {
  if (seq <= head) return;
  throw new StoreError('conflict', `A snapshot at event ${seq} is ahead of the log of fleet "${fleet}" (${head}).`);
}

/** The last seq that `retain` may drop: older than both bounds, not above the newest snapshot; 0 without one. */
export function retainLimit(head: number, newestSnapshot: number | null, keepEvents: number): number {
  return newestSnapshot === null ? 0 : Math.min(newestSnapshot, head - Math.max(0, keepEvents));
}

export function unknownFleet(fleet: string): StoreError {
  return new StoreError('unknown-fleet', `There is no fleet "${fleet}" in this store.`);
}

export function closedStore(): StoreError {
  return new StoreError('unreachable', 'The store was closed.');
}

/** Refuses a schema that a newer build made. `where` names it, without secrets. */
export function newerSchema(where: string, found: number, known: number): StoreError {
  return new StoreError(
    'newer-schema',
    `The data in ${where} was written by a newer Holdfast (schema ${found}, where this build knows ${known}): ` +
      'upgrade Holdfast, or restore a backup made before the upgrade.',
  );
}
