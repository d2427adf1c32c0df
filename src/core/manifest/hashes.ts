/**
 * The two hashes of a spec, as `spec.applied` and `secret.rotated` record them. Whoever compares with a recorded hash
 * gets it from here, so that there is one answer to what goes in.
 */
import { configHash, infraHash } from '../hash.ts';
import type { ConfigSpec, JsonObject, Spec, SpecHashes } from '../model.ts';
import type { TargetTypeInfo } from './context.ts';
import { secretNames } from './references.ts';

/** Versions of stored secrets; one that is not stored counts as version 0. */
export type SecretVersionMap = ReadonlyMap<string, number>;

export function specHashes(spec: Spec, type: TargetTypeInfo, secrets: SecretVersionMap, version?: number): SpecHashes {
  return {
    infra: infraHash(infraPart(spec, type), versionsOf(secretNames(spec.run['env'] ?? null), secrets), version),
    config: spec.config === null ? null : declaredConfigHash(spec.config, secrets, version),
  };
}

/** Channel and settings go in beside the value: another path is another delivery, and must not be ignored (L56). */
export function declaredConfigHash(config: ConfigSpec, secrets: SecretVersionMap, version?: number): string {
  const { channel, settings, value } = config;
  return configHash({ channel, settings, value }, versionsOf(secretNames(value), secrets), version);
}

/**
 * The hashes after one secret got a new version; null when the spec does not use it. What the secret does not touch
 * keeps its recorded hash, whatever this build would make of it today (L78).
 */
export function hashesAfterRotation(
  spec: Spec,
  recorded: SpecHashes,
  type: TargetTypeInfo,
  secrets: SecretVersionMap,
  rotated: string,
): SpecHashes | null {
  const inEnv = secretNames(spec.run['env'] ?? null).includes(rotated);
  const inConfig = spec.config !== null && secretNames(spec.config.value).includes(rotated);
  if (!inEnv && !inConfig) return null;
  const fresh = specHashes(spec, type, secrets);
  return { infra: inEnv ? fresh.infra : recorded.infra, config: inConfig ? fresh.config : recorded.config };
}

/** Everything that needs a re-provision when it changes: what the type says, and always type and lifecycle. */
export function infraPart(spec: Spec, type: TargetTypeInfo): JsonObject {
  return { type: spec.targetType, lifecycle: spec.lifecycle, part: type.infra(spec) };
}

/** Every secret that a spec refers to, by code unit. */
export function secretsOf(spec: Spec): readonly string[] {
  const headers = spec.plugins.map(({ header }) => header ?? null);
  return secretNames([spec.run['env'] ?? null, spec.config?.value ?? null, headers]);
}

function versionsOf(names: readonly string[], secrets: SecretVersionMap): { readonly [name: string]: number } {
  return Object.fromEntries(names.map((name) => [name, secrets.get(name) ?? 0]));
}
