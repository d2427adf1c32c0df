/**
 * The stretch of the log that a replay is asked for, as two places in it; what is no stretch is refused, saying why.
 *
 *  - `from` may lie before the log's beginning only where nothing has been dropped: then it is the beginning.
 *  - A time means the first event from then on (`from`), the last one until then (`to`); a `to` beyond now is now.
 *  - A stretch of time in which nothing was written is empty, and no mistake.
 *  - A tick and the flaps that it said are one transaction: an end between them is moved behind it.
 */
import { iso } from '../../core/time.ts';
import { Refusal, type ReplayAsk } from '../api.ts';
import type { Fleet } from '../fleet.ts';
import { READ_PAGE_EVENTS } from '../limits.ts';
import type { World } from '../world.ts';
import { beyondRetention, earliestReachable, timeIn, type Place } from './history.ts';

export interface Range {
  /** First event. */
  readonly from: number;
  /** Last event; `from - 1` for an empty stretch. */
  readonly to: number;
}

export async function rangeOf(world: World, fleet: Fleet, ask: Pick<ReplayAsk, 'from' | 'to'>): Promise<Range> {
  const head = fleet.loop.state.seq;
  if (head === 0) throw none(`the log of fleet "${fleet.name}" is empty: there is nothing to replay`);
  const earliest = await earliestReachable(world, fleet.name);
  if (earliest === null) throw beyondRetention(fleet.name, 'the beginning of the log', null);
  const end = { seq: head, at: fleet.loop.time() };
  if (reversed(ask.from, ask.to))
    throw none(`the range is reversed: it begins at ${said(ask.from)} and ends at ${said(ask.to)}`);
  const from = ask.from === null ? earliest.seq : await first(world, fleet.name, ask.from, earliest, end);
  const to = ask.to === null ? head : await last(world, fleet.name, ask.to, end);
  if (to < earliest.seq - 1) throw beyondRetention(fleet.name, `what was before ${said(ask.to)}`, earliest);
  if (from > to + 1)
    throw none(`the range is reversed: it begins at event ${from} and ends at event ${to} (the log's last is ${head})`);
  return { from, to: await transactionEnd(world, fleet.name, from, to) };
}

type Bound = { readonly seq: number; readonly at: number };

async function first(world: World, fleet: string, asked: Place, earliest: Bound, end: Bound): Promise<number> {
  const time = timeIn(asked);
  if (time === null) {
    const seq = Math.max(1, Number(asked));
    if (seq > end.seq) throw ahead(`event ${seq}`, end);
    if (seq < earliest.seq) throw beyondRetention(fleet, `event ${seq}`, earliest);
    return seq;
  }
  if (time > end.at) throw ahead(said(asked), end);
  if (time < earliest.at && earliest.seq > 1) throw beyondRetention(fleet, `what was at ${said(asked)}`, earliest);
  return Math.max(earliest.seq, (await world.store.seqAt(fleet, time - 1)) + 1);
}

async function last(world: World, fleet: string, asked: Place, end: Bound): Promise<number> {
  const time = timeIn(asked);
  if (time !== null) return time >= end.at ? end.seq : world.store.seqAt(fleet, time);
  const seq = Number(asked);
  if (seq > end.seq) throw ahead(`event ${seq}`, end);
  return seq;
}

/** Of one kind, so that it can be said before anything is read. */
function reversed(from: Place | null, to: Place | null): boolean {
  if (from === null || to === null) return false;
  const [begins, ends] = [timeIn(from), timeIn(to)];
  if (begins === null || ends === null) return begins === null && ends === null && Number(from) > Number(to);
  return begins > ends;
}

async function transactionEnd(world: World, fleet: string, from: number, to: number): Promise<number> {
  let end = to;
  for (;;) {
    if (end < from) return end;
    const page = await world.store.read(fleet, { after: end, limit: READ_PAGE_EVENTS });
    const next = page.findIndex(({ type }) => type !== 'flap.observed');
    if (next >= 0) return end + next;
    if (page.length < READ_PAGE_EVENTS) return end + page.length;
    end += page.length;
  }
}

const said = (place: Place | null): string =>
  typeof place === 'number' || (place !== null && /^\d+$/.test(place)) ? `event ${place}` : String(place);

const none = (message: string): Refusal => new Refusal('invalid', 'range', message);

const ahead = (what: string, end: Bound): Refusal =>
  none(`${what} lies ahead: the log's last is event ${end.seq}, and for the fleet it is ${iso(end.at)} now`);
