/**
 * What the API answers, as schemas (DESIGN, appendix of shapes): fields may be added, never renamed. They make the OpenAPI
 * document; tests hold real answers against them, and `says` refuses to compile when the runtime's type no longer fits.
 */
import { z } from '@hono/zod-openapi';
import type {
  AgentToken,
  ApplyResult,
  BulkResult,
  CommandResult,
  EventView,
  FleetView,
  InstanceView,
  LogLevelView,
  ExecResult,
  Orphan,
  SecretInfo,
  SecretResult,
  Stats,
  Volume,
  Readiness,
  TokenView,
  WaitResult,
  Why,
} from '../runtime/api.ts';
import { LOG_LEVELS } from '../runtime/log.ts';
import { phase } from './fields.ts';

type Mutable<T> = T extends readonly (infer U)[]
  ? Mutable<U>[]
  : T extends object
    ? { -readonly [K in keyof T]: Mutable<T[K]> }
    : T;

/** The schema as it is, provided that every `T` passes it. */
export function says<T>() {
  return <S extends z.ZodType>(
    schema: S,
    ..._fits: Mutable<T> extends z.input<S> ? [] : ['the runtime answers something else']
  ): S => schema;
}

export const time = z.iso.datetime();
export const json = z.unknown();
export const maybe = z.string().nullable();

export const problem = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    errors: z.array(z.object({ path: z.string(), line: z.int().nullable(), message: z.string() })),
    rule: z.string().optional().openapi({ description: 'What forbids it' }),
  })
  .openapi('Problem');

export const rule = z.object({ rule: z.string(), text: z.string() });
const lastError = z
  .object({ code: z.string(), message: z.string(), at: time, operation: maybe, attempt: z.int().nullable() })
  .nullable();
const hold = z.object({ reason: z.string(), text: z.string(), until: time.nullable() }).nullable();

const listedFields = {
  fleet: z.string(),
  name: z.string(),
  uid: z.string(),
  generation: z.int(),
  target: z.string(),
  targetType: z.string(),
  lifecycle: z.enum(['hot', 'lazy']),
  labels: z.record(z.string(), z.string()),
  desired: z.enum(['running', 'stopped', 'deleted']),
  phase,
  since: time,
  reason: rule,
  conditions: z.array(
    z.object({
      type: z.string(),
      status: z.enum(['true', 'false', 'unknown']),
      reason: z.string(),
      message: z.string(),
      since: time.nullable(),
    }),
  ),
  resource: z
    .looseObject({ ref: maybe, state: z.enum(['running', 'stopped', 'changing', 'missing']), since: time })
    .nullable()
    .openapi({ description: "With the target's own keys: pid, containerId, …" }),
  endpoints: z.record(z.string(), z.string()),
  operation: z
    .object({ id: z.string(), kind: z.string(), attempt: z.int(), startedAt: time, deadlineAt: time })
    .nullable(),
  lastError,
  hold,
  nextLookAt: time.nullable(),
  hashes: z.object({
    infra: z.object({ declared: z.string(), applied: maybe }),
    config: z.object({ declared: maybe, applied: maybe, observed: maybe, persisted: maybe }),
  }),
  heartbeat: z
    .object({
      lastAt: time,
      status: maybe,
      activeTasks: z.int().nullable(),
      errorRate: z.number().nullable(),
      version: maybe,
    })
    .nullable(),
  plugins: z.array(
    z.object({ source: z.string(), ref: maybe, sha: maybe, treeDigest: maybe, state: z.string(), error: maybe }),
  ),
  restarts: z.object({ crashes: z.int(), planned: z.int() }),
};
export const listedInstance = says<InstanceView>()(z.object(listedFields).openapi('ListedInstance'));
export const instance = says<InstanceView & { spec: object }>()(
  z.object({ ...listedFields, spec: z.looseObject({}) }).openapi('Instance'),
);

