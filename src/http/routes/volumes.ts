/** Data that outlived its instances: shown to whoever may read, deleted one by one, by name, on an admin's word. */
import { z } from '@hono/zod-openapi';
import type { Control } from '../../runtime/api.ts';
import { listOf, volume } from '../answers.ts';
import { fleetParams } from '../fields.ts';
import { json, type Route, route } from '../route.ts';

/** Names as engines give them. */
const volumeParams = fleetParams.extend({
  volume: z.string().regex(/^[A-Za-z0-9][\w.-]{0,254}$/, 'expected the name of a volume'),
});

export function volumeRoutes(control: Control): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/volumes',
      tag: 'volumes',
      summary: 'Retained data volumes, which no resource holds',
      scope: 'read',
      params: fleetParams,
      answers: { 200: { description: 'Volumes', schema: listOf(volume) } },
      handle: async ({ params }) => json(200, { items: await control.volumes(params.fleet), next: null }),
    }),
    route({
      method: 'delete',
      path: '/v1/fleets/{fleet}/volumes/{volume}',
      tag: 'volumes',
      summary: 'Delete retained data for good',
      scope: 'admin',
      params: volumeParams,
      answers: { 200: { description: 'What was deleted', schema: volume } },
      handle: async ({ params, by }) => json(200, await control.removeVolume(params.fleet, params.volume, by())),
    }),
  ];
}
