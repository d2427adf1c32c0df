/** How much Holdfast writes into its own log. Only for admins of every fleet: it is the log of the whole server. */
import { z } from '@hono/zod-openapi';
import type { Control } from '../../runtime/api.ts';
import { LOG_LEVELS } from '../../runtime/log.ts';
import { logLevel } from '../answers.ts';
import { json, jsonRoute, type Route, route } from '../route.ts';

export function logLevelRoutes(control: Control): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/log-level',
      tag: 'server',
      summary: "How much is written into the server's own log",
      scope: 'admin',
      allFleets: true,
      answers: { 200: { description: 'The level, and the configured one', schema: logLevel } },
      handle: async () => json(200, await control.logLevel()),
    }),
    jsonRoute({
      method: 'put',
      path: '/v1/log-level',
      tag: 'server',
      summary: "Change how much is written into the server's own log, until its next start",
      description: 'At once, and kept nowhere: the next start begins with the configured level (`--log-level`).',
      scope: 'admin',
      allFleets: true,
      body: { schema: z.strictObject({ level: z.enum(LOG_LEVELS) }) },
      answers: { 200: { description: 'The level, and the configured one', schema: logLevel } },
      handle: async ({ body }) => json(200, await control.setLogLevel(body.level)),
    }),
  ];
}
