/**
 * Reads the rows of a stored log. Every store reads through `readRow`, so that all of them agree on what a row means:
 *
 * 1. A row of a type or version that this build does not know is `newer`: the store refuses, nobody guesses.
 * 2. A row of a known type whose content is broken becomes `event.quarantined` at its own seq, with its instance and
 *    uid, so that the fold can hold that instance (skipping a `stop` would start an agent).
 * 3. Everything else is an event of the present version, with the shape that `EventData` promises.
 *
 * This runs once per event of a replay (DESIGN §21), hence plain `typeof` checks at fixed sites and no allocation: a
 * schema library costs more than SQLite and JSON.parse together. The checks go as deep as the fold reads without
 * looking; what only people read (messages, attributes) is not taken apart.
 */
import { wordsOf } from './error-words.ts';
import { EVENT_VERSIONS } from './events.ts';
import type { EventType, Recovery, StoredEvent } from './events.ts';
import { UPGRADES, upgraded, type Upgrades } from './event-upgrades.ts';
import { PHASES } from './model.ts';
import { parsed } from './parsed.ts';

/** One row as a store keeps it. `data` and `by` are JSON text, or (data only) the value that was already parsed. */
export interface EventRow {
  readonly seq: number;
  readonly at: number;
  readonly type: string;
  readonly v: number;
  readonly instance: string | null;
  readonly uid: string | null;
  readonly data: unknown;
  readonly by: string | null;
}

export type RowRead =
  | { readonly kind: 'event'; readonly event: StoredEvent }
  /** `message` begins with "event <seq>"; the store adds the fleet. */
  | { readonly kind: 'newer'; readonly message: string };

/** `upgrades`: those of this build, unless a test stands for a later one. */
export function readRow(row: EventRow, upgrades: Upgrades = UPGRADES): RowRead {
  const shape = SHAPE_OF.get(row.type);
  if (shape === undefined) return newer(row, 'a type that this build does not know');
  const present = upgrades === UPGRADES ? shape.v : 1 + (upgrades[shape.type]?.length ?? 0);
  if (row.v > present) return newer(row, `version ${row.v}, where this build knows ${present}`);

  let data: unknown;
  let by: unknown = null;
  try {
    data = typeof row.data === 'string' ? parsed(row.data) : row.data;
    if (row.by !== null) by = JSON.parse(row.by);
  } catch (error) {
    return quarantined(row, `not JSON: ${wordsOf(error)}`);
  }
  if (row.v !== present) {
    if (!(row.v >= 1)) return quarantined(row, `there never was a version ${row.v} of it`);
    try {
      data = upgraded(upgrades[shape.type] ?? [], row.v, data);
    } catch (error) {
      return quarantined(row, `its version ${row.v} cannot be read as version ${present}: ${wordsOf(error)}`);
    }
  }
  const problem = problemOf(shape, data);
  if (problem !== null) return quarantined(row, problem);
  if (shape.about === 'instance' && (row.instance === null || row.uid === null)) {
    return quarantined(row, 'it names no instance');
  }
  if (by !== null && !isBy(by)) return quarantined(row, BY_PROBLEM);
  return { kind: 'event', event: place(row, shape.type, present, data, by) };
}

/** Why `data` is not what an event of this type and version holds; null when it is. */
export function eventProblem(type: EventType, v: number, data: unknown): string | null {
  const shape = SHAPE_OF.get(type);
  if (shape === undefined) return `${type} is not an event type`;
  if (v !== shape.v) return `it is of version ${v}, not ${shape.v}`;
  return problemOf(shape, data);
}

function problemOf(shape: Shape, data: unknown): string | null {
  return isObject(data) && shape.holds(data) ? null : shape.problem;
}

/** `type` is the table's own string: one object for all rows, so that later comparisons are by pointer. */
function place(row: EventRow, type: EventType, v: number, data: unknown, by: unknown): StoredEvent {
  const { seq, at, instance, uid } = row;
  // Four literals rather than one that is extended: each has a fixed hidden class, and a replay is mostly the first.
  const event =
    instance !== null && uid !== null
      ? by === null
        ? { seq, at, v, type, instance, uid, data }
        : { seq, at, v, type, instance, uid, data, by }
      : {
          seq,
          at,
          v,
          type,
          ...(instance === null ? null : { instance }),
          ...(uid === null ? null : { uid }),
          data,
          ...(by === null ? null : { by }),
        };
  // The table has just proved that `data` belongs to `type`; the compiler cannot follow a lookup by string.
  return event as unknown as StoredEvent;
}

