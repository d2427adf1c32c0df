/** The log of a fleet: page by page, and as it is written. */
import { z } from '@hono/zod-openapi';
import type { Control } from '../../runtime/api.ts';
import { event, listOf } from '../answers.ts';
import { fleetParams, name, position, seq, whole } from '../fields.ts';
import { EVENTS_DEFAULT, EVENTS_LIMIT } from '../limits.ts';
import { json, type Route, route } from '../route.ts';
import { bytes, eventStream, positionOf } from '../sse.ts';

export function eventRoutes(control: Control): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/events',
      tag: 'events',
      summary: 'Events in order',
      description:
        'From `from` to `to`, both included, each a seq or a time; `after` takes the `next` of the page before. With `instance`: its own events, the ticks that decided something of it and the commands that name it, also of one that is no longer declared; a page may hold few or none and still have a `next`.',
      scope: 'read',
      params: fleetParams,
      query: z.strictObject({
        from: position.optional(),
        to: position.optional(),
        instance: name.optional(),
        after: seq.optional(),
        limit: whole(1, EVENTS_LIMIT)
          .optional()
          .openapi({ type: 'integer', minimum: 1, maximum: EVENTS_LIMIT, default: EVENTS_DEFAULT }),
      }),
      answers: { 200: { description: 'A page', schema: listOf(event) } },
      async handle({ params, query }) {
        const from = query.from === undefined ? 0 : await before(control, params.fleet, query.from);
        const page = await control.events(params.fleet, {
          after: Math.max(from, query.after ?? 0),
          to: query.to === undefined ? null : await upTo(control, params.fleet, query.to),
          instance: query.instance ?? null,
          limit: query.limit ?? EVENTS_DEFAULT,
        });
        return json(200, page);
      },
    }),
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/log',
      tag: 'debug',
      summary: 'The log as a file, to be looked at elsewhere',
      description:
        'A line of JSON for its head (with the state before it, if it does not begin at the beginning), one for each event, one for its end. Values of environments and configs, output of agents and the manifest are left out; hashes, names, commands, labels and error messages stay, so that it replays as it did. A file without its last line was cut off.',
      scope: 'read',
      streams: true,
      params: fleetParams,
      query: z.strictObject({ from: position.optional() }),
      answers: { 200: { description: 'Lines of JSON', type: 'application/x-ndjson', schema: z.string() } },
      async handle({ params, query }) {
        const lines = await control.exportLog(params.fleet, query.from ?? null);
        return {
          kind: 'stream',
          type: 'application/x-ndjson; charset=utf-8',
          source: { chunks: encoded(lines), opening: null, beat: null, lastWords: null },
        };
      },
    }),
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/watch',
      tag: 'events',
      summary: 'Events as they are written (server-sent events)',
      description:
        '`id` is the seq, `event` the type, `data` the event. From now on, or after `Last-Event-ID` or `after`. What breaks off says so with an event `problem`.',
      scope: 'read',
      streams: true,
      params: fleetParams,
      query: z.strictObject({ after: seq.optional() }),
      headers: z.object({
        'Last-Event-ID': z.string().optional().openapi({ description: 'The last event that was seen' }),
      }),
      answers: { 200: { description: 'A stream without end', type: 'text/event-stream', schema: z.string() } },
      async handle({ params, query, header, signal }) {
        const position = positionOf(header('last-event-id'), query.after);
        const { head } = await control.fleet(params.fleet);
        // Asked before the stream begins, so that a place that is no longer kept is a 410 and no broken stream.
        if (position !== null)
          await control.events(params.fleet, { after: position, to: null, instance: null, limit: 1 });
        return {
          kind: 'stream',
          type: 'text/event-stream; charset=utf-8',
          source: eventStream(control.watch(params.fleet, position ?? head, signal)),
        };
      },
    }),
  ];
}

async function* encoded(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  for await (const some of lines) yield bytes(some);
}

/** The seq after which the given place begins. */
async function before(control: Control, fleet: string, place: string): Promise<number> {
  return isSeq(place) ? Math.max(0, Number(place) - 1) : control.seqAt(fleet, Date.parse(place) - 1);
}

/** The last seq of the given place. */
async function upTo(control: Control, fleet: string, place: string): Promise<number> {
  return isSeq(place) ? Number(place) : control.seqAt(fleet, Date.parse(place));
}

function isSeq(place: string): boolean {
  return /^\d+$/.test(place);
}
