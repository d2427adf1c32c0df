/**
 * The shape of a manifest: which keys there are and what kind of value each takes (DESIGN §18). One source for the check,
 * for the types below and for `/schema/manifest.json`.
 *
 * What a single value can be wrong in is said here; what values can be wrong in together is in `checks.ts`; the inside of
 * `run` belongs to the target's type, that of `config` to its channel.
 */
import * as z from 'zod';
import { MAX_SPAN_MS, NAME_CHARS } from '../limits.ts';
import { isTreeDigest } from '../plugin-tree.ts';
import { DURATION_PATTERN, formatDuration, parseDuration, parsePercent, PERCENT_PATTERN } from '../units.ts';

export const MANIFEST_VERSION = 1;

/** Like a DNS label, since names become host names, container names and parts of URLs. */
export const NAME_PATTERN = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
export const NAME_WORDS = `a name has lower-case letters, digits and "-" (not first, not last), at most ${NAME_CHARS} characters`;

export const nameSchema = z.string().regex(NAME_PATTERN, NAME_WORDS);

const DURATION_WORDS = 'expected a time with its unit, such as "500ms", "30s", "10m", "2h" or "7d"';

export const durationSchema = z
  .string({ error: DURATION_WORDS })
  .regex(DURATION_PATTERN, { error: DURATION_WORDS, abort: true })
  .refine(
    (text) => (parseDuration(text) ?? Infinity) <= MAX_SPAN_MS,
    `longer than ${formatDuration(MAX_SPAN_MS)}, or no whole ms`,
  )
  .describe('A time with its unit: 500ms, 30s, 10m, 2h, 7d');

/** A span of zero would mean "at once, for ever". */
const positiveDuration = durationSchema.refine((text) => parseDuration(text) !== 0, 'must be more than 0');

const portSchema = z.int('expected a port number').min(1, 'a port is 1 to 65535').max(65_535, 'a port is 1 to 65535');
const pathSchema = z.string().regex(/^\/\S{0,1023}$/, 'a path begins with "/" and has no spaces');

const SHARE_WORDS = 'expected a share of the fleet: "10%", or a number above 0 and at most 1';
const shareSchema = z.union(
  [
    z
      .string()
      .regex(PERCENT_PATTERN, { error: SHARE_WORDS, abort: true })
      .refine((text) => (parsePercent(text) ?? 0) > 0, SHARE_WORDS),
    z.number().gt(0, SHARE_WORDS).max(1, SHARE_WORDS),
  ],
  { error: SHARE_WORDS },
);

const onSilent = z.enum(['restart', 'alert']);
const onDegraded = z.enum(['restart', 'alert']);
const drift = z.enum(['enforce', 'report']);

export const policySchema = z.strictObject({
  giveUpAfter: z.int().min(1).max(1_000).optional(),
  retryErrorEvery: positiveDuration.optional(),
  maxInFlight: z.int().min(1).max(10_000).optional().describe("Default: the target's own"),
  rollout: z
    .strictObject({
      maxUnavailable: shareSchema.optional(),
      healthyFor: durationSchema.optional(),
      maxFailures: z.int().min(1).max(100_000).optional(),
      waitIdle: durationSchema.optional(),
    })
    .optional(),
  onSilent: onSilent.optional(),
  onDegraded: onDegraded.optional(),
  drift: drift.optional(),
});

const heartbeatSchema = z.strictObject({
  every: positiveDuration,
  silentAfter: positiveDuration.optional(),
  startGrace: durationSchema.optional(),
});

const healthSchema = z.strictObject({
  http: z.strictObject({ port: portSchema, path: pathSchema }).optional(),
  engine: z.literal(true, 'expected true, or nothing at all').optional(),
  every: positiveDuration.optional(),
  silentAfter: positiveDuration.optional(),
  startGrace: durationSchema.optional(),
});

/** Every other key is the channel's own and checked by it. */
const configSchema = z.looseObject({ channel: z.string().min(1), value: z.unknown() });

