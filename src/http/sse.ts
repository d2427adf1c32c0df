/**
 * The fleet's log as server-sent events: `id` is the seq, `event` the type, `data` the event in the shape of `GET …/events`.
 * A client that connects again with its last id misses nothing and sees nothing twice.
 */
import type { StoredEvent } from '../core/events.ts';
import { iso } from '../core/time.ts';
import type { EventView } from '../runtime/api.ts';
import { SSE_RETRY_MS } from './limits.ts';
import { Problem, problemDocument } from './problem.ts';
import type { StreamSource } from './route.ts';

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

export function eventStream(events: AsyncIterable<StoredEvent>): StreamSource {
  return {
    chunks: encode(events),
    opening: bytes(`retry: ${SSE_RETRY_MS}\n: watching\n\n`),
    beat: bytes(': still here\n\n'),
    lastWords,
  };
}

/** Why a stream ends before its time. */
export const lastWords = (problem: Problem): Uint8Array =>
  bytes(`event: problem\ndata: ${JSON.stringify(problemDocument(problem))}\n\n`);

async function* encode(events: AsyncIterable<StoredEvent>): AsyncGenerator<Uint8Array> {
  for await (const event of events) {
    yield bytes(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(viewOf(event))}\n\n`);
  }
}

function viewOf(event: StoredEvent): Omit<EventView, 'data'> & { readonly data: unknown } {
  const { seq, at, type, instance, uid, data, by } = event;
  return {
    seq,
    at: iso(at),
    type,
    ...(instance === undefined ? {} : { instance }),
    ...(uid === undefined ? {} : { uid }),
    data,
    ...(by === undefined ? {} : { by }),
  };
}

/** Where to go on after: the header of a reconnecting client, else what the query says; null: from now on. */
export function positionOf(lastEventId: string | undefined, after: number | undefined): number | null {
  if (lastEventId === undefined || lastEventId === '') return after ?? null;
  if (!/^\d{1,15}$/.test(lastEventId)) {
    throw new Problem('bad-request', 'Last-Event-ID is the id of an event, a whole number.');
  }
  return Number(lastEventId);
}
