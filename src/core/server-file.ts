/**
 * `<data>/holdfast.yaml`: how this server listens, what it allows and which named targets it has. Everything is
 * optional and has its default here; every error has path and line, and any error refuses the start, since a slip in
 * `allow` that is passed over is a hole.
 */
import * as z from 'zod';
import { MINUTE_MS, SECOND_MS, SERVER_FILE_BYTES } from './limits.ts';
import { lineAt, toJson } from './manifest/nodes.ts';
import { parseText } from './manifest/parse.ts';
import { collectProblems, didYouMean, kindOf, listNames } from './manifest/problems.ts';
import type { Path, Problem } from './manifest/problems.ts';
import { durationSchema, nameSchema } from './manifest/schema.ts';
import { checkShape } from './manifest/shape.ts';
import { mergeLayers } from './manifest/templates.ts';
import type { JsonObject } from './model.ts';
import { isPattern } from './plugin-source.ts';
import { parseDuration, parseSize } from './units.ts';

export interface Listen {
  readonly host: string;
  readonly port: number;
}

export interface ServerFile {
  readonly listen: Listen;
  readonly proxyListen: Listen;
  /** What agents get as `HOLDFAST_URL`; null: the address listened on. */
  readonly agentUrl: string | null;
  /** Host names that requests may ask for besides loopback and the one listened on. */
  readonly allowedHosts: readonly string[];
  readonly allow: Allow;
  readonly plugins: PluginSettings;
  readonly targets: ReadonlyMap<string, NamedTarget>;
  readonly retention: { readonly days: number; readonly events: number };
  readonly sentryDsn: string | null;
  /** `perInstance`: metrics of each instance, too, as far as their bound allows. */
  readonly metrics: { readonly perInstance: boolean };
}

/** What manifests may ask for; by default nothing that reaches past the agent's own box. */
export interface Allow {
  /** Host folders that may be mounted, with all below them. */
  readonly hostMounts: readonly string[];
  readonly privileged: boolean;
  /** Patterns of plugin sources, or whole schemes; null: every source there is. */
  readonly pluginSources: readonly string[] | null;
  /** Plugins only by a whole sha, or with an integrity. */
  readonly requirePinned: boolean;
  /** Plugins from `git+http`, which nobody vouches for. */
  readonly plainHttp: boolean;
}

/** Where plugins come from. */
export interface PluginSettings {
  /** Base addresses that `gitea://` and `github://` stand for, without a slash at the end. */
  readonly gitea: string;
  readonly github: string;
  /** How often the refs of tracked plugins are looked up. */
  readonly trackEveryMs: number;
  /** What was fetched is kept up to this much. */
  readonly cacheBytes: number;
  /** Files that ssh uses for `git+ssh`; null: those of the user that the server runs as. */
  readonly sshKey: string | null;
  readonly sshKnownHosts: string | null;
}

export interface NamedTarget {
  readonly type: string;
  /** Everything beside `type`, checked by the type when the target is made. */
  readonly settings: JsonObject;
}

export type ReadServerFile =
  { readonly ok: true; readonly file: ServerFile } | { readonly ok: false; readonly errors: readonly Problem[] };

export const DEFAULT_LISTEN: Listen = { host: '127.0.0.1', port: 7717 };
export const DEFAULT_RETENTION = { days: 30, events: 2_000_000 };
export const DEFAULT_PLUGINS: PluginSettings = {
  gitea: 'https://gitea.com',
  github: 'https://github.com',
  trackEveryMs: 5 * MINUTE_MS,
  cacheBytes: 1024 ** 3,
  sshKey: null,
  sshKnownHosts: null,
};

/** `types`: the target types of this build. An empty text is a server with every default. Throws nothing. */
export function readServerFile(text: string, types: ReadonlySet<string>): ReadServerFile {
  const parsed = parseText(text, SERVER_FILE_BYTES);
  if (!parsed.ok) return parsed;
  const problems = collectProblems();
  const root = parsed.root ?? { kind: 'map', entries: new Map(), line: 1 };
  if (root.kind !== 'map') {
    problems.add([], root.line, `expected a map with listen, targets and so on, but this is ${kindOf(toJson(root))}`);
    return { ok: false, errors: problems.list() };
  }
  const plain = mergeLayers([root], root.line); // "retention:" with nothing behind it is not there
  const fail = (path: Path, message: string): void => problems.add(path, lineAt(plain, path), message);
  const document = checkShape(fileSchema, toJson(plain), 'now', fail);
  for (const [name, target] of Object.entries(document?.targets ?? {})) checkTarget(name, target.type, types, fail);
  if (document === null || problems.count > 0) return { ok: false, errors: problems.list() };
  return { ok: true, file: withDefaults(document) };
}

/** "127.0.0.1:7717", "[::1]:7717", "localhost:0", ":7717" (every address) or "7717" (loopback); null when it is none. */
export function parseListen(text: string): Listen | null {
  const found = /^(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):)?(\d{1,5})$/.exec(text);
  if (found === null) return null;
  const port = Number(found[2]);
  if (port > 65_535) return null;
  const host =
    found[1] === undefined ? DEFAULT_LISTEN.host : found[1] === '' ? '0.0.0.0' : found[1].replace(/^\[|\]$/g, '');
  return { host, port };
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const listenSchema = z
  .string()
  .refine((text) => parseListen(text) !== null, 'expected an address such as "127.0.0.1:7717" or "[::1]:7717"');

const absolutePath = z.string().regex(/^\/(?!.*(^|\/)\.\.(\/|$))/, 'expected an absolute path without ".."');

