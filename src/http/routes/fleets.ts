/** Fleets and their manifests: declare, read, drop; operator hold, release, override. */
import { z } from '@hono/zod-openapi';
import { MANIFEST_BYTES, MANIFEST_INSTANCES, MAX_SPAN_MS } from '../../core/limits.ts';
import { formatDuration } from '../../core/units.ts';
import type { Control } from '../../runtime/api.ts';
import { applied, fleet, listOf } from '../answers.ts';
import { mayFleet } from '../auth.ts';
import { duration, flag, fleetParams, msOf, name, reason, whole } from '../fields.ts';
import { Problem } from '../problem.ts';
import { json, jsonRoute, type Route, route, textRoute } from '../route.ts';

const ETAG = { ETag: 'The revision, for If-Match' };
const MANIFEST_TYPES = ['application/yaml', 'application/json'];

const scopeFields = {
  target: z.string().min(1).max(255).optional().openapi({ description: 'Only this target' }),
  instances: z.array(name).min(1).max(MANIFEST_INSTANCES).optional().openapi({ description: 'Only these instances' }),
};
const durable = z.looseObject({ seq: z.int() });

export function fleetRoutes(control: Control): readonly Route[] {
  return [
    textRoute({
      method: 'put',
      path: '/v1/fleets/{fleet}',
      tag: 'fleets',
      summary: 'Apply a manifest',
      description:
        'Creates the fleet if it is not there. Instances that the manifest no longer has are left alone, unless `prune` says how many are to be deleted; another number is refused.',
      scope: 'operate',
      params: fleetParams,
      query: z.strictObject({
        dryRun: flag.optional(),
        prune: whole(0, MANIFEST_INSTANCES).optional(),
        replace: flag.optional(),
      }),
      headers: z.object({
        'If-Match': z.string().optional().openapi({ description: 'The revision that the change is based on' }),
      }),
      body: { limitBytes: MANIFEST_BYTES, types: MANIFEST_TYPES, description: 'A manifest; see /schema/manifest.json' },
      answers: { 200: { description: 'What was done, or with `dryRun` would be', schema: applied, headers: ETAG } },
      async handle({ params, query, body, by, header }) {
        const result = await control.apply(params.fleet, {
          text: body,
          dryRun: query.dryRun ?? false,
          prune: query.prune ?? null,
          ifMatch: revisionOf(header('if-match')),
          replace: query.replace ?? false,
          by: by(),
        });
        return json(200, result, { ETag: etagOf(result.revision) });
      },
    }),
    route({
      method: 'get',
      path: '/v1/fleets',
      tag: 'fleets',
      summary: 'The fleets that the token may see',
      scope: 'read',
      answers: { 200: { description: 'Fleets', schema: listOf(fleet) } },
      async handle({ token }) {
        const all = await control.fleets();
        return json(200, { items: all.filter((view) => token !== null && mayFleet(token, view.fleet)), next: null });
      },
    }),
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}',
      tag: 'fleets',
      summary: 'One fleet',
      scope: 'read',
      params: fleetParams,
      answers: { 200: { description: 'The fleet', schema: fleet } },
      handle: async ({ params }) => json(200, await control.fleet(params.fleet)),
    }),
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/manifest',
      tag: 'fleets',
      summary: 'The manifest as it was applied',
      scope: 'read',
      params: fleetParams,
      query: z.strictObject({ revision: z.string().min(1).max(255).optional() }),
      answers: {
        200: {
          description: 'The manifest itself, ready to be changed and applied',
          schema: z.looseObject({}),
          headers: ETAG,
        },
      },
      async handle({ params, query }) {
        const { revision, manifest } = await control.manifest(params.fleet, query.revision ?? null);
        return json(200, manifest, { ETag: etagOf(revision) });
      },
    }),
    route({
      method: 'delete',
      path: '/v1/fleets/{fleet}',
      tag: 'fleets',
      summary: 'Forget an empty fleet, its log included',
      scope: 'admin',
      params: fleetParams,
      answers: { 204: { description: 'Gone' } },
      async handle({ params, by }) {
        await control.dropFleet(params.fleet, by());
        return { kind: 'empty' };
      },
    }),
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/hold',
      tag: 'fleets',
      summary: 'Let nothing act, except stops and deletions by name',
      description: `Durable and in force at once. Without \`for\` it holds until it is released; at most ${formatDuration(MAX_SPAN_MS)}.`,
      scope: 'operate',
      params: fleetParams,
      body: { schema: z.strictObject({ reason, for: duration.optional(), ...scopeFields }) },
      answers: { 200: { description: 'Held', schema: durable.extend({ id: z.string() }) } },
      async handle({ params, body, by }) {
        const { reason: why, for: span, target, instances } = body;
        const forMs = span === undefined ? null : msOf(span);
        return json(
          200,
          await control.hold(params.fleet, {
            reason: why,
            forMs,
            target: target ?? null,
            instances: instances ?? null,
            by: by(why),
          }),
        );
      },
    }),
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/release',
      tag: 'fleets',
      summary: 'Lift operator holds',
      description: 'Without `target` and `instances`: all of them.',
      scope: 'operate',
      params: fleetParams,
      body: { optional: true, schema: z.strictObject({ reason: reason.optional(), ...scopeFields }) },
      answers: { 200: { description: 'Lifted', schema: durable.extend({ released: z.int() }) } },
      async handle({ params, body, by }) {
        const { reason: why, target, instances } = body;
        return json(
          200,
          await control.release(params.fleet, { target: target ?? null, instances: instances ?? null, by: by(why) }),
        );
      },
    }),
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/override',
      tag: 'fleets',
      summary: 'Take responsibility for what a safety hold keeps from happening',
      description:
        'With `target`: heal there although more was lost at once than may be healed unasked; with `identity` as well: accept that another authority answers for it. With `rollout`: go on although a rollout failed.',
      scope: 'admin',
      params: fleetParams,
      body: {
        schema: z
          .strictObject({
            reason: reason.optional(),
            target: z.string().min(1).max(255).optional(),
            identity: z.string().min(1).max(1_024).optional(),
            rollout: z.boolean().optional(),
          })
          .refine(
            (ask) => ask.target !== undefined || ask.rollout === true,
            'say what to override: target, or rollout: true',
          )
          .refine(
            (ask) => ask.identity === undefined || ask.target !== undefined,
            'an identity belongs to a target: say which',
          ),
      },
      answers: { 200: { description: 'In force', schema: durable } },
      async handle({ params, body, by }) {
        const { target = null, identity = null, rollout = false } = body;
        return json(200, await control.override(params.fleet, { target, identity, rollout, by: by(body.reason) }));
      },
    }),
  ];
}

function etagOf(revision: string): string {
  return `"${revision}"`;
}

/** A bare revision is taken as well: people type it. */
function revisionOf(ifMatch: string | undefined): string | null {
  if (ifMatch === undefined) return null;
  const revision = /^(?:"([^"]{1,255})"|([^"*,\s/]{1,255}))$/.exec(ifMatch.trim());
  if (revision === null) throw new Problem('bad-request', 'If-Match has exactly one revision here, as ETag gave it.');
  return revision[1] ?? revision[2] ?? null;
}