const target = z.object({
  name: z.string(),
  identity: maybe,
  state: z.enum(['seen', 'unsynced', 'stale', 'refused']),
  message: maybe,
  breaker: z.object({ openedAt: time, message: z.string() }).nullable(),
  blastRadius: z.object({ at: time, lost: z.int() }).nullable(),
  existing: z.int(),
  inFlight: z.object({ run: z.int(), stop: z.int() }),
  maxInFlight: z.int(),
});
const operatorHold = z.object({
  id: z.string(),
  reason: z.string(),
  by: maybe,
  at: time,
  until: time.nullable(),
  target: maybe,
  instances: z.array(z.string()).nullable(),
});
const rollout = z.object({
  revision: z.string(),
  at: time,
  state: z.enum(['under-way', 'failed', 'done']),
  proved: z.int(),
  failures: z.int(),
  active: z.int(),
});
export const fleet = says<FleetView>()(
  z
    .object({
      fleet: z.string(),
      revision: maybe,
      head: z.int(),
      pending: z.int(),
      instances: z.int(),
      phases: z.partialRecord(phase, z.int()),
      errors: z.int(),
      holds: z.array(operatorHold),
      targets: z.array(target),
      rollout: rollout.nullable(),
      lastTickAt: time.nullable(),
      owner: z.object({ id: z.string(), epoch: z.int() }).nullable(),
    })
    .openapi('Fleet'),
);

export const applied = says<ApplyResult>()(
  z
    .object({
      dryRun: z.boolean(),
      revision: z.string(),
      seq: z.int(),
      results: z.array(
        z.object({
          name: z.string(),
          result: z.enum(['created', 'updated', 'unchanged', 'pruned', 'undeclared']),
          effect: z.enum(['none', 'config', 'restart', 'recreate', 'delete']),
          because: z.array(z.string()),
          diff: z.array(z.object({ path: z.string(), from: json, to: json })),
          note: maybe,
        }),
      ),
      problems: z
        .array(z.object({ instance: maybe, message: z.string() }))
        .openapi({ description: 'In a dry run: what would refuse it' }),
    })
    .openapi('Applied'),
);

const commandFields = { seq: z.int(), instance: z.string(), phase };
export const accepted = says<CommandResult>()(z.object(commandFields).openapi('Accepted'));

/** A wait that ran out is answered as accepted, with `outcome: timeout`. */
export const settled = says<
  CommandResult & Omit<WaitResult, 'outcome'> & { outcome: 'succeeded' | 'failed' | 'held' }
>()(
  z
    .object({
      ...commandFields,
      outcome: z.enum(['succeeded', 'failed', 'held']),
      phase: phase.nullable().openapi({ description: 'null: the instance is gone' }),
      lastError,
      hold,
    })
    .openapi('Settled'),
);

export const bulk = says<BulkResult>()(
  z
    .object({
      dryRun: z.boolean(),
      results: z.array(
        z.object({ instance: z.string(), accepted: z.boolean(), seq: z.int().nullable(), because: maybe }),
      ),
    })
    .openapi('BulkResult'),
);

export const event = says<EventView>()(
  z
    .object({
      seq: z.int(),
      at: time,
      type: z.string(),
      instance: z.string().optional(),
      uid: z.string().optional(),
      data: json,
      by: z.object({ token: z.string(), via: z.string(), reason: z.string().optional() }).optional(),
    })
    .openapi('Event'),
);

export const why = says<Why>()(
  z
    .object({
      instance: z.string(),
      target: z.string(),
      phase,
      phaseText: z.string(),
      since: time.nullable(),
      rule: z.string(),
      text: z.string(),
      operation: z
        .object({
          kind: z.string(),
          attempt: z.int(),
          startedAt: time,
          deadlineAt: time,
          abortedAt: time.nullable(),
        })
        .nullable(),
      lastError,
      facts: z.array(z.object({ seq: z.int(), type: z.string(), ageMs: z.number(), text: z.string() })),
      rejected: z.array(z.object({ rule: z.string(), because: z.string() })),
      hold,
      heldBy: z
        .object({ who: maybe, at: time, target: maybe })
        .nullable()
        .openapi({ description: 'Where an operator holds it' }),
      action: z
        .object({ type: z.string(), rule: z.string() })
        .nullable()
        .openapi({ description: 'What would be done if this were a tick' }),
      wouldChange: z.array(z.string()),
      nextLookAt: time.nullable(),
    })
    .openapi('Why'),
);

