/**
 * What the next tick would do, and what other ticks would have done. Changes nothing, ever; needs a token all the same,
 * since it shows facts and config (L64).
 */
import { z } from '@hono/zod-openapi';
import { freezePolicy } from '../../core/manifest/freeze.ts';
import { type PolicyDocument, policySchema } from '../../core/manifest/schema.ts';
import type { JsonObject, Policy } from '../../core/model.ts';
import type { Control } from '../../runtime/api.ts';
import { dryRun, replayed } from '../answers.ts';
import { bodyPosition, fleetParams, name } from '../fields.ts';
import { REPLAY_EDITS } from '../limits.ts';
import { json, jsonRoute, type Route } from '../route.ts';

/** It came out of `JSON.parse`, so what is in it is JSON. */
const jsonObject = z.record(z.string(), z.unknown()) as z.ZodType<JsonObject>;

const replayBody = z.strictObject({
  from: bodyPosition.nullish(),
  to: bodyPosition.nullish(),
  instance: name.nullish(),
  policy: policySchema.nullish(),
  edits: z
    .array(
      z.union([z.strictObject({ drop: z.int().min(1) }), z.strictObject({ seq: z.int().min(1), data: jsonObject })], {
        error: 'expected { drop: seq } or { seq, data }',
      }),
    )
    .max(REPLAY_EDITS, `at most ${REPLAY_EDITS} edits`)
    .optional(),
});

export function debugRoutes(control: Control): readonly Route[] {
  return [
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/debug/reconcile-dry-run',
      tag: 'debug',
      summary: 'What the next tick would do',
      description:
        "The tick's own code with the facts that wait for it, stopped before the commit. Covered by the scope read; shows parts of facts and config.",
      scope: 'read',
      params: fleetParams,
      body: { optional: true, schema: z.strictObject({}) },
      answers: { 200: { description: 'The decisions that would be made', schema: dryRun } },
      handle: async ({ params }) => json(200, await control.dryRun(params.fleet)),
    }),
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/debug/replay-events',
      tag: 'debug',
      summary: 'Decide a stretch of history again',
      description:
        'In a fresh state in memory, from the snapshot before `from`: what is computed, what was recorded, and the differences. With `policy` (keys as in a manifest) or `edits` it is a what-if. Covered by the scope read; shows facts.',
      scope: 'read',
      params: fleetParams,
      body: { optional: true, schema: replayBody },
      answers: { 200: { description: 'The replay', schema: replayed } },
      async handle({ params, body }) {
        const { from = null, to = null, instance = null, policy = null, edits = [] } = body;
        return json(
          200,
          await control.replay(params.fleet, {
            from,
            to,
            instance,
            policy: policy === null ? null : policyOf(policy),
            edits,
          }),
        );
      },
    }),
  ];
}

/** Only what was said: the rest stays as it was at the time. A `rollout` is taken whole, its gaps filled with the defaults. */
function policyOf(document: PolicyDocument): Partial<Policy> {
  const frozen = freezePolicy(document);
  const said = new Set(Object.keys(document).map((key) => (key === 'retryErrorEvery' ? 'retryErrorEveryMs' : key)));
  return Object.fromEntries(Object.entries(frozen).filter(([key]) => said.has(key)));
}
