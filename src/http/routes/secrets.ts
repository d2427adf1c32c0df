/** Stored secrets. Write-only: a value goes in, and no answer ever has it. */
import { z } from '@hono/zod-openapi';
import { SECRET_BYTES } from '../../core/limits.ts';
import { isSecretName, SECRET_NAME_WORDS } from '../../core/secrets.ts';
import type { Control } from '../../runtime/api.ts';
import { listOf, secret, storedSecret } from '../answers.ts';
import { fleetParams } from '../fields.ts';
import { json, jsonRoute, type Route, route } from '../route.ts';

const secretParams = fleetParams.extend({
  name: z.string().max(255).refine(isSecretName, SECRET_NAME_WORDS),
});

export function secretRoutes(control: Control): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/secrets',
      tag: 'secrets',
      summary: 'The stored secrets: names, versions, who uses them',
      scope: 'read',
      params: fleetParams,
      answers: { 200: { description: 'Never their values', schema: listOf(secret) } },
      handle: async ({ params }) => json(200, { items: await control.secrets(params.fleet), next: null }),
    }),
    jsonRoute({
      method: 'put',
      path: '/v1/fleets/{fleet}/secrets/{name}',
      tag: 'secrets',
      summary: 'Store a secret, or a new version of it',
      description:
        'Whoever is declared with it is brought to the new version by a rollout. Creates the fleet if it is not there.',
      scope: 'operate',
      params: secretParams,
      body: {
        schema: z.strictObject({
          value: z.string().openapi({
            writeOnly: true,
            description: `At most ${SECRET_BYTES} bytes of UTF-8, not empty, without NUL`,
          }),
        }),
      },
      answers: { 200: { description: 'Stored, and in force', schema: storedSecret } },
      handle: async ({ params, body, by }) =>
        json(200, await control.putSecret(params.fleet, params.name, body.value, by())),
    }),
    route({
      method: 'delete',
      path: '/v1/fleets/{fleet}/secrets/{name}',
      tag: 'secrets',
      summary: 'Delete a secret that nobody uses, with all its versions',
      scope: 'operate',
      params: secretParams,
      answers: { 204: { description: 'Gone' } },
      async handle({ params, by }) {
        await control.deleteSecret(params.fleet, params.name, by());
        return { kind: 'empty' };
      },
    }),
  ];
}
