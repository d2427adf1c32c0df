/**
 * What agents say of themselves, and the tokens that they say it with. A heartbeat is by far the most frequent request, so it
 * goes past everything that it does not need: no look into the store of tokens, no schema library, no line in the log.
 *
 * Promises: no token, a forged, foreign or replaced one is 401, one whose instance is deleted is 410, and neither is read any
 * further; while nobody can tell, it is 503 (L71); a field that is not understood is passed over, one that cannot be is 422.
 */
import type { IncomingMessage } from 'node:http';
import { z } from '@hono/zod-openapi';
import { MESSAGE_CHARS } from '../../core/limits.ts';
import type { Control, FieldError } from '../../runtime/api.ts';
import type { Beat } from '../../runtime/beats.ts';
import { agentToken } from '../answers.ts';
import { instanceParams, reason } from '../fields.ts';
import { AGENT_WORD_CHARS, HEARTBEAT_BYTES, TOKEN_CHARS } from '../limits.ts';
import { Problem } from '../problem.ts';
import { json, type JsonAnswer, jsonRoute, type Route, type SwiftAsk, swiftRoute } from '../route.ts';

/** For the document; `beatOf` is what checks. */
const heartbeat = z.looseObject({
  status: z
    .string()
    .optional()
    .openapi({ description: '`degraded` and `wedged`: it is not well; any other word: it is', example: 'ready' }),
  errorRate: z.number().min(0).max(1).optional().openapi({ description: 'Share of its latest work that failed' }),
  activeTasks: z.int().min(0).optional().openapi({ description: 'More than 0: it is busy, and not put to sleep' }),
  version: z.string().optional(),
  message: z.string().optional().openapi({ description: 'Why it is not well, in words' }),
  work: z
    .int()
    .min(0)
    .optional()
    .openapi({ description: 'A counter of progress; busy while it stands still is reported' }),
  configHash: z.string().optional(),
  usage: z.looseObject({ tokens: z.number().min(0).optional(), usd: z.number().min(0).optional() }).optional(),
});

export function agentRoutes(control: Control): readonly Route[] {
  return [
    swiftRoute({
      method: 'post',
      path: '/v1/heartbeat',
      tag: 'agents',
      summary: 'An agent says that it is alive, and how it is',
      description:
        "With the agent's own token, `Authorization: Bearer hfi_…`. Every field is optional, unknown ones are ignored, and so is the body's content type. `nextSeconds`: when to beat again; it grows with the fleet.",
      scope: 'agent',
      body: heartbeat,
      answers: {
        200: {
          description: 'Heard',
          schema: z.object({ ok: z.literal(true), desired: z.enum(['running', 'stopped']), nextSeconds: z.number() }),
        },
      },
      answer: (ask) => answerBeat(control, ask),
    }),
    jsonRoute({
      method: 'post',
      path: '/v1/fleets/{fleet}/instances/{name}/token',
      tag: 'agents',
      summary: 'A new token for an agent that runs elsewhere',
      description:
        'The one before is void at once. Agents that Holdfast starts find theirs in their environment, and get no other (409).',
      scope: 'operate',
      params: instanceParams,
      body: { schema: z.strictObject({ reason: reason.optional() }), optional: true },
      answers: { 201: { description: 'The token', schema: agentToken } },
      handle: async ({ params, body, by }) =>
        json(201, await control.renewAgentToken(params.fleet, params.name, by(body.reason))),
    }),
  ];
}

async function answerBeat(control: Control, { incoming, wrongToken, count }: SwiftAsk): Promise<JsonAnswer> {
  const token = /^bearer +([A-Za-z0-9._-]+)$/i.exec(incoming.headers.authorization ?? '')?.[1] ?? '';
  const result = await control.heartbeat(token.length > TOKEN_CHARS ? '' : token, async (hasty) => {
    // Without its last part the token is no secret any more.
    if (hasty) count(token.slice(0, token.lastIndexOf('.')));
    return beatOf(await readBeat(incoming));
  });
  switch (result.kind) {
    case 'heard':
      return json(200, { ok: true, desired: result.desired, nextSeconds: result.nextSeconds });
    case 'gone':
      throw new Problem('gone', 'The instance that this token was for is deleted; its agent may end.', {
        members: { rule: 'deleted' },
      });
    case 'unknown':
      wrongToken();
      throw new Problem(
        'unauthorized',
        'Send the token of a living instance as "Authorization: Bearer hfi_…"; this is none, or another has replaced it.',
        {
          headers: { 'WWW-Authenticate': 'Bearer realm="holdfast", error="invalid_token"' },
        },
      );
  }
}

