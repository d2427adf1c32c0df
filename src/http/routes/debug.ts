/**
 * What the next tick would do, and what other ticks would have done. Changes nothing, ever; needs a token all the same,
 * since it shows facts and config (L64).
 */
import { z } from '@hono/zod-openapi';
import { freezePolicy } from '../../core/manifest/freeze.ts';
import { type PolicyDocument, policySchema } from '../../core/manifest/schema.ts';
import type { JsonObject, Policy } from '../../core/model.ts';
import { keyRefusal } from '../../core/what-if.ts';
import { type Control, Refusal } from '../../runtime/api.ts';
import { dryRun, replayed } from '../answers-debug.ts';
import { bodyPosition, fleetParams, name } from '../fields.ts';
import { REPLAY_EDITS } from '../limits.ts';
import { narrated } from '../narrated.ts';
import { json, jsonRoute, type Route } from '../route.ts';
import { OBSERVE_MS, REPLAY_ITEMS, REPLAY_MS } from '../../runtime/limits.ts';

/** It came out of `JSON.parse`, so what is in it is JSON. */
const jsonObject = z.record(z.string(), z.unknown()) as z.ZodType<JsonObject>;

/** Loose, so that what is no part of the policy can be refused in words that say why it cannot be tried. */
const triedPolicy = z.looseObject(policySchema.shape);

const replayBody = z.strictObject({
  from: bodyPosition.nullish(),
  to: bodyPosition.nullish(),
  instance: name.nullish(),
  policy: triedPolicy.nullish(),
  edits: z
    .array(
      z.union([z.strictObject({ drop: z.int().min(1) }), z.strictObject({ seq: z.int().min(1), data: jsonObject })], {
        error: 'expected { drop: seq } or { seq, data }',
      }),
    )
    .max(REPLAY_EDITS, `at most ${REPLAY_EDITS} edits`)
    .optional(),
  skip: z.int().min(0).nullish(),
  limit: z.int().min(0).max(REPLAY_ITEMS).nullish(),
});

export function debugRoutes(control: Control): readonly Route[] {
  return [
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/debug/reconcile-dry-run',
      tag: 'debug',
      summary: 'What the next tick would do',
      description:
        "The tick's own code with the facts that wait for it, stopped before the commit. With `observe` it looks at the targets first; what it sees is shown and not written. Covered by the scope read; shows parts of facts and config.",
      scope: 'read',
      params: fleetParams,
      body: { optional: true, schema: z.strictObject({ observe: z.boolean().optional() }) },
      lasts: () => OBSERVE_MS,
      answers: { 200: { description: 'The decisions that would be made', schema: dryRun } },
      handle: async ({ params, body, signal }) =>
        json(200, await control.dryRun(params.fleet, { observe: body.observe ?? false }, signal)),
    }),
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/debug/replay-events',
      tag: 'debug',
      summary: 'Decide a stretch of history again',
      description:
        'In a fresh state in memory, from the snapshot before `from`: what is computed, what was recorded, and the differences. With `policy` (keys as in a manifest) or `edits` it is a what-if, open loop: the recorded world does not answer to what is only computed. Lists are pages: `next` is the `skip` of the next one (say the same `from`, and `toSeq` as `to`); counts are whole. With `Accept: text/event-stream` it tells how far it is: events `progress`, then `result` or `problem`. Given up when the client goes. Covered by the scope read; shows facts and config.',
      scope: 'read',
      lasts: () => REPLAY_MS,
      params: fleetParams,
      body: { optional: true, schema: replayBody },
      answers: { 200: { description: 'The replay', schema: replayed } },
      async handle({ params, body, header, signal }) {
        const { from = null, to = null, instance = null, policy = null, edits = [], skip = null, limit = null } = body;
        const ask = { from, to, instance, policy: policy === null ? null : policyOf(policy), edits, skip, limit };
        if (header('accept')?.includes('text/event-stream') !== true)
          return json(200, await control.replay(params.fleet, ask, signal, () => undefined));
        return {
          kind: 'stream',
          type: 'text/event-stream; charset=utf-8',
          source: narrated((tell) => control.replay(params.fleet, ask, signal, tell)),
        };
      },
    }),
  ];
}

/** Only what was said: the rest stays as it was at the time. A `rollout` is taken whole, its gaps filled with the defaults. */
function policyOf(document: PolicyDocument): Partial<Policy> {
  const known = Object.keys(policySchema.shape);
  const strange = Object.keys(document).find((key) => !known.includes(key));
  if (strange !== undefined) throw new Refusal('invalid', 'what-if', keyRefusal(strange, known));
  const frozen = freezePolicy(document);
  const said = new Set(Object.keys(document).map((key) => (key === 'retryErrorEvery' ? 'retryErrorEveryMs' : key)));
  return Object.fromEntries(Object.entries(frozen).filter(([key]) => said.has(key)));
}