function quarantined(row: EventRow, message: string): RowRead {
  const data = { was: row.type, message: message.slice(0, 500) };
  return { kind: 'event', event: place(row, 'event.quarantined', EVENT_VERSIONS['event.quarantined'], data, null) };
}

function newer(row: EventRow, what: string): RowRead {
  return { kind: 'newer', message: `event ${row.seq} is "${row.type}", ${what}: a newer Holdfast wrote it` };
}

// ── the shapes ──────────────────────────────────────────────────────────────────────────────────────────────────────

type Data = { readonly [key: string]: unknown };

interface Shape {
  readonly type: EventType;
  readonly v: number;
  /** `instance`: a row without instance and uid would be folded into nothing. */
  readonly about: 'instance' | 'any';
  readonly problem: string;
  readonly holds: (data: Data) => boolean;
}

const str = (value: unknown): boolean => typeof value === 'string';
const num = (value: unknown): boolean => typeof value === 'number';
const bool = (value: unknown): boolean => typeof value === 'boolean';
const strOrNull = (value: unknown): boolean => value === null || typeof value === 'string';
const numOrNull = (value: unknown): boolean => value === null || typeof value === 'number';
const strIfAny = (value: unknown): boolean => value === undefined || typeof value === 'string';
const numIfAny = (value: unknown): boolean => value === undefined || typeof value === 'number';
const boolIfAny = (value: unknown): boolean => value === undefined || typeof value === 'boolean';

