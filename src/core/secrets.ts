/**
 * What a fleet knows of its secrets: names, versions, and who uses them. The log is the truth of the version in force;
 * the values are somebody else's business.
 */
import type { EventData } from './events.ts';
import { MAX_SECRETS, NAME_CHARS } from './limits.ts';
import type { TargetTypeInfo } from './manifest/context.ts';
import { hashesAfterRotation, secretsOf, type SecretVersionMap } from './manifest/hashes.ts';
import { SECRET_NAME } from './manifest/references.ts';
import type { FleetState, Instance, SpecHashes } from './model.ts';

export interface SecretView {
  readonly name: string;
  readonly version: number;
  readonly at: number;
  /** Names of the instances that are declared with it, by code unit. */
  readonly usedBy: readonly string[];
}

export const SECRET_NAME_WORDS = `a secret's name has letters, digits, "_", "." and "-", at most ${NAME_CHARS} of them`;

export const isSecretName = (name: string): boolean => SECRET_NAME.test(name);

/** Versions in force, as hashes count them. */
export function secretVersions(state: FleetState): SecretVersionMap {
  return new Map([...state.secrets].map(([name, { version }]) => [name, version]));
}

/** By name, by code unit. */
export function listSecrets(state: FleetState): readonly SecretView[] {
  const users = new Map<string, string[]>();
  for (const inst of living(state)) {
    for (const secret of secretsOf(inst.spec)) users.set(secret, [...(users.get(secret) ?? []), inst.name]);
  }
  return [...state.secrets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { version, at }]) => ({ name, version, at, usedBy: (users.get(name) ?? []).sort() }));
}

/** Who is declared with it, by code unit. One that is being deleted needs it no more. */
export function usersOf(state: FleetState, secret: string): readonly string[] {
  const found: string[] = [];
  for (const inst of living(state)) if (secretsOf(inst.spec).includes(secret)) found.push(inst.name);
  return found.sort();
}

/** The version that is stored next under this name. */
export function nextVersion(state: FleetState, secret: string): number {
  return (state.secrets.get(secret)?.version ?? state.secretFloor) + 1;
}

/** Is there room for one more name? */
export function hasRoomFor(state: FleetState, secret: string): boolean {
  return state.secrets.has(secret) || state.secrets.size < MAX_SECRETS;
}

/**
 * The fact that `version` is in force. An instance whose target type this server does not know keeps its hashes: they are
 * compared again when it is next applied.
 */
export function rotation(
  state: FleetState,
  types: ReadonlyMap<string, TargetTypeInfo>,
  secret: string,
  version: number,
): EventData['secret.rotated'] {
  const versions = new Map(secretVersions(state)).set(secret, version);
  const hashes: { [uid: string]: SpecHashes } = {};
  for (const { uid, spec, hashes: recorded } of living(state)) {
    const type = types.get(spec.target);
    if (type?.type !== spec.targetType) continue;
    const after = hashesAfterRotation(spec, recorded, type, versions, secret);
    if (after !== null) hashes[uid] = after;
  }
  return { secret, version, hashes };
}

function* living(state: FleetState): Iterable<Instance> {
  for (const inst of state.instances.values()) if (inst.desired !== 'deleted') yield inst;
}
