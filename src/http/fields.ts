/** The fields that requests are made of; one schema each for the check, the handler's types and the OpenAPI document. */
import { z } from '@hono/zod-openapi';
import { durationSchema, nameSchema } from '../core/manifest/schema.ts';
import { PHASES } from '../core/model.ts';
import { formatDuration, parseDuration } from '../core/units.ts';
import { MAX_WAIT_MS } from '../runtime/limits.ts';
import { LABELS, REASON_CHARS } from './limits.ts';

export const name = nameSchema;
export const fleetParams = z.strictObject({ fleet: name });
export const instanceParams = z.strictObject({ fleet: name, name });

/** `?dryRun=true`. A bare `?dryRun` is refused rather than guessed. */
export const flag = z
  .enum(['true', 'false'])
  .transform((text) => text === 'true')
  .openapi({ type: 'boolean' });

export function whole(minimum: number, maximum: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, 'expected a whole number')
    .transform(Number)
    .refine((count) => count >= minimum && count <= maximum, `expected ${minimum} to ${maximum}`)
    .openapi({ type: 'integer', minimum, maximum });
}

/** A place in the log. */
export const seq = whole(0, Number.MAX_SAFE_INTEGER);

const POSITION_WORDS = 'expected a seq, or a time such as 2026-01-31T12:00:00Z';
const timeSchema = z.iso.datetime({ offset: true, error: POSITION_WORDS });

/** A place in the log as a query says it: a seq, or a time. */
export const position = z
  .union([z.string().regex(/^\d{1,15}$/), timeSchema], { error: POSITION_WORDS })
  .openapi({ type: 'string', description: 'A seq, or a time (RFC 3339)', example: '2026-01-31T12:00:00Z' });

/** The same in a JSON body. */
export const bodyPosition = z.union([z.int().min(0), timeSchema], { error: POSITION_WORDS });

export const reason = z
  .string()
  .trim()
  .min(1)
  .max(REASON_CHARS, `a reason has at most ${REASON_CHARS} characters`)
  .openapi({ description: 'Goes into the log with the name of the token' });

export const duration = durationSchema;

/** For durations that the schema has let through. */
export function msOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw new RangeError(`"${text}" passed the schema of durations and is none`);
  return ms;
}

export const wait = durationSchema
  .refine(
    (text) => (parseDuration(text) ?? 0) <= MAX_WAIT_MS,
    `longer than ${formatDuration(MAX_WAIT_MS)}, the longest wait`,
  )
  .openapi({
    type: 'string',
    description: 'Answer only when the instance has settled, or after this time',
    example: '60s',
  });

export const phase = z.enum(PHASES as readonly [(typeof PHASES)[number], ...typeof PHASES]);

/** Repeated `label=key=value`; all must match. */
export const labels = z
  .array(z.string().regex(/^[^=]{1,63}=.{0,256}$/su, 'expected key=value'))
  .max(LABELS, `at most ${LABELS} labels`)
  .transform((pairs): { readonly [key: string]: string } =>
    Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)])),
  )
  .openapi({ type: 'array', items: { type: 'string' }, description: 'key=value; repeated ones must all match' });

/** Leaves out what is undefined, as `exactOptionalPropertyTypes` wants it. */
export function given<T extends object>(
  fields: T,
): { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
} {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as ReturnType<
    typeof given<T>
  >;
}