const pluginSchema = z.union([
  z.string().min(1),
  z.strictObject({
    source: z.string().min(1),
    ref: z.string().min(1).optional(),
    integrity: z
      .string()
      .refine(isTreeDigest, 'expected "sha256:" and 64 hex digits, as `describe` shows it of an installed plugin')
      .optional(),
    track: z.boolean().optional(),
    header: z
      .string()
      .max(4_096, 'at most 4096 characters')
      .regex(
        /^[A-Za-z0-9-]+: *[\x21-\x7e][\x20-\x7e]*$/,
        'expected one header, like "Authorization: token ${secret:NAME}"',
      )
      .optional()
      .describe('For a private source: one HTTP header, with a secret in it'),
  }),
]);

const exposeSchema = z.strictObject({
  port: portSchema,
  path: pathSchema,
  auth: z.enum(['token', 'none']).optional(),
});

const labelKey = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/,
    'a label has letters, digits, ".", "_", "/" and "-", at most 63',
  );

/** What may be declared for many: in `defaults`, in a template, in an instance. */
const layerShape = {
  target: z.string().min(1).optional(),
  lifecycle: z.enum(['hot', 'lazy']).optional(),
  labels: z.record(labelKey, z.string().max(256, "a label's value has at most 256 characters")).optional(),
  idleAfter: positiveDuration.optional(),
  onComplete: z.enum(['restart', 'stop']).optional(),
  onDelete: z.enum(['keep', 'delete']).optional(),
  reuseData: z.boolean().optional(),
  run: z.record(z.string(), z.unknown()).optional(),
  health: healthSchema.optional(),
  heartbeat: heartbeatSchema.optional(),
  config: configSchema.optional(),
  plugins: z.array(pluginSchema).max(100, 'at most 100 plugins').optional(),
  expose: z.array(exposeSchema).max(100, 'at most 100 exposed paths').optional(),
  onSilent: onSilent.optional(),
  onDegraded: onDegraded.optional(),
  drift: drift.optional(),
};

export const layerSchema = z.strictObject(layerShape);
export const instanceSchema = z.strictObject({ from: nameSchema.optional(), ...layerShape });

/** The frame alone: what is inside `defaults`, `templates` and `instances` is checked layer by layer. */
export const frameSchema = z.strictObject({
  version: z.literal(MANIFEST_VERSION, { error: `expected version: ${MANIFEST_VERSION}, the only one there is` }),
  fleet: nameSchema,
  policy: policySchema.optional(),
  defaults: z.record(z.string(), z.unknown()).optional(),
  templates: z.record(z.string(), z.unknown()).optional(),
  instances: z.record(z.string(), z.unknown()),
});

export type PolicyDocument = z.infer<typeof policySchema>;
/** An instance after its layers are merged: `from` is used up. */
export type InstanceDocument = z.infer<typeof layerSchema>;

/** JSON Schema (2020-12) of a manifest, for editors and `/schema/manifest.json`. */
export function manifestJsonSchema(): { [key: string]: unknown } {
  const whole = frameSchema.extend({
    defaults: layerSchema.optional(),
    templates: z.record(nameSchema, layerSchema).optional(),
    instances: z.record(nameSchema, instanceSchema),
  });
  const schema = z.toJSONSchema(whole, { target: 'draft-2020-12', io: 'input' }) as JsonSchema;
  const properties = schema.properties ?? {};
  relax(properties['policy']);
  relax(properties['defaults']);
  relax(properties['templates']?.additionalProperties);
  relax(properties['instances']?.additionalProperties);
  return { ...schema, title: 'Holdfast manifest' };
}

interface JsonSchema {
  [key: string]: unknown;
  properties?: { [key: string]: JsonSchema };
  additionalProperties?: JsonSchema;
  required?: string[];
}

/** In a layer anything may be left to another one, or be null to remove it. Lists replace as a whole and stay as they are. */
function relax(schema: JsonSchema | undefined): void {
  if (typeof schema !== 'object') return;
  delete schema.required;
  for (const [key, inner] of Object.entries(schema.properties ?? {})) {
    relax(inner);
    if (schema.properties !== undefined) schema.properties[key] = { anyOf: [inner, { type: 'null' }] };
  }
  if (typeof schema.additionalProperties === 'object' && Object.keys(schema.additionalProperties).length > 0) {
    relax(schema.additionalProperties);
    schema.additionalProperties = { anyOf: [schema.additionalProperties, { type: 'null' }] };
  }
}
