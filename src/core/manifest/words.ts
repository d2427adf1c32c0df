/**
 * A spec in the words of the manifest, every default said, for diffs that a person reads: "heartbeat.every: 5s → 10s".
 * What looks like a secret is named as changed and never shown: a diff travels through terminals, logs and tickets.
 */
import { canonicalJson } from '../hash.ts';
import type { Json, JsonObject, PluginSpec, Policy, Spec } from '../model.ts';
import { formatDuration, formatPercent, formatSize } from '../units.ts';
import { formatPath } from './problems.ts';
import type { Path } from './problems.ts';

export interface Difference {
  /** "run.env.LEVEL". Lists are one value: their order is part of it. */
  readonly path: string;
  /** null: not there. */
  readonly from: Json;
  readonly to: Json;
}

export const HIDDEN = '(hidden)';

export function specInWords(spec: Spec): JsonObject {
  const { config, health, heartbeat, idleAfterMs } = spec;
  return {
    target: spec.target,
    targetType: spec.targetType,
    lifecycle: spec.lifecycle,
    labels: spec.labels,
    ...(idleAfterMs === null ? {} : { idleAfter: formatDuration(idleAfterMs) }),
    onComplete: spec.onComplete,
    onDelete: spec.onDelete,
    ...(spec.reuseData === true ? { reuseData: true } : {}),
    run: runInWords(spec.run),
    ...(health === null
      ? {}
      : {
          health: { ...(health.http === null ? { engine: true } : { http: health.http }), ...livenessInWords(health) },
        }),
    ...(heartbeat === null ? {} : { heartbeat: livenessInWords(heartbeat) }),
    ...(config === null ? {} : { config: { ...config.settings, channel: config.channel, value: config.value } }),
    plugins: spec.plugins.map(pluginInWords),
    expose: spec.expose.map(({ port, path, auth }) => ({ port, path, auth })),
    ...(spec.onSilent === null ? {} : { onSilent: spec.onSilent }),
    ...(spec.onDegraded === null ? {} : { onDegraded: spec.onDegraded }),
    ...(spec.drift === null ? {} : { drift: spec.drift }),
  };
}

export function policyInWords(policy: Policy): JsonObject {
  const { rollout } = policy;
  return {
    giveUpAfter: policy.giveUpAfter,
    retryErrorEvery: formatDuration(policy.retryErrorEveryMs),
    ...(policy.maxInFlight === null ? {} : { maxInFlight: policy.maxInFlight }),
    rollout: {
      maxUnavailable: formatPercent(rollout.maxUnavailable),
      healthyFor: formatDuration(rollout.healthyForMs),
      maxFailures: rollout.maxFailures,
      waitIdle: formatDuration(rollout.waitIdleMs),
    },
    onSilent: policy.onSilent,
    onDegraded: policy.onDegraded,
    drift: policy.drift,
  };
}

/** Every place where the two differ, by path in code-unit order. */
export function differences(from: Json, to: Json): readonly Difference[] {
  const found: Difference[] = [];
  compare(from, to, [], found);
  return found;
}

/** The value, or `HIDDEN` when its name or its look says that it is a secret. References are no secrets. */
function shown(path: Path, value: Json): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value; // maxTokens: 4000
  if (typeof value === 'string' && /^\$\{secret:[^}]*\}$/.test(value)) return value;
  if (path.some((step) => typeof step === 'string' && SECRET_NAMES.test(step))) return HIDDEN;
  if (typeof value === 'string') return SECRET_LOOKS.test(value) ? HIDDEN : value;
  if (Array.isArray(value)) {
    return value.map((inner: Json, i: number) => {
      const flag: Json | undefined = i === 0 ? undefined : (value as readonly Json[])[i - 1];
      const named = typeof flag === 'string' && flag.startsWith('-') && SECRET_NAMES.test(flag);
      return named ? HIDDEN : shown([], inner);
    });
  }
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shown([key], inner)]));
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const SECRET_NAMES =
  /secret|token|passw|passphrase|credential|api[-_]?key|private|(^|[-_.])(key|pass|pwd|dsn)$|[a-z]Key$/i;
/** Credentials in a URL, bearer headers, and the prefixes that the usual issuers give their keys. */
const SECRET_LOOKS =
  /:\/\/[^/\s]*:[^/\s]*@|^(bearer|basic) \S|^(sk|pk|rk)[-_]\S{8}|^gh[pousr]_|^github_pat_|^xox[abprs]-|^AKIA[A-Z0-9]|^eyJ[\w-]+\.|-----BEGIN|(secret|token|passw\w*|api[-_]?key)=\S/i;

function compare(from: Json | undefined, to: Json | undefined, path: Path, found: Difference[]): void {
  if (isMap(from) && isMap(to)) {
    for (const key of [...new Set([...Object.keys(from), ...Object.keys(to)])].sort()) {
      compare(valueOf(from, key), valueOf(to, key), [...path, key], found);
    }
    return;
  }
  if (from !== undefined && to !== undefined && canonicalJson(from) === canonicalJson(to)) return;
  // A whole map that comes or goes is said key by key: run.env.X, and not all of run.env.
  if (from === undefined && isMap(to) && Object.keys(to).length > 0) compare({}, to, path, found);
  else if (to === undefined && isMap(from) && Object.keys(from).length > 0) compare(from, {}, path, found);
  else if (from !== undefined || to !== undefined) {
    found.push({ path: formatPath(path), from: shown(path, from ?? null), to: shown(path, to ?? null) });
  }
}

function isMap(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function valueOf(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Types freeze "30s" as `stopTimeoutMs: 30000` and "512m" as `memoryBytes`; their readers wrote the former. */
function runInWords(run: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(run).map(([key, value]) => {
      const amount = typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
      if (amount !== null && /.Ms$/.test(key)) return [key.slice(0, -2), formatDuration(amount)];
      if (amount !== null && /.Bytes$/.test(key)) return [key.slice(0, -5), formatSize(amount)];
      return [key, value];
    }),
  );
}

function livenessInWords(span: { everyMs: number; silentAfterMs: number; startGraceMs: number }): JsonObject {
  return {
    every: formatDuration(span.everyMs),
    silentAfter: formatDuration(span.silentAfterMs),
    startGrace: formatDuration(span.startGraceMs),
  };
}

function pluginInWords(plugin: PluginSpec): Json {
  const text = plugin.ref === null ? plugin.source : `${plugin.source}#${plugin.ref}`;
  const { integrity, track, header } = plugin;
  if (integrity === null && !track && header === null) return text;
  return { source: text, integrity, track, ...(header !== null && { header }) };
}
