/**
 * The OpenAPI 3.1 document, made from the routes that are served and the schemas that validate them: what is documented is
 * what runs.
 */
import { OpenAPIHono } from '@hono/zod-openapi';
import { problem } from './answers.ts';
import { PROBLEM_TYPE } from './problem.ts';
import type { AnswerShape, BodyShape, Route } from './route.ts';

type PathConfig = Parameters<OpenAPIHono['openAPIRegistry']['registerPath']>[0];

const DESCRIPTION = `The control plane of fleets of AI agents. Everything under /v1 needs a token: \`Authorization: Bearer <token>\`, never in the URL.

Scopes: read < operate < admin. **read** covers why, dry run, replay, events and logs, and so sees what agents write and how they are
configured (secrets excepted: they are in no answer). A token may be restricted to some fleets.

Commands answer 202 once what was asked is durable; with \`?wait=60s\` they answer 200 when it has come about, failed or is held.
What goes wrong is an RFC 9457 problem with every mistake listed under \`errors\`; what cannot be is 409, with what forbids it under \`rule\`.`;

export function openApiDocument(routes: readonly Route[], version: string): object {
  const maker = new OpenAPIHono();
  maker.openAPIRegistry.registerComponent('securitySchemes', 'token', { type: 'http', scheme: 'bearer' });
  for (const route of routes) maker.openAPIRegistry.registerPath(pathOf(route));
  return maker.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Holdfast', version, description: DESCRIPTION },
  });
}

function pathOf(route: Route): PathConfig {
  return {
    method: route.method,
    path: route.path,
    operationId: operationIdOf(route),
    tags: [route.tag],
    summary: route.summary,
    description: [route.description, scopeWords(route)].filter((text) => text !== undefined).join('\n\n'),
    security: route.scope === 'open' ? [] : [{ token: [route.scope] }],
    request: {
      ...(route.params === undefined ? {} : { params: route.params }),
      ...(route.query === undefined ? {} : { query: route.query }),
      ...(route.headers === undefined ? {} : { headers: route.headers }),
      ...(route.body === undefined ? {} : { body: bodyOf(route.body) }),
    },
    responses: {
      ...Object.fromEntries(Object.entries(route.answers).map(([status, answer]) => [status, answerOf(answer)])),
      default: { description: 'A problem (RFC 9457)', content: { [PROBLEM_TYPE]: { schema: problem } } },
    },
  };
}

/** get /v1/fleets/{fleet}/instances → getV1FleetsFleetInstances */
function operationIdOf(route: Route): string {
  const words = route.path.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  return [route.method, ...words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))].join('');
}

function scopeWords(route: Route): string {
  if (route.scope === 'open') return 'No token needed.';
  if (route.scope === 'agent') return 'Needs the token of an agent (`hfi_…`), and takes no other.';
  return `Scope: ${route.scope}.${route.allFleets === true ? ' Not for tokens that are restricted to some fleets.' : ''}`;
}

function bodyOf(body: BodyShape): NonNullable<NonNullable<PathConfig['request']>['body']> {
  if (body.kind === 'json')
    return { required: !body.optional, content: { 'application/json': { schema: body.schema } } };
  const schema = { type: 'string' as const, description: body.description };
  return {
    required: true,
    description: body.description,
    content: Object.fromEntries(body.types.map((type) => [type, { schema }])),
  };
}

function answerOf(answer: AnswerShape): PathConfig['responses'][string] {
  const headers = Object.entries(answer.headers ?? {}).map(
    ([name, description]) => [name, { description, schema: { type: 'string' as const } }] as const,
  );
  return {
    description: answer.description,
    ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers) }),
    ...(answer.schema === undefined
      ? {}
      : { content: { [answer.type ?? 'application/json']: { schema: answer.schema } } }),
  };
}