/** It goes into the options of a program, which has its own quotes. */
const filePath = absolutePath.regex(/^[^\p{Cc}"\\]*$/u, 'a path here must not have quotes or backslashes in it');

const baseSchema = z
  .string()
  .regex(
    /^https?:\/\/[^\s/@?#]+(\/[^\s?#@]*)?$/,
    'expected a URL such as "https://git.example.com", without a user in it',
  );

const CACHE_WORDS = 'expected a size with its unit, such as "1g", at least 1m';

const fileSchema = z.strictObject({
  listen: listenSchema.optional(),
  proxyListen: listenSchema.optional(),
  agentUrl: z
    .string()
    .regex(/^https?:\/\/[^\s/@?#]+(\/[^\s?#]*)?$/, 'expected a URL such as "https://holdfast.example"')
    .optional(),
  allowedHosts: z
    .array(
      z
        .string()
        .regex(
          /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]+\])$/,
          'expected a host name without scheme or port',
        ),
    )
    .max(100, 'at most 100 hosts')
    .optional(),
  allow: z
    .strictObject({
      hostMounts: z.array(absolutePath).max(100, 'at most 100 folders').optional(),
      privileged: z.boolean().optional(),
      pluginSources: z
        .array(z.string().refine(isPattern, 'expected a scheme or a pattern, such as "github" or "gitea://acme/**"'))
        .max(100, 'at most 100 patterns')
        .optional(),
      requirePinned: z.boolean().optional(),
      plainHttp: z.boolean().optional(),
    })
    .optional(),
  plugins: z
    .strictObject({
      gitea: baseSchema.optional(),
      github: baseSchema.optional(),
      trackEvery: durationSchema
        .refine(
          (text) => (parseDuration(text) ?? 0) >= SECOND_MS,
          "at least 1s: every look asks somebody else's server",
        )
        .optional(),
      cache: z
        .string(CACHE_WORDS)
        .refine((text) => (parseSize(text) ?? 0) >= 1024 ** 2, CACHE_WORDS)
        .optional(),
      sshKey: filePath.optional(),
      sshKnownHosts: filePath.optional(),
    })
    .optional(),
  targets: z.record(nameSchema, z.looseObject({ type: z.string().min(1) })).optional(),
  retention: z
    .strictObject({
      days: z.int().min(1).max(3_650).optional(),
      events: z.int().min(1_000).max(1_000_000_000).optional(),
    })
    .optional(),
  sentryDsn: z
    .string()
    .regex(/^https?:\/\/[^\s@/]+@\S+\/\d+$/, 'expected a Sentry DSN: "https://key@host/project"')
    .optional(),
  metrics: z.strictObject({ perInstance: z.boolean().optional() }).optional(),
});

function checkTarget(
  name: string,
  type: string,
  types: ReadonlySet<string>,
  fail: (path: Path, message: string) => void,
): void {
  if (!types.has(type)) {
    const hint = didYouMean(type, types) || `: there are ${listNames(types)}`;
    fail(['targets', name, 'type'], `unknown target type "${type}"${hint}`);
  }
  // Manifests say "docker" and mean it: under another type it would be a trap.
  if (types.has(name) && name !== type) {
    fail(
      ['targets', name],
      `"${name}" is the built-in target of type ${name}: it may have settings, but no other type`,
    );
  }
}

function withDefaults(document: z.infer<typeof fileSchema>): ServerFile {
  const listen = (document.listen === undefined ? null : parseListen(document.listen)) ?? DEFAULT_LISTEN;
  const { allow = {}, plugins = {}, retention = {} } = document;
  const targets = Object.entries(document.targets ?? {}).map(([name, { type, ...settings }]): [string, NamedTarget] => [
    name,
    { type, settings: settings as JsonObject },
  ]);
  return {
    listen,
    proxyListen: (document.proxyListen === undefined ? null : parseListen(document.proxyListen)) ?? proxyBeside(listen),
    agentUrl: document.agentUrl ?? null,
    allowedHosts: (document.allowedHosts ?? []).map((host) => host.toLowerCase()),
    allow: {
      hostMounts: allow.hostMounts ?? [],
      privileged: allow.privileged ?? false,
      pluginSources: allow.pluginSources ?? null,
      requirePinned: allow.requirePinned ?? false,
      plainHttp: allow.plainHttp ?? false,
    },
    plugins: {
      gitea: (plugins.gitea ?? DEFAULT_PLUGINS.gitea).replace(/\/+$/, ''),
      github: (plugins.github ?? DEFAULT_PLUGINS.github).replace(/\/+$/, ''),
      trackEveryMs: parseDuration(plugins.trackEvery ?? '') ?? DEFAULT_PLUGINS.trackEveryMs,
      cacheBytes: parseSize(plugins.cache ?? '') ?? DEFAULT_PLUGINS.cacheBytes,
      sshKey: plugins.sshKey ?? null,
      sshKnownHosts: plugins.sshKnownHosts ?? null,
    },
    targets: new Map(targets),
    retention: { days: retention.days ?? DEFAULT_RETENTION.days, events: retention.events ?? DEFAULT_RETENTION.events },
    sentryDsn: document.sentryDsn ?? null,
    metrics: { perInstance: document.metrics?.perInstance ?? false },
  };
}

/** The next port; any free one where the first is any free one, or the last there is. */
function proxyBeside(listen: Listen): Listen {
  return { host: listen.host, port: listen.port === 0 || listen.port === 65_535 ? 0 : listen.port + 1 };
}
