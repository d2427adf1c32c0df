/**
 * The `run` section of a container: what may be declared, and its frozen form.
 *
 *   run: { image: "bot:4", command: [node, bot.js], env: { BOT: one }, ports: [8080, "0.0.0.0:9000:9000"],
 *          volumes: { data: /data, old: { path: /old, name: my-volume } }, memory: 512m, cpus: 0.5, pids: 200 }
 *
 * Promises: every problem is told with its path; what passes has every default written out (L78); nothing that is not in the
 * schema reaches the engine, so that a manifest cannot ask for privileges, mounts of the host, or its network (DESIGN §19).
 */
import * as z from 'zod';
import { formatPath } from '../../core/manifest/problems.ts';
import { durationSchema } from '../../core/manifest/schema.ts';
import { checkShape } from '../../core/manifest/shape.ts';
import type { JsonObject, Spec } from '../../core/model.ts';
import { formatDuration, formatSize, parseDuration, parseSize } from '../../core/units.ts';
import {
  ARGUMENT_BYTES,
  COMMAND_ITEMS,
  ENV_ITEMS,
  HEALTHCHECK_MAX_MS,
  HEALTHCHECK_MIN_MS,
  MEMORY_MIN_BYTES,
  PORT_ITEMS,
  STOP_TIMEOUT_DEFAULT_MS,
  STOP_TIMEOUT_MAX_MS,
  VOLUME_ITEMS,
} from './limits.ts';
import { portSchema, portsOf } from './ports.ts';

/** A frozen `run` section. */
export interface DockerRun {
  readonly image: string;
  readonly pull: 'missing' | 'always' | 'never';
  /** null: what the image says; the same for the next four. */
  readonly entrypoint: readonly string[] | null;
  readonly command: readonly string[] | null;
  readonly workdir: string | null;
  readonly user: string | null;
  readonly stopSignal: string | null;
  readonly stopTimeoutMs: number;
  readonly env: { readonly [name: string]: string };
  readonly ports: readonly PublishedPort[];
  readonly volumes: { readonly [key: string]: DeclaredVolume };
  /** Absent: what the image says. */
  readonly healthcheck?: HealthCheck;
  /** null: no limit; the same for the next two. */
  readonly memoryBytes: number | null;
  readonly cpus: number | null;
  readonly pids: number | null;
}

export interface PublishedPort {
  readonly container: number;
  readonly protocol: 'tcp' | 'udp';
  /** null: any free one. */
  readonly host: number | null;
  readonly address: string;
}

/** A program that the engine runs in the container, again and again; exit code 0 is well. */
export interface HealthCheck {
  readonly command: readonly string[];
  readonly everyMs: number;
  readonly timeoutMs: number;
  /** So many failures in a row are unhealthy. */
  readonly retries: number;
  /** Failures so soon after a start do not count. */
  readonly startPeriodMs: number;
}

export interface DeclaredVolume {
  readonly path: string;
  /** An existing volume to take over; null: one of the instance's own. */
  readonly name: string | null;
}

export type RestartPolicy = 'unless-stopped' | 'on-failure' | 'no';

const RESERVED_PREFIX = 'HOLDFAST_';

const argument = z
  .string('expected a string (put it in quotes)')
  .refine((text) => !text.includes('\0'), 'must not contain a NUL character')
  .refine(
    (text) => Buffer.byteLength(text) <= ARGUMENT_BYTES,
    `is longer than the ${ARGUMENT_BYTES} bytes that a kernel accepts`,
  );

const words = z
  .array(argument, 'expected a list of strings, like [node, agent.js]')
  .max(COMMAND_ITEMS, `at most ${COMMAND_ITEMS} items`);

const absolute = z
  .string('expected an absolute path in the container')
  .regex(/^\/(?!.*(^|\/)\.\.?(\/|$))[^\0:]*$/, 'expected an absolute path in the container, without "..", "." or ":"');

const dataPath = absolute
  .refine((path) => path !== '/', 'the root of the container cannot be a volume')
  .refine((path) => !/^\/holdfast(\/|$)/.test(path), 'Holdfast itself puts plugins below /holdfast');

