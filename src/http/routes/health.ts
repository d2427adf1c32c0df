/** What machines ask about the control plane itself: alive, ready, metrics, schemas. */
import { z } from '@hono/zod-openapi';
import { manifestJsonSchema } from '../../core/manifest/schema.ts';
import type { Control } from '../../runtime/api.ts';
import { readiness } from '../answers.ts';
import { unavailable } from '../problem.ts';
import { json, type Route, route } from '../route.ts';

const document = z.looseObject({});

export function healthRoutes(control: Control, openApi: () => object): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/healthz',
      tag: 'health',
      summary: 'Whether the process can go on by itself',
      description:
        'Fails, and says why, while a loop is stuck though its store answers: then a new start would help, and nothing else. What is wrong around it (a store or a target that is down) is told by `/readyz`.',
      scope: 'open',
      uncounted: true,
      answers: { 200: { description: 'It can', schema: z.object({ ok: z.literal(true) }) } },
      async handle() {
        const { ready, because } = await control.alive();
        if (ready) return json(200, { ok: true });
        throw unavailable(`${because.join(' ')} Start Holdfast anew; agents run on.`, { members: { because } });
      },
    }),
    route({
      method: 'get',
      path: '/readyz',
      tag: 'health',
      summary: 'Whether the control plane does its work',
      description:
        'Fails while a fleet has no owner or its loop is wedged, and says why. The reasons name fleets and targets, never secrets, and are shown without a token: whoever is woken up by this needs them.',
      scope: 'open',
      answers: { 200: { description: 'Ready', schema: readiness } },
      async handle() {
        const { ready, because } = await control.ready();
        if (ready) return json(200, { ready, because });
        throw unavailable(because.join(' ') || 'Not ready.', { members: { ready, because } });
      },
    }),
    route({
      method: 'get',
      path: '/metrics',
      tag: 'health',
      summary: 'Metrics in the Prometheus text format',
      scope: 'read',
      allFleets: true,
      answers: { 200: { description: 'All metrics', type: 'text/plain', schema: z.string() } },
      handle: async () => ({
        kind: 'text',
        type: 'text/plain; version=0.0.4; charset=utf-8',
        text: await control.metrics(),
      }),
    }),
    route({
      method: 'get',
      path: '/openapi.json',
      tag: 'health',
      summary: 'This document',
      scope: 'open',
      answers: { 200: { description: 'OpenAPI 3.1', schema: document } },
      handle: async () => json(200, openApi()),
    }),
    route({
      method: 'get',
      path: '/schema/manifest.json',
      tag: 'health',
      summary: 'The JSON Schema (2020-12) of a manifest, for editors',
      scope: 'open',
      answers: { 200: { description: 'JSON Schema', type: 'application/schema+json', schema: document } },
      handle: async () => json(200, manifestJsonSchema(), { 'Content-Type': 'application/schema+json' }),
    }),
  ];
}
