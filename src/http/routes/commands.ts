/**
 * Commands to instances. The answer comes when the command is in the log; from then on it is carried out whatever becomes
 * of the client (L35). With `wait` it comes when the command has come about, failed or is held: never an OK that nobody
 * verified (L13).
 */
import { z } from '@hono/zod-openapi';
import type { Verb } from '../../core/events.ts';
import { MANIFEST_INSTANCES } from '../../core/limits.ts';
import type { CommandResult, Control } from '../../runtime/api.ts';
import { accepted, bulk, settled } from '../answers.ts';
import { flag, fleetParams, given, instanceParams, msOf, name, phase, reason, wait } from '../fields.ts';
import { LABELS } from '../limits.ts';
import { type Answer, json, jsonRoute, type Route, route } from '../route.ts';

const VERBS: { readonly [V in Verb]: string } = {
  reconcile: 'Try again, whatever was given up on',
  stop: 'Stop it and keep it stopped; resource and data stay',
  resume: 'Let a stopped one run again',
  restart: 'Restart it; a planned restart counts as no crash',
  wake: 'Wake a sleeping one',
  sleep: 'Let a lazy one sleep until it is needed',
};
const VERB_NAMES = Object.keys(VERBS) as [Verb, ...Verb[]];

const waiting = { wait: wait.optional() };
const lasts = (query: { wait?: string | undefined }): number | null =>
  query.wait === undefined ? null : msOf(query.wait);
const ANSWERS = {
  200: { description: 'With `wait`: how it came out', schema: settled },
  202: {
    description: 'It is in the log. With `wait`: it has not come about in that time, `outcome` is `timeout`',
    schema: accepted,
  },
};

export function commandRoutes(control: Control): readonly Route[] {
  return [
    ...VERB_NAMES.map((verb) => verbRoute(control, verb)),
    route({
      method: 'delete',
      path: '/v1/fleets/{fleet}/instances/{name}',
      tag: 'commands',
      summary: 'Delete an instance',
      description:
        'It is DELETING until its absence is proved. `data`: what becomes of its volumes; as its spec declares, unless said. `forget`: give up on a resource that cannot be reached; it is recorded as an orphan.',
      scope: 'operate',
      params: instanceParams,
      query: z.strictObject({ data: z.enum(['keep', 'delete']).optional(), forget: flag.optional(), ...waiting }),
      lasts,
      answers: ANSWERS,
      async handle({ params, query, by, signal }) {
        const ask = { data: query.data ?? null, forget: query.forget ?? false };
        const result = await control.delete(params.fleet, params.name, ask, by());
        return answerOf(control, params.fleet, result, query.wait, signal);
      },
    }),
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/commands',
      tag: 'commands',
      summary: 'One command to many instances',
      description:
        'An empty `select` is the whole fleet; what it names must all match. With `dryRun` it says whom it would reach.',
      scope: 'operate',
      params: fleetParams,
      body: {
        schema: z.strictObject({
          verb: z.enum(VERB_NAMES),
          select: z.strictObject({
            names: z.array(name).max(MANIFEST_INSTANCES).optional(),
            labels: z
              .record(z.string().min(1).max(63), z.string().max(256))
              .refine((pairs) => Object.keys(pairs).length <= LABELS, `at most ${LABELS} labels`)
              .optional(),
            phase: phase.optional(),
            target: z.string().min(1).max(255).optional(),
          }),
          reason: reason.optional(),
          dryRun: z.boolean().optional(),
        }),
      },
      answers: {
        200: { description: 'With `dryRun`', schema: bulk },
        202: { description: 'What was accepted is in the log; what was not says why', schema: bulk },
      },
      async handle({ params, body, by }) {
        const dryRun = body.dryRun ?? false;
        return json(
          dryRun ? 200 : 202,
          await control.bulk(params.fleet, body.verb, given(body.select), dryRun, by(body.reason)),
        );
      },
    }),
  ];
}

function verbRoute(control: Control, verb: Verb): Route {
  return jsonRoute({
    method: 'post',
    path: `/v1/fleets/{fleet}/instances/{name}/${verb}`,
    tag: 'commands',
    summary: VERBS[verb],
    scope: 'operate',
    params: instanceParams,
    query: z.strictObject(waiting),
    lasts,
    body: { optional: true, schema: z.strictObject({ reason: reason.optional() }) },
    answers: ANSWERS,
    async handle({ params, query, body, by, signal }) {
      const result = await control.command(params.fleet, params.name, verb, by(body.reason));
      return answerOf(control, params.fleet, result, query.wait, signal);
    },
  });
}

async function answerOf(
  control: Control,
  fleet: string,
  result: CommandResult,
  waitFor: string | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  if (waitFor === undefined) return json(202, result);
  try {
    const outcome = await control.settled(fleet, result.instance, result.seq, msOf(waitFor), signal);
    return json(outcome.outcome === 'timeout' ? 202 : 200, { ...result, ...outcome });
  } catch (error) {
    // We are closing, or the client is gone: accepted, and nobody knows yet what becomes of it.
    if (signal.aborted) return json(202, result);
    throw error;
  }
}
