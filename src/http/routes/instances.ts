/** Instances: list, look, why, logs. */
import { z } from '@hono/zod-openapi';
import type { Control, InstanceView } from '../../runtime/api.ts';
import { instance, listedInstance, listOf, why } from '../answers.ts';
import { flag, fleetParams, instanceParams, labels, phase, position, whole } from '../fields.ts';
import { LIST_DEFAULT, LIST_LIMIT, TAIL_DEFAULT, TAIL_LIMIT } from '../limits.ts';
import { Problem } from '../problem.ts';
import { json, type Route, route } from '../route.ts';

export function instanceRoutes(control: Control): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/instances',
      tag: 'instances',
      summary: 'Instances by name, without their specs',
      scope: 'read',
      params: fleetParams,
      query: z.strictObject({
        phase: phase.optional(),
        label: labels.optional(),
        limit: whole(1, LIST_LIMIT)
          .optional()
          .openapi({ type: 'integer', minimum: 1, maximum: LIST_LIMIT, default: LIST_DEFAULT }),
        cursor: z.string().min(1).max(1_024).optional().openapi({ description: '`next` of the page before' }),
      }),
      repeated: ['label'],
      answers: { 200: { description: 'A page', schema: listOf(listedInstance) } },
      async handle({ params, query }) {
        const page = await control.instances(params.fleet, {
          phase: query.phase ?? null,
          labels: query.label ?? {},
          limit: query.limit ?? LIST_DEFAULT,
          cursor: query.cursor === undefined ? null : opened(query.cursor),
        });
        return json(200, { items: page.items.map(withoutSpec), next: page.next === null ? null : closed(page.next) });
      },
    }),
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/instances/{name}',
      tag: 'instances',
      summary: 'One instance, with its spec',
      scope: 'read',
      params: instanceParams,
      answers: { 200: { description: 'The instance', schema: instance } },
      handle: async ({ params }) => json(200, await control.instance(params.fleet, params.name)),
    }),
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/instances/{name}/why',
      tag: 'instances',
      summary: 'Why it is as it is',
      description:
        'The rule that decided, the facts it rests on, what was ruled out before it, what holds it and what would change it; now, or at a seq or time. Shows parts of facts and config to the scope read.',
      scope: 'read',
      params: instanceParams,
      query: z.strictObject({ at: position.optional() }),
      answers: { 200: { description: 'The explanation', schema: why } },
      handle: async ({ params, query }) => json(200, await control.why(params.fleet, params.name, query.at ?? null)),
    }),
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/instances/{name}/logs',
      tag: 'instances',
      summary: "The agent's own output",
      description:
        'The last lines, then with `follow` whatever comes. The scope read sees everything that the agent writes.',
      scope: 'read',
      streams: true,
      params: instanceParams,
      query: z.strictObject({
        follow: flag.optional(),
        tail: whole(0, TAIL_LIMIT)
          .optional()
          .openapi({ type: 'integer', minimum: 0, maximum: TAIL_LIMIT, default: TAIL_DEFAULT }),
        previous: flag.optional().openapi({ type: 'boolean', description: 'Of the life before the present one' }),
      }),
      answers: {
        200: {
          description: 'Text as it was written; a connection that breaks off is not the end',
          type: 'text/plain',
          schema: z.string(),
        },
      },
      async handle({ params, query, signal }) {
        const { follow = false, tail = TAIL_DEFAULT, previous = false } = query;
        const chunks = await control.logs(params.fleet, params.name, { follow, tail, previous }, signal);
        return {
          kind: 'stream',
          type: 'text/plain; charset=utf-8',
          source: { chunks, opening: null, beat: null, lastWords: null },
        };
      },
    }),
  ];
}

function withoutSpec(view: InstanceView): Omit<InstanceView, 'spec'> {
  const { spec: _left, ...rest } = view;
  return rest;
}

/** Cursors are closed to clients, so that what is in them may change. */
function closed(cursor: string): string {
  return Buffer.from(cursor, 'utf8').toString('base64url');
}

function opened(cursor: string): string {
  const inside = Buffer.from(cursor, 'base64url').toString('utf8');
  if (closed(inside) !== cursor) {
    const message = 'none of ours: pass on `next` as it came';
    throw new Problem('invalid', `query.cursor: ${message}`, {
      errors: [{ path: 'query.cursor', line: null, message }],
    });
  }
  return inside;
}