export const orphan = says<Orphan>()(
  z
    .object({
      target: z.string(),
      fleet: z.string(),
      instance: z.string(),
      uid: z.string(),
      ref: maybe,
      state: z.string(),
    })
    .openapi('Orphan'),
);

export const stats = says<Stats>()(
  z
    .object({
      instance: z.string(),
      at: time,
      memoryBytes: z.int().openapi({ description: 'Without the page cache' }),
      memoryLimitBytes: z.int().openapi({ description: 'Its own limit, or all that its host has' }),
      cpus: z.number().openapi({ description: 'Cores in use over the last second or so' }),
      processes: z.int(),
    })
    .openapi('Stats'),
);

export const execResult = says<ExecResult>()(
  z
    .object({
      instance: z.string(),
      code: z.int().nullable().openapi({ description: 'Exit code; null: the target does not say' }),
      output: z.string().openapi({ description: 'Both streams in the order they came; of much, the end' }),
      cut: z.boolean().openapi({ description: 'The beginning of the output is missing' }),
    })
    .openapi('ExecResult'),
);

export const volume = says<Volume>()(
  z
    .object({
      target: z.string(),
      name: z.string(),
      fleet: z.string(),
      instance: z.string(),
      uid: z.string(),
      key: z.string().openapi({ description: 'As the manifest calls it' }),
      plugins: z.literal(true).optional().openapi({ description: 'It holds delivered plugins only' }),
      sizeBytes: z.int().nullable().openapi({ description: 'null: not known' }),
    })
    .openapi('Volume'),
);

const tokenFields = {
  name: z.string(),
  scope: z.enum(['read', 'operate', 'admin']),
  fleets: z.array(z.string()).nullable().openapi({ description: 'null: every fleet' }),
  createdAt: time,
  expiresAt: time.nullable(),
};
export const token = says<TokenView>()(z.object(tokenFields).openapi('Token'));
export const newToken = says<TokenView & { token: string }>()(
  z
    .object({ ...tokenFields, token: z.string().openapi({ description: 'Shown here and never again' }) })
    .openapi('NewToken'),
);

export const secret = says<SecretInfo>()(
  z
    .strictObject({
      name: z.string(),
      version: z.int(),
      storedAt: time,
      usedBy: z.array(z.string()).openapi({ description: 'Instances declared with it; of many, the first 100' }),
      users: z.int().openapi({ description: 'How many they are' }),
    })
    .openapi('Secret'),
);

export const storedSecret = says<SecretResult>()(
  z
    .strictObject({
      seq: z.int(),
      name: z.string(),
      version: z.int(),
      usedBy: z.array(z.string()),
      users: z.int(),
      note: z.string().nullable().openapi({ description: 'What a person should know besides' }),
    })
    .openapi('StoredSecret'),
);

export const agentToken = says<AgentToken>()(
  z
    .object({
      fleet: z.string(),
      instance: z.string(),
      uid: z.string(),
      token: z.string().openapi({ description: 'Shown here and never again' }),
    })
    .openapi('AgentToken'),
);

export const readiness = says<Readiness>()(
  z.object({ ready: z.boolean(), because: z.array(z.string()) }).openapi('Readiness'),
);

export const logLevel = says<LogLevelView>()(
  z
    .object({
      level: z.enum(LOG_LEVELS),
      configured: z.enum(LOG_LEVELS).openapi({ description: 'What the next start begins with' }),
    })
    .openapi('LogLevel'),
);

export function listOf(item: z.ZodType) {
  return z.object({
    items: z.array(item),
    next: z.string().nullable().openapi({ description: 'The cursor of the next page' }),
  });
}
