/** Resources that carry our label and that nobody declares: shown to whoever may read, removed only on an admin's word. */
import { z } from '@hono/zod-openapi';
import type { Control } from '../../runtime/api.ts';
import { listOf, orphan } from '../answers.ts';
import { fleetParams, reason } from '../fields.ts';
import { json, jsonRoute, type Route, route } from '../route.ts';

export function orphanRoutes(control: Control): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/orphans',
      tag: 'orphans',
      summary: 'What runs under our label and is declared by nobody',
      scope: 'read',
      params: fleetParams,
      answers: { 200: { description: 'Orphans', schema: listOf(orphan) } },
      handle: async ({ params }) => json(200, { items: await control.orphans(params.fleet), next: null }),
    }),
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/orphans/prune',
      tag: 'orphans',
      summary: 'Remove the orphans; their data stays',
      description:
        '`expected` is how many the caller saw; another number is refused, as is a listing of which more than half is unrecognised.',
      scope: 'admin',
      params: fleetParams,
      body: { schema: z.strictObject({ expected: z.int().min(0), reason: reason.optional() }) },
      answers: { 200: { description: 'What was removed', schema: listOf(orphan) } },
      async handle({ params, body, by }) {
        return json(200, {
          items: await control.pruneOrphans(params.fleet, body.expected, by(body.reason)),
          next: null,
        });
      },
    }),
  ];
}