function isObject(value: unknown): value is Data {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isListOf(value: unknown, holds: (item: unknown) => boolean): boolean {
  if (!Array.isArray(value)) return false;
  for (let i = 0; i < value.length; i += 1) if (!holds(value[i])) return false;
  return true;
}

function isMapOf(value: unknown, holds: (item: unknown) => boolean): boolean {
  if (!isObject(value)) return false;
  for (const key in value) if (!holds(value[key])) return false;
  return true;
}

const strsOrNull = (value: unknown): boolean => value === null || isListOf(value, str);

const BY_PROBLEM = '"by" is not { token, via, reason? }';
const isBy = (by: unknown): boolean => isObject(by) && str(by.token) && str(by.via) && strIfAny(by.reason);

const STATES = new Set<unknown>(['running', 'stopped', 'changing', 'missing']);
const VERBS = new Set<unknown>(['reconcile', 'stop', 'resume', 'restart', 'wake', 'sleep']);
const OUTCOMES = new Set<unknown>(['succeeded', 'failed', 'timed-out', 'aborted', 'abandoned']);
const REPORTS = new Set<unknown>(['first', 'silent', 'recovered', 'well', 'busy', 'idle']);
const CLASSES = new Set<unknown>(['transient', 'terminal', 'conflict']);
const FAULTS = new Set<unknown>(['instance', 'target']);
const PHASE_NAMES = new Set<unknown>(PHASES);
const FLAPS = new Set<unknown>([
  'process_exited',
  'container_stopped',
  'container_missing',
  'instance_terminated',
  'instance_stopped',
]);

const isExit = (exit: unknown): boolean =>
  exit === null ||
  (isObject(exit) && numOrNull(exit.code) && strOrNull(exit.signal) && bool(exit.oom) && strOrNull(exit.output));

const isLook = (look: Data): boolean =>
  STATES.has(look.state) &&
  strOrNull(look.ref) &&
  strOrNull(look.incarnation) &&
  strOrNull(look.infra) &&
  isExit(look.exit) &&
  num(look.restarts) &&
  isObject(look.attrs);

const isHashes = (hashes: unknown): boolean => isObject(hashes) && str(hashes.infra) && strOrNull(hashes.config);

const isInstalled = (plugin: unknown): boolean =>
  isObject(plugin) &&
  str(plugin.source) &&
  strOrNull(plugin.ref) &&
  str(plugin.sha) &&
  str(plugin.treeDigest) &&
  boolIfAny(plugin.restart);

const isSpec = (spec: unknown): boolean =>
  isObject(spec) &&
  str(spec.target) &&
  str(spec.targetType) &&
  (spec.lifecycle === 'hot' || spec.lifecycle === 'lazy') &&
  isObject(spec.labels) &&
  numOrNull(spec.idleAfterMs) &&
  isObject(spec.run) &&
  isObjectOrNull(spec.health) &&
  isObjectOrNull(spec.heartbeat) &&
  isObjectOrNull(spec.config) &&
  isListOf(spec.plugins, isObject) &&
  isListOf(spec.expose, isObject);

function isObjectOrNull(value: unknown): boolean {
  return value === null || isObject(value);
}

const isPolicy = (policy: unknown): boolean =>
  isObject(policy) &&
  num(policy.giveUpAfter) &&
  num(policy.retryErrorEveryMs) &&
  numOrNull(policy.maxInFlight) &&
  isObject(policy.rollout) &&
  str(policy.onSilent) &&
  str(policy.onDegraded) &&
  str(policy.drift);

const isFailure = (detail: unknown): boolean =>
  isObject(detail) && CLASSES.has(detail.class) && FAULTS.has(detail.fault) && str(detail.code) && str(detail.message);

const isRemovedOrInstalled = (plugin: unknown): boolean =>
  isInstalled(plugin) || (isObject(plugin) && str(plugin.source) && plugin.removed === true);

const isCommand = (command: Data): boolean => {
  switch (command.verb) {
    case 'hold':
      return (
        str(command.id) &&
        str(command.reason) &&
        numOrNull(command.until) &&
        strOrNull(command.target) &&
        strsOrNull(command.instances)
      );
    case 'release':
      return strOrNull(command.target) && strsOrNull(command.instances);
    case 'override':
      return strOrNull(command.target) && strOrNull(command.identity) && bool(command.rollout);
    default:
      return VERBS.has(command.verb);
  }
};

const isReport = (data: Data): boolean => {
  if (data.report === 'degraded') return str(data.message);
  if (data.report === 'version') return str(data.version);
  return REPORTS.has(data.report);
};

const isAction = (action: unknown): boolean =>
  isObject(action) &&
  str(action.instance) &&
  str(action.uid) &&
  str(action.type) &&
  str(action.rule) &&
  isListOf(action.facts, num);

const isTransition = (step: unknown): boolean =>
  isObject(step) && str(step.uid) && PHASE_NAMES.has(step.from) && PHASE_NAMES.has(step.to) && str(step.rule);

const isDecidedHold = (item: unknown): boolean =>
  isObject(item) &&
  str(item.uid) &&
  (item.hold === null ||
    (isObject(item.hold) && str(item.hold.reason) && str(item.hold.rule) && numOrNull(item.hold.until)));

const isProbe = (probe: Data): boolean => bool(probe.ok) && str(probe.message);
const isLease = (data: Data): boolean => numIfAny(data.leaseUntil);

const RECOVERIES: ReadonlySet<unknown> = new Set<Recovery>(['abort', 'hold', 'mark-dirty']);

/** `[about, what it holds (for the message), the check]`; one row per type, so that a new type cannot be forgotten. */
const SHAPES: {
  readonly [T in EventType]: readonly [about: Shape['about'], wants: string, holds: (d: Data) => boolean];
} = {
  'owner.started': ['any', '{ epoch, owner, logic }', (d) => num(d.epoch) && str(d.owner) && num(d.logic)],
  'owner.stopped': ['any', '{ epoch, agents }', (d) => num(d.epoch) && typeof d.agents === 'boolean'],
  'manifest.applied': ['any', '{ revision, manifest }', (d) => str(d.revision) && d.manifest !== undefined],
  'policy.changed': ['any', '{ policy }', (d) => isPolicy(d.policy)],
  'spec.applied': [
    'instance',
    '{ spec, hashes, generation, revision }',
    (d) => isSpec(d.spec) && isHashes(d.hashes) && num(d.generation) && str(d.revision),
  ],
  'spec.deleted': [
    'instance',
    '{ data: keep | delete, forget, prune }',
    (d) => (d.data === 'keep' || d.data === 'delete') && bool(d.forget) && bool(d.prune),
  ],
  'command.issued': ['any', '{ verb, … }', isCommand],
  'token.rotated': ['instance', '{ serial }', (d) => num(d.serial)],
  'secret.rotated': [
    'any',
    '{ secret, version, hashes }',
    (d) => str(d.secret) && num(d.version) && isMapOf(d.hashes, isHashes),
  ],
  'secret.deleted': ['any', '{ secret }', (d) => str(d.secret)],
  'target.synced': [
    'any',
    '{ target, identity, abilities, deadlinesMs, graceMs, maxInFlight }',
    (d) =>
      str(d.target) &&
      str(d.identity) &&
      isListOf(d.abilities, str) &&
      isMapOf(d.deadlinesMs, num) &&
      num(d.graceMs) &&
      num(d.maxInFlight),
  ],
  'target.stale': ['any', '{ target, message }', (d) => str(d.target) && str(d.message)],
  'target.refused': [
    'any',
    '{ target, message, identity }',
    (d) => str(d.target) && str(d.message) && strOrNull(d.identity),
  ],
  'target.cleared': ['any', '{ target }', (d) => str(d.target)],
  'resource.observed': [
    'instance',
    '{ state, ref, incarnation, infra, exit, restarts, attrs, began }',
    (d) => isLook(d) && num(d.began) && boolIfAny(d.eventful),
  ],
  'sweep.completed': ['any', '{ target, began }', (d) => str(d.target) && num(d.began)],
  'image.resolved': ['any', '{ image, digest }', (d) => str(d.image) && str(d.digest)],
  'orphan.removed': [
    'any',
    '{ target, instance, uid, ref }',
    (d) => str(d.target) && str(d.instance) && str(d.uid) && (d.ref === null || str(d.ref)),
  ],
  'volume.removed': ['any', '{ target, volume, instance }', (d) => str(d.target) && str(d.volume) && str(d.instance)],
  'exec.asked': ['instance', '{ target, program }', (d) => str(d.target) && str(d.program)],
  'operation.ended': [
    'instance',
    '{ operation, outcome, error?, saw?, config?, plugin?, plugins?, probe? }',
    (d) =>
      str(d.operation) &&
      OUTCOMES.has(d.outcome) &&
      (d.error === undefined || isFailure(d.error)) &&
      (d.saw === undefined || (isObject(d.saw) && isLook(d.saw))) &&
      (d.config === undefined || isMapOf(d.config, str)) &&
      (d.plugin === undefined || isRemovedOrInstalled(d.plugin)) &&
      (d.plugins === undefined || isListOf(d.plugins, isInstalled)) &&
      (d.probe === undefined || (isObject(d.probe) && isProbe(d.probe))),
  ],
  'agent.reported': ['instance', '{ report, … }', isReport],
  'work.began': ['instance', '{ leaseUntil? }', isLease],
  'work.ended': ['instance', '{ leaseUntil? }', isLease],
  'config.observed': ['instance', '{ hash }', (d) => str(d.hash)],
  'config.persisted': ['instance', '{ hash }', (d) => str(d.hash)],
  'channel.up': ['any', '{ channel }', (d) => str(d.channel)],
  'channel.down': ['any', '{ channel, message }', (d) => str(d.channel) && str(d.message)],
  'plugins.observed': ['instance', '{ installed }', (d) => isListOf(d.installed, isInstalled)],
  'plugin.ref-moved': [
    'any',
    '{ source, ref?, sha }',
    (d) => str(d.source) && str(d.sha) && (d.ref === undefined || strOrNull(d.ref)),
  ],
  'probe.answered': ['instance', '{ ok, message }', isProbe],
  'event.quarantined': ['any', '{ was, message }', (d) => str(d.was) && str(d.message)],
  'invariant.broken': [
    'instance',
    '{ invariant, message, recovery: abort | hold | mark-dirty }',
    (d) => num(d.invariant) && str(d.message) && RECOVERIES.has(d.recovery),
  ],
  'tick.decided': [
    'any',
    '{ now, logic, actions, transitions, holds }',
    (d) =>
      num(d.now) &&
      num(d.logic) &&
      isListOf(d.actions, isAction) &&
      isListOf(d.transitions, isTransition) &&
      isListOf(d.holds, isDecidedHold),
  ],
  'flap.observed': [
    'instance',
    '{ kind, incarnation, exit, output }',
    (d) => FLAPS.has(d.kind) && strOrNull(d.incarnation) && isExit(d.exit) && strOrNull(d.output),
  ],
};

/** A Map, not the object: a type that comes from a damaged row may be "constructor". */
const SHAPE_OF: ReadonlyMap<string, Shape> = new Map(
  (Object.keys(SHAPES) as EventType[]).map((type) => {
    const [about, wants, holds] = SHAPES[type];
    return [type, { type, v: EVENT_VERSIONS[type], about, problem: `${type} does not hold ${wants}`, holds }];
  }),
);