// ── the body ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Straight from the socket: as a web stream it would cost as much as all the rest. */
function readBeat(incoming: IncomingMessage): Promise<string> {
  const { headers } = incoming;
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    throw new Problem('unsupported-media-type', 'Send the body as it is, without Content-Encoding.');
  if (Number(headers['content-length'] ?? 0) > HEARTBEAT_BYTES) throw tooLarge();
  if (headers['content-length'] === '0') return Promise.resolve('');
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const brokeOff = (): void => {
      // It closes after every request, and an Error is dear: only where it is news.
      if (!incoming.readableEnded) reject(new Problem('bad-request', 'The body broke off before its end.'));
    };
    incoming.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.byteLength;
      if (sizeBytes > HEARTBEAT_BYTES) reject(tooLarge());
      else chunks.push(chunk);
    });
    incoming.on('end', () => resolve(textOf(chunks)));
    incoming.on('error', brokeOff);
    incoming.on('close', brokeOff);
    if (incoming.destroyed) brokeOff();
  });
}

const textOf = (chunks: readonly Buffer[]): string =>
  (chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)).toString('utf8');

const tooLarge = (): Problem => new Problem('too-large', `A heartbeat has at most ${HEARTBEAT_BYTES} bytes.`);

/** What it says, or every mistake in it. Long words are cut: a long last message must not make an agent look dead. */
function beatOf(text: string): Beat {
  if (text.trim() === '') return {};
  const raw = parsed(text);
  const errors: FieldError[] = [];
  const wrong = (path: string, message: string): void => void errors.push({ path, line: null, message });
  const words = (key: string, chars: number, value: unknown): string | undefined => {
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'string') return value.slice(0, chars);
    wrong(key, 'expected a text');
    return undefined;
  };
  const number = (key: string, value: unknown, most: number, whole: boolean): number | undefined => {
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'number' && value >= 0 && value <= most && (!whole || Number.isInteger(value))) return value;
    wrong(key, `expected a ${whole ? 'whole ' : ''}number from 0 to ${most}`);
    return undefined;
  };
  const usage = raw['usage'] ?? {};
  if (!isObject(usage)) wrong('usage', 'expected { tokens, usd }');
  const said = {
    status: words('status', AGENT_WORD_CHARS, raw['status']),
    message: words('message', MESSAGE_CHARS, raw['message']),
    version: words('version', AGENT_WORD_CHARS, raw['version']),
    configHash: words('configHash', AGENT_WORD_CHARS, raw['configHash']),
    errorRate: number('errorRate', raw['errorRate'], 1, false),
    activeTasks: number('activeTasks', raw['activeTasks'], MOST_TASKS, true),
    work: number('work', raw['work'], Number.MAX_SAFE_INTEGER, true),
    usage:
      !isObject(usage) || raw['usage'] == null
        ? undefined
        : {
            tokens: number('usage.tokens', usage['tokens'], Number.MAX_SAFE_INTEGER, false),
            usd: number('usage.usd', usage['usd'], Number.MAX_SAFE_INTEGER, false),
          },
  };
  const [first] = errors;
  if (first !== undefined) throw new Problem('invalid', `${first.path}: ${first.message}`, { errors });
  return said as Beat;
}

/** No agent does more at once; more is a slip of a unit. */
const MOST_TASKS = 1_000_000;

type Fields = { readonly [key: string]: unknown };
const isObject = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function parsed(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Python's json writes it, and JSON has no such number.
    if (/[:,[]\s*(NaN|-?Infinity)\b/.test(text)) throw invalid('NaN and Infinity are no numbers of JSON');
    throw new Problem('bad-request', 'The body is not JSON.', {
      errors: [{ path: '', line: null, message: 'not JSON' }],
    });
  }
  if (!isObject(value)) throw invalid('expected an object, such as {"status":"ready"}');
  return value;
}

const invalid = (message: string): Problem =>
  new Problem('invalid', message, { errors: [{ path: '', line: null, message }] });
