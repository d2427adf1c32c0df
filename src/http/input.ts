/**
 * What a request says, checked against the schemas of its route: path, query and body together, so that the client learns
 * of every mistake at once. Unknown keys are mistakes too: a misspelt `dryrun` must not apply for real.
 */
import { z } from '@hono/zod-openapi';
import { checkShape } from '../core/manifest/shape.ts';
import { formatPath } from '../core/manifest/problems.ts';
import type { FieldError } from '../runtime/api.ts';
import { readJson, readText } from './body.ts';
import { BODY_BYTES } from './limits.ts';
import { Problem } from './problem.ts';
import type { Route } from './route.ts';

export interface Input {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

const NO_KEYS = z.strictObject({});

export async function readInput(
  route: Route,
  request: Request,
  params: { readonly [name: string]: string },
): Promise<Input> {
  const errors: FieldError[] = [];
  const check = (schema: z.ZodType, value: unknown, prefix: readonly string[]): unknown =>
    checkShape(schema, value, 'now', (path, message) =>
      errors.push({ path: formatPath([...prefix, ...path]), line: null, message }),
    );

  const checked = {
    params: check(route.params ?? NO_KEYS, params, ['path']),
    query: check(route.query ?? NO_KEYS, rawQuery(route, request.url, errors), ['query']),
    body: await readBody(route, request, (schema, value) => check(schema, value, [])),
  };
  if (errors.length > 0) {
    const [first] = errors;
    const rest = errors.length - 1;
    const where = first === undefined || first.path === '' ? '' : `${first.path}: `;
    const more = rest === 0 ? '' : ` (and ${rest} more ${rest === 1 ? 'mistake' : 'mistakes'})`;
    throw new Problem('invalid', `${where}${first?.message ?? ''}${more}`, { errors });
  }
  return checked;
}

function rawQuery(
  route: Route,
  url: string,
  errors: FieldError[],
): { readonly [key: string]: string | readonly string[] } {
  const { searchParams } = new URL(url);
  const entries = [...new Set(searchParams.keys())].map((key): readonly [string, string | readonly string[]] => {
    const values = searchParams.getAll(key);
    if (route.repeated?.includes(key) === true) return [key, values];
    if (values.length > 1)
      errors.push({
        path: formatPath(['query', key]),
        line: null,
        message: `given ${values.length} times; say it once`,
      });
    return [key, values[0] ?? ''];
  });
  return Object.fromEntries(entries);
}

async function readBody(
  route: Route,
  request: Request,
  check: (schema: z.ZodType, value: unknown) => unknown,
): Promise<unknown> {
  const { body } = route;
  if (body === undefined) return undefined;
  if (body.kind === 'text') return readText(request, body.limitBytes);
  const value = await readJson(request, BODY_BYTES);
  if (value === undefined && !body.optional)
    throw new Problem('bad-request', 'A JSON body is needed here, and there is none.');
  return check(body.schema, value ?? {});
}
