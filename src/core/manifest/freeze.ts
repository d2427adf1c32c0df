/**
 * An instance as declared → a `Spec` with every default frozen in, so that a later Holdfast with other defaults finds
 * its answer in the log and not in itself (L78). Defaults are taken here and nowhere else.
 */
import { DEFAULT_HEALTH_EVERY_MS, DEFAULT_START_GRACE_MS } from '../limits.ts';
import { DEFAULT_POLICY } from '../model.ts';
import type { ConfigSpec, ExposeSpec, HealthSpec, HeartbeatSpec, Json, JsonObject, Policy, Spec } from '../model.ts';
import { parseDuration, parsePercent } from '../units.ts';
import { checkCombinations, defaultSilentAfterMs } from './checks.ts';
import type { FailAt } from './checks.ts';
import type { ManifestContext, SectionProblem, TargetTypeInfo } from './context.ts';
import { freezePlugins } from './plugins.ts';
import { didYouMean, formatPath, listNames } from './problems.ts';
import type { Path } from './problems.ts';
import { mapStrings, secretNames, unescaped } from './references.ts';
import type { InstanceDocument, PolicyDocument } from './schema.ts';

export interface Frozen {
  readonly spec: Spec;
  readonly type: TargetTypeInfo;
}

/** The frozen spec, or null with everything that stands against it reported. */
export function freezeSpec(document: InstanceDocument, context: ManifestContext, report: FailAt): Frozen | null {
  const said = new Set<string>();
  const fail: FailAt = (path, message) => {
    said.add(formatPath(path));
    report(path, message);
  };
  // Where we have said what is wrong already, the type or channel need not say it again in its own words.
  const failOnce: FailAt = (path, message) => {
    if (!said.has(formatPath(path))) fail(path, message);
  };
  const type = targetType(document.target, context, fail);
  if (type !== null) checkCombinations(document, type, context.allowRelative, fail);
  checkSecrets(document, context, fail);
  const run = freezeRun(document, type, failOnce);
  const config = freezeConfig(document.config, context, failOnce);
  const plugins = freezePlugins(document.plugins ?? [], type, context, fail);
  if (said.size > 0 || type === null || document.target === undefined) return null;
  const spec: Spec = {
    target: document.target,
    targetType: type.type,
    lifecycle: document.lifecycle ?? 'hot',
    labels: mapStrings(document.labels ?? {}, unescaped) as { readonly [key: string]: string },
    idleAfterMs: document.idleAfter === undefined ? null : ms(document.idleAfter),
    onComplete: document.onComplete ?? 'restart',
    onDelete: document.onDelete ?? 'keep',
    ...(document.reuseData === true && { reuseData: true }),
    run,
    health: freezeHealth(document.health),
    heartbeat: freezeHeartbeat(document.heartbeat),
    config,
    plugins,
    expose: (document.expose ?? []).map(({ port, path, auth }): ExposeSpec => ({
      port,
      path: unescaped(path),
      auth: auth ?? 'token',
    })),
    onSilent: document.onSilent ?? null,
    onDegraded: document.onDegraded ?? null,
    drift: document.drift ?? null,
  };
  return { spec, type };
}

export function freezePolicy(document: PolicyDocument): Policy {
  const { rollout = {}, ...rest } = document;
  const standard = DEFAULT_POLICY;
  const share = rollout.maxUnavailable;
  return {
    giveUpAfter: rest.giveUpAfter ?? standard.giveUpAfter,
    retryErrorEveryMs: msOr(rest.retryErrorEvery, standard.retryErrorEveryMs),
    maxInFlight: rest.maxInFlight ?? standard.maxInFlight,
    rollout: {
      maxUnavailable: (typeof share === 'string' ? parsePercent(share) : share) ?? standard.rollout.maxUnavailable,
      healthyForMs: msOr(rollout.healthyFor, standard.rollout.healthyForMs),
      maxFailures: rollout.maxFailures ?? standard.rollout.maxFailures,
      waitIdleMs: msOr(rollout.waitIdle, standard.rollout.waitIdleMs),
    },
    onSilent: rest.onSilent ?? standard.onSilent,
    onDegraded: rest.onDegraded ?? standard.onDegraded,
    drift: rest.drift ?? standard.drift,
  };
}

// ── sections ────────────────────────────────────────────────────────────────────────────────────────────────────────

