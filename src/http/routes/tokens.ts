/** API tokens. Only for admins of every fleet: whoever makes tokens could otherwise make one that may more than they do. */
import { z } from '@hono/zod-openapi';
import type { Control } from '../../runtime/api.ts';
import { listOf, newToken, token } from '../answers.ts';
import { duration, msOf, name } from '../fields.ts';
import { json, jsonRoute, type Route, route } from '../route.ts';

export function tokenRoutes(control: Control): readonly Route[] {
  return [
    jsonRoute({
      method: 'post',
      path: '/v1/tokens',
      tag: 'tokens',
      summary: 'Make a token',
      description: 'The token is in this answer and nowhere else; only its hash is kept.',
      scope: 'admin',
      allFleets: true,
      body: {
        schema: z.strictObject({
          name,
          scope: z.enum(['read', 'operate', 'admin']),
          fleets: z.array(name).min(1).max(1_000).optional().openapi({ description: 'Left out: every fleet' }),
          expiresIn: duration.refine((text) => msOf(text) > 0, 'must be more than 0').optional(),
        }),
      },
      answers: { 201: { description: 'The token', schema: newToken } },
      async handle({ body }) {
        const { name: called, scope, fleets, expiresIn } = body;
        const expiresInMs = expiresIn === undefined ? null : msOf(expiresIn);
        return json(201, await control.createToken({ name: called, scope, fleets: fleets ?? null, expiresInMs }));
      },
    }),
    route({
      method: 'get',
      path: '/v1/tokens',
      tag: 'tokens',
      summary: 'The tokens, without themselves',
      scope: 'admin',
      allFleets: true,
      answers: { 200: { description: 'Names, scopes and times', schema: listOf(token) } },
      handle: async () => json(200, { items: await control.tokens(), next: null }),
    }),
    route({
      method: 'delete',
      path: '/v1/tokens/{name}',
      tag: 'tokens',
      summary: 'Void a token at once',
      scope: 'admin',
      allFleets: true,
      params: z.strictObject({ name: z.string().min(1).max(255) }),
      answers: { 204: { description: 'Void' } },
      async handle({ params }) {
        await control.dropToken(params.name);
        return { kind: 'empty' };
      },
    }),
  ];
}