const environment = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'a name consists of letters, digits and _, and does not begin with a digit')
      .refine(
        (name) => !name.startsWith(RESERVED_PREFIX),
        `names that begin with ${RESERVED_PREFIX} are set by Holdfast itself`,
      ),
    argument,
  )
  .refine((env) => Object.keys(env).length <= ENV_ITEMS, `has more than ${ENV_ITEMS} entries`);

const volume = z.union(
  [
    dataPath,
    z.strictObject({
      path: dataPath,
      name: z
        .string()
        .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/, 'expected the name of a volume of the engine')
        .optional(),
    }),
  ],
  { error: 'expected a string or a map' },
);

const volumes = z
  .record(
    z
      .string()
      .regex(
        /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/,
        'a name has lower-case letters, digits and "-", at most 40 characters',
      ),
    volume,
  )
  .refine((all) => Object.keys(all).length <= VOLUME_ITEMS, `has more than ${VOLUME_ITEMS} volumes`)
  .refine(
    (all) => new Set(Object.values(all).map(pathOf)).size === Object.keys(all).length,
    'two volumes have the same path',
  );

const CHECK_WORDS = `expected a time with its unit, like "10s", from 1s to ${formatDuration(HEALTHCHECK_MAX_MS)}`;
const checkTime = durationSchema.refine((text) => {
  const ms = parseDuration(text) ?? 0;
  return ms >= HEALTHCHECK_MIN_MS && ms <= HEALTHCHECK_MAX_MS;
}, CHECK_WORDS);

const healthcheck = z.strictObject({
  command: words.min(1, 'must name a program'),
  every: checkTime.optional(),
  timeout: checkTime.optional(),
  retries: z.int('expected a whole number').min(1, 'at least 1').max(100, 'at most 100').optional(),
  startPeriod: checkTime.optional(),
});

const MEMORY_WORDS = `expected a size with its unit, like "512m", at least ${formatSize(MEMORY_MIN_BYTES)}`;
const STOP_WORDS = `expected a time with its unit, like "30s"; at most ${formatDuration(STOP_TIMEOUT_MAX_MS)}`;

const runSchema = z.strictObject({
  image: z
    .string('expected the name of an image, like "bot:4"')
    .regex(/^[a-z0-9][\w.:/@+-]{0,510}$/i, 'expected the name of an image, like "bot:4"'),
  pull: z.enum(['missing', 'always', 'never'], 'expected missing, always or never').optional(),
  entrypoint: words.min(1, 'must name a program').optional(),
  command: words.min(1, 'must not be empty; leave it out for what the image says').optional(),
  workdir: absolute.optional(),
  user: z
    .string('expected a user, like "1000:1000" (put it in quotes)')
    .regex(/^[\w.-]+(:[\w.-]+)?$/, 'expected a user, like "node" or "1000:1000"')
    .optional(),
  stopSignal: z
    .string()
    .regex(/^SIG[A-Z0-9+]{2,10}$/, 'expected the name of a signal, like SIGTERM')
    .refine((name) => !/^SIG(STOP|TSTP|CONT|TTIN|TTOU)$/.test(name), 'is no signal that ends anything')
    .optional(),
  stopTimeout: durationSchema
    .refine((text) => (parseDuration(text) ?? Infinity) <= STOP_TIMEOUT_MAX_MS, STOP_WORDS)
    .optional(),
  env: environment.optional(),
  ports: z.array(portSchema).max(PORT_ITEMS, `at most ${PORT_ITEMS} ports`).optional(),
  volumes: volumes.optional(),
  healthcheck: healthcheck.optional(),
  memory: z
    .string(MEMORY_WORDS)
    .refine((text) => (parseSize(text) ?? 0) >= MEMORY_MIN_BYTES, MEMORY_WORDS)
    .optional(),
  cpus: z
    .number('expected a number of cores, like 0.5')
    .min(0.01, 'at least 0.01')
    .max(1_024, 'at most 1024')
    .optional(),
  pids: z.int('expected a whole number').min(1, 'at least 1').max(4_194_304, 'at most 4194304').optional(),
});

