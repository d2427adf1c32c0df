/**
 * Names and labels: how a container or a volume says whose it is. Labels decide, names only keep two of the same apart.
 *
 * A label cannot be changed once a container exists. One that lacks deployment, target, fleet, instance or uid is not ours,
 * whatever it is called: it is neither listed nor touched. One whose infra label was left out or forged shows another infra
 * hash than declared, which is drift, and is recreated.
 */
import { sha256 } from '../../core/hash.ts';
import type { Subject } from '../../ports/target.ts';

export type Labels = { readonly [name: string]: string };

/** Whose things a target handles: of one deployment, made through one named target. */
export interface Scope {
  readonly deployment: string;
  readonly target: string;
}

/** Whom a thing belongs to. */
export interface Owner {
  readonly fleet: string;
  readonly instance: string;
  readonly uid: string;
}

const DEPLOYMENT = 'holdfast.deployment';
const TARGET = 'holdfast.target';
const FLEET = 'holdfast.fleet';
const INSTANCE = 'holdfast.instance';
const UID = 'holdfast.uid';
const GENERATION = 'holdfast.generation';
const INFRA = 'holdfast.infra';
const VOLUME = 'holdfast.volume';
/** Of a container through which plugins are reached: its uid. It has no owner, so that it counts as nobody's resource. */
const BOX = 'holdfast.box';

/** The infra hash that a thing carries. */
export const infraIn = (labels: Labels): string | null => labels[INFRA] ?? null;
/** The key of a volume in its instance's declaration. */
export const volumeKeyIn = (labels: Labels): string | null => labels[VOLUME] ?? null;
export const deploymentIn = (labels: Labels): string | null => labels[DEPLOYMENT] ?? null;

/** The owner, if the thing is in scope; null if it is somebody else's. */
export function ownerIn(labels: Labels | null | undefined, scope: Scope): Owner | null {
  if (labels == null || labels[DEPLOYMENT] !== scope.deployment || labels[TARGET] !== scope.target) return null;
  const { [FLEET]: fleet, [INSTANCE]: instance, [UID]: uid } = labels;
  return fleet && instance && uid ? { fleet, instance, uid } : null;
}

export function containerLabels(scope: Scope, subject: Subject): Labels {
  return { ...ownerLabels(scope, subject), [GENERATION]: String(subject.generation), [INFRA]: subject.infraHash };
}

export function volumeLabels(scope: Scope, owner: Owner, key: string): Labels {
  return { ...ownerLabels(scope, owner), [VOLUME]: key };
}

export const boxLabels = (scope: Scope, { uid }: Owner): Labels => ({ [DEPLOYMENT]: scope.deployment, [BOX]: uid });

/** Whose plugins are reached through it; null: it is no such container of ours. */
export const boxUidIn = (labels: Labels, scope: Scope): string | null =>
  labels[DEPLOYMENT] === scope.deployment ? (labels[BOX] ?? null) : null;

function ownerLabels(scope: Scope, { fleet, instance, uid }: Owner): Labels {
  return { [DEPLOYMENT]: scope.deployment, [TARGET]: scope.target, [FLEET]: fleet, [INSTANCE]: instance, [UID]: uid };
}

/** For the engine's own filter, of containers, volumes and events: everything in scope, or of one uid. */
export function scopeFilter(scope: Scope, uid?: string): readonly string[] {
  const all = [`${DEPLOYMENT}=${scope.deployment}`, `${TARGET}=${scope.target}`];
  return uid === undefined ? all : [...all, `${UID}=${uid}`];
}

/** The same, of everybody who ever had this name in this fleet. */
export const nameFilter = (scope: Scope, { fleet, instance }: Owner): readonly string[] => [
  ...scopeFilter(scope),
  `${FLEET}=${fleet}`,
  `${INSTANCE}=${instance}`,
];

/** One name, one container: a second one of the same instance cannot come to be. Fleet and instance names have no dots. */
export const containerName = (scope: Scope, owner: Owner): string =>
  `holdfast-${short(scope)}.${owner.fleet}.${owner.instance}`;

/** While an update prepares the next container, the present one keeps the name. */
export const nextName = (scope: Scope, owner: Owner): string => `${containerName(scope, owner)}.next`;

/** One at a time reaches for its plugins. */
export const boxName = (scope: Scope, owner: Owner): string => `${containerName(scope, owner)}.plugins`;

/** With the uid: an instance that is declared again under an old name does not inherit the data of its predecessor (L80). */
export const volumeName = (scope: Scope, owner: Owner, key: string): string =>
  `${volumePrefix(scope, owner, key)}${owner.uid}`;

/** The key of the volume that plugins are delivered to: no declared one begins with a dot. */
export const PLUGIN_VOLUME = '.plugins';

/** What the names of all volumes of that key begin with, whoever had the name. */
export const volumePrefix = (scope: Scope, owner: Owner, key: string): string =>
  `${containerName(scope, owner)}.${key}.`;

const short = ({ deployment }: Scope): string => sha256(deployment).slice(0, 8);
