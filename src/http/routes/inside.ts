/** Looking into what runs: what it uses, and a program run beside the agent. Neither wakes anybody (L59). */
import { z } from '@hono/zod-openapi';
import type { Control } from '../../runtime/api.ts';
import { EXEC_CHARS, EXEC_MS, EXEC_WORDS } from '../../runtime/limits.ts';
import { execResult, stats } from '../answers.ts';
import { instanceParams, msOf, reason, wait } from '../fields.ts';
import { json, jsonRoute, type Route, route } from '../route.ts';

const lastsMs = ({ timeout }: { timeout?: string | undefined }): number =>
  timeout === undefined ? EXEC_MS : msOf(timeout);

export function insideRoutes(control: Control): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/fleets/{fleet}/instances/{name}/stats',
      tag: 'instances',
      summary: 'What it uses at this moment',
      description: 'Asked of its target now. One that does not run is refused (409), and not woken.',
      scope: 'read',
      params: instanceParams,
      answers: { 200: { description: 'A sample', schema: stats } },
      handle: async ({ params, signal }) => json(200, await control.stats(params.fleet, params.name, signal)),
    }),
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/instances/{name}/exec',
      tag: 'instances',
      summary: 'Run a program beside the agent',
      description:
        'In its container, as its user, with its environment; no shell takes the words apart. One that does not run is refused (409), and not woken. That it was asked is in the log, with the name of the program and without its arguments. A time-out ends the wait, not the program.',
      scope: 'operate',
      params: instanceParams,
      query: z.strictObject({
        timeout: wait.openapi({ type: 'string', description: 'How long it may take', example: '60s' }).optional(),
      }),
      lasts: lastsMs,
      body: {
        schema: z.strictObject({
          command: z
            .array(z.string().refine((word) => !word.includes('\0'), 'must not contain a NUL character'))
            .min(1, 'must name a program')
            .max(EXEC_WORDS, `at most ${EXEC_WORDS} words`)
            .refine(([program]) => program !== '', 'must name a program')
            .refine((words) => words.join(' ').length <= EXEC_CHARS, `at most ${EXEC_CHARS} characters in all`),
          reason: reason.optional(),
        }),
      },
      answers: { 200: { description: 'It ran to its end; how it ended is in `code`', schema: execResult } },
      async handle({ params, query, body, by, signal }) {
        const ask = { command: body.command, timeoutMs: lastsMs(query), by: by(body.reason) };
        return json(200, await control.exec(params.fleet, params.name, ask, signal));
      },
    }),
  ];
}