/** What people try, and what to say then. */
const NEVER: { readonly [key: string]: string } = {
  privileged: 'manifests cannot ask for privileges of the host',
  network: 'manifests cannot choose a network of the engine; publish what is to be reached with ports',
  mounts: 'manifests cannot mount folders of the host; use volumes',
  restart: 'follows from lifecycle: hot or lazy',
};

export function freezeRun(
  raw: JsonObject,
): { ok: true; run: JsonObject } | { ok: false; problems: readonly { path: string; message: string }[] } {
  const problems: { path: string; message: string }[] = [];
  const given = checkShape(runSchema, raw, 'now', (path, message) => {
    const never = path.length === 1 ? NEVER[String(path[0])] : undefined;
    problems.push({ path: formatPath(path), message: never ?? message });
  });
  if (given === null) return { ok: false, problems };
  const ports = portsOf(given.ports ?? [], (path, message) => problems.push({ path, message }));
  if (problems.length > 0) return { ok: false, problems };
  const run = {
    image: given.image,
    pull: given.pull ?? 'missing',
    entrypoint: given.entrypoint ?? null,
    command: given.command ?? null,
    workdir: given.workdir ?? null,
    user: given.user ?? null,
    stopSignal: given.stopSignal ?? null,
    stopTimeoutMs:
      given.stopTimeout === undefined
        ? STOP_TIMEOUT_DEFAULT_MS
        : (parseDuration(given.stopTimeout) ?? STOP_TIMEOUT_DEFAULT_MS),
    env: given.env ?? {},
    ports,
    volumes: Object.fromEntries(
      Object.entries(given.volumes ?? {}).map(([key, one]) => [key, { path: pathOf(one), name: nameOf(one) }]),
    ),
    // Absent where nothing is said, as it was before there was such a key: an upgrade alone is no drift (L78).
    ...(given.healthcheck !== undefined && { healthcheck: frozenCheck(given.healthcheck) }),
    memoryBytes: given.memory === undefined ? null : parseSize(given.memory),
    cpus: given.cpus ?? null,
    pids: given.pids ?? null,
  } satisfies DockerRun;
  return { ok: true, run: run as unknown as JsonObject };
}

/** Defaults as the engine's own. */
function frozenCheck(given: z.infer<typeof healthcheck>): HealthCheck {
  const ms = (text: string | undefined, otherwise: number): number => parseDuration(text ?? '') ?? otherwise;
  return {
    command: given.command,
    everyMs: ms(given.every, 30_000),
    timeoutMs: ms(given.timeout, 30_000),
    retries: given.retries ?? 3,
    startPeriodMs: ms(given.startPeriod, 0),
  };
}

/** Of an orphan nothing is declared any more: it is ended as by default. */
const NOTHING_DECLARED = { stopTimeoutMs: STOP_TIMEOUT_DEFAULT_MS, volumes: {}, env: {}, ports: [] } as const;

/** The frozen section of a spec that `freezeRun` made. */
export function runOf(spec: Spec): DockerRun {
  return { ...NOTHING_DECLARED, ...(spec.run as unknown as DockerRun) };
}

/**
 * What needs another container when it changes: all that is frozen, and what the engine shall do at the end of a life. When to
 * pull and how long to wait for an end are read from the spec at the time.
 */
export function infraOf(spec: Spec): JsonObject {
  const { pull: _pull, stopTimeoutMs: _stopTimeoutMs, ...infra } = spec.run;
  // A container gets its mounts when it is made, that of its plugins among them.
  return { ...infra, restart: restartPolicy(spec), ...(spec.plugins.length > 0 && { plugins: true }) };
}

/**
 * What the engine itself does at the end of a life: hot ones are begun again, but not when their end was the completion that
 * `onComplete: stop` waits for; of lazy ones every end is sleep, or ours to heal (L22).
 */
export function restartPolicy(spec: Spec): RestartPolicy {
  if (spec.lifecycle === 'lazy') return 'no';
  return spec.onComplete === 'stop' ? 'on-failure' : 'unless-stopped';
}

type VolumeDocument = z.infer<typeof volume>;
const pathOf = (one: VolumeDocument): string => (typeof one === 'string' ? one : one.path);
const nameOf = (one: VolumeDocument): string | null => (typeof one === 'string' ? null : (one.name ?? null));