function targetType(name: string | undefined, context: ManifestContext, fail: FailAt): TargetTypeInfo | null {
  const known = [...context.targets.keys()];
  if (name === undefined) {
    fail(['target'], `missing: say where it runs; known targets are ${listNames(known)}`);
    return null;
  }
  const type = context.targets.get(name);
  if (type === undefined) {
    const hint = didYouMean(name, known);
    fail(['target'], `unknown target "${name}"${hint === '' ? ':' : hint} known targets are ${listNames(known)}`);
    return null;
  }
  return type;
}

function freezeRun(document: InstanceDocument, type: TargetTypeInfo | null, fail: FailAt): JsonObject {
  if (type === null || (type.type === 'external' && document.run !== undefined)) return {};
  const raw = (document.run ?? {}) as JsonObject;
  const plain = Object.fromEntries(
    Object.entries(raw).map(([key, value]) => [key, key === 'env' ? value : mapStrings(value, unescaped)]),
  );
  const result = type.run(plain);
  if (result.ok) return result.run;
  failBelow(['run'], result.problems, fail);
  return {};
}

function freezeConfig(document: InstanceDocument['config'], context: ManifestContext, fail: FailAt): ConfigSpec | null {
  if (document === undefined) return null;
  const { channel: name, value, ...rest } = document;
  const channel = context.channels.get(name);
  if (channel === undefined) {
    const known = [...context.channels.keys()];
    const available = known.length === 0 ? 'this build has none' : `there are ${listNames(known)}`;
    fail(['config', 'channel'], `unknown channel "${name}"${didYouMean(name, known) || ':'} ${available}`);
    return null;
  }
  const result = channel.settings(mapStrings(rest as JsonObject, unescaped) as JsonObject);
  if (!result.ok) failBelow(['config'], result.problems, fail);
  return result.ok ? { channel: name, settings: result.settings, value: value as Json } : null;
}

function freezeHeartbeat(document: InstanceDocument['heartbeat']): HeartbeatSpec | null {
  if (document === undefined) return null;
  const everyMs = ms(document.every);
  return {
    everyMs,
    silentAfterMs: msOr(document.silentAfter, defaultSilentAfterMs(everyMs)),
    startGraceMs: msOr(document.startGrace, DEFAULT_START_GRACE_MS),
  };
}

function freezeHealth(document: InstanceDocument['health']): HealthSpec | null {
  if (document === undefined) return null;
  const everyMs = msOr(document.every, DEFAULT_HEALTH_EVERY_MS);
  return {
    http: document.http === undefined ? null : { port: document.http.port, path: unescaped(document.http.path) },
    everyMs,
    silentAfterMs: msOr(document.silentAfter, defaultSilentAfterMs(everyMs)),
    startGraceMs: msOr(document.startGrace, DEFAULT_START_GRACE_MS),
  };
}

function checkSecrets(document: InstanceDocument, context: ManifestContext, fail: FailAt): void {
  if (context.unsetSecrets === 'allow') return;
  const places: readonly (readonly [Path, unknown])[] = [
    [['run', 'env'], document.run?.['env']],
    [['config', 'value'], document.config?.value],
    ...(document.plugins ?? []).map((plugin, i): [Path, unknown] => [
      ['plugins', i, 'header'],
      typeof plugin === 'string' ? undefined : plugin.header,
    ]),
  ];
  for (const [path, value] of places) eachSecret(value as Json | undefined, path, context.secrets, fail);
}

function eachSecret(value: Json | undefined, path: Path, stored: ReadonlyMap<string, number>, fail: FailAt): void {
  if (typeof value === 'string') {
    for (const name of secretNames(value)) {
      if (stored.has(name)) continue;
      const hint = didYouMean(name, stored.keys()) || `: store it first (holdfast secret set ${name})`;
      fail(path, `no secret "${name}" is stored${hint}`);
    }
  } else if (Array.isArray(value)) {
    value.forEach((inner: Json, i) => eachSecret(inner, [...path, i], stored, fail));
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value as JsonObject)) eachSecret(inner, [...path, key], stored, fail);
  }
}

/** "ports[0].host" below `run` → the path in the document. */
function failBelow(section: Path, problems: readonly SectionProblem[], fail: FailAt): void {
  for (const { path, message } of problems) {
    const steps = [...path.matchAll(/\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g)].map(([, index, quoted, word]) =>
      index === undefined ? (quoted ?? word ?? '') : Number(index),
    );
    fail([...section, ...steps], message);
  }
}

/** Only for text that the schema has let through. */
function ms(text: string): number {
  const parsed = parseDuration(text);
  if (parsed === null) throw new RangeError(`not a duration, though the schema let it through: ${text}`);
  return parsed;
}

function msOr(text: string | undefined, standard: number): number {
  return text === undefined ? standard : ms(text);
}
