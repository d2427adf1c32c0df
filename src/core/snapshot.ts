/**
 * A fleet's state as text, and back, so that a start need not fold the whole log.
 *
 *  1. `thaw(freeze(state))` folds and decides on exactly as `state` would. Everybody is dirty in it: looking at everybody
 *     once decides the same.
 *  2. Explicit order: equal states have equal texts, whatever the order in which they came about.
 *  3. What many instances share (specs, their parts) is written once and, thawed, held in memory once.
 *
 * Instances are rows under one list of columns: named keys in each of 100,000 rows would double the text.
 */
import { order } from './gates.ts';
import { Pool, sharer, unpacked, type Sharer } from './interning.ts';
import { LOGIC_VERSION, ROWS_PER_STEP } from './limits.ts';
import type {
  FleetState,
  Instance,
  Json,
  Operation,
  OperatorHold,
  Policy,
  Resource,
  RolloutState,
  Spec,
  SpecHashes,
  TargetState,
} from './model.ts';

/** `state` is left as it is. */
export function freeze(state: FleetState): string {
  const steps = freezing(state);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** `freeze` in short steps, for whoever has others to serve meanwhile. Until it has ended `state` must not change. */
export function* freezing(state: FleetState): Generator<undefined, string> {
  const pool = new Pool();
  const rows: string[] = [];
  for (const [, inst] of sorted(state.instances)) {
    rows.push(JSON.stringify(rowOf(inst, pool)));
    if (rows.length % ROWS_PER_STEP === 0) yield;
  }
  const { fleet, seq, at, epoch, ownerAt, ownerSeq, policy, revision, manifest, holds, lost, rollout } = state;
  const { secrets, secretFloor } = state;
  const frozen: Frozen = {
    fleet,
    seq,
    at,
    epoch,
    ownerAt,
    ownerSeq,
    policy,
    revision,
    manifest,
    holds,
    lost: sorted(lost),
    rollout: rollout && { ...rollout, active: sorted(rollout.active) },
    secrets: sorted(secrets),
    secretFloor,
    targets: sorted(state.targets).map(([, target]) => ({ ...target, losses: sorted(target.losses) })),
    predecessors: sorted(state.predecessors),
    shared: sorted(new Map([...state.contested].map((key) => [key, state.refs.get(key) ?? []]))),
    parts: pool.parts,
    specs: pool.specs,
    columns: COLUMNS,
    // Last, and empty: the rows, which are nearly all of the text, are put in as they were written.
    instances: [],
  };
  yield;
  return `${JSON.stringify(frozen).slice(0, -']}'.length)}${rows.join(',')}]}`;
}

/**
 * The state that was frozen, all of it dirty. `logic` is the version that froze it: an older one is migrated; where no way
 * is known, or it is newer, this throws, for folding on from a wrong state would be worse than not starting.
 */
export function thaw(body: string, logic: number): FleetState {
  const frozen = migrated(JSON.parse(body), logic);
  const specs = unpacked(frozen.specs, frozen.parts);
  const shared = sharer();
  const instances = new Map<string, Instance>();
  for (const row of frozen.instances) {
    const inst = instanceOf(frozen.columns, row, specs, shared);
    instances.set(inst.uid, inst);
  }
  const { fleet, seq, at, epoch, ownerAt, ownerSeq, policy, revision, manifest, holds, lost, rollout } = frozen;
  const predecessors = new Map(frozen.predecessors);
  return {
    fleet,
    seq,
    at,
    epoch,
    ownerAt,
    ownerSeq,
    policy,
    revision,
    manifest,
    holds,
    lost: new Map(lost),
    rollout: rollout && { ...rollout, active: new Map(rollout.active) },
    secrets: new Map(frozen.secrets),
    secretFloor: frozen.secretFloor ?? 0,
    targets: new Map(frozen.targets.map((target) => [target.name, { ...target, losses: new Map(target.losses) }])),
    predecessors,
    instances,
    names: namesOf(instances, predecessors),
    refs: refsOf(instances, frozen.shared),
    contested: new Set(frozen.shared.map(([key]) => key)),
    dirty: new Set(instances.keys()),
    faults: [],
  };
}

// ── the frozen form ─────────────────────────────────────────────────────────────────────────────────────────────────

type Entries<V> = readonly (readonly [string, V])[];

interface Frozen {
  readonly fleet: string;
  readonly seq: number;
  readonly at: number;
  readonly epoch: number;
  readonly ownerAt: number;
  readonly ownerSeq: number;
  readonly policy: Policy;
  readonly revision: string | null;
  readonly manifest: Json;
  readonly holds: readonly OperatorHold[];
  readonly lost: Entries<number>;
  readonly rollout: (Omit<RolloutState, 'active'> & { readonly active: Entries<number> }) | null;
  /** Not in those of a build that could store none. */
  readonly secrets?: Entries<{ readonly version: number; readonly at: number }>;
  readonly secretFloor?: number;
  readonly targets: readonly (Omit<TargetState, 'losses'> & { readonly losses: Entries<Loss> })[];
  readonly predecessors: Entries<readonly string[]>;
  /** Refs that more than one instance holds, in the order of their claims; the others follow from the instances. */
  readonly shared: Entries<readonly string[]>;
  /** Parts of specs as JSON, each once. */
  readonly parts: readonly Json[];
  /** Each different spec once; `SHARED_PARTS` as positions in `parts`. */
  readonly specs: readonly Json[];
  readonly columns: readonly (keyof Instance)[];
  readonly instances: readonly (readonly unknown[])[];
}

type Loss = TargetState['losses'] extends Map<string, infer L> ? L : never;

/** From each older logic version to the next one. There is none before 1. */
const MIGRATIONS: ReadonlyMap<number, (frozen: Frozen) => Frozen> = new Map([
  [1, withNamedStops],
  // The same state, decided otherwise.
  [2, (frozen) => frozen],
]);

/** Version 1 had one budget for whatever stops: what is in flight goes on counting where it was counted. */
function withNamedStops(frozen: Frozen): Frozen {
  const at = frozen.columns.indexOf('operation');
  const stops = new Set<unknown>(['stop', 'sleep', 'destroy']);
  const instances = frozen.instances.map((row) => {
    const operation = row[at] as Operation | null;
    return operation !== null && stops.has(operation.kind) ? row.with(at, { ...operation, named: true }) : row;
  });
  return { ...frozen, instances };
}

function migrated(body: unknown, logic: number): Frozen {
  if (logic > LOGIC_VERSION) {
    throw new Error(
      `the snapshot was made by logic version ${logic}, and this build knows ${LOGIC_VERSION}: a newer Holdfast wrote it`,
    );
  }
  if (typeof body !== 'object' || body === null || !('columns' in body) || !('instances' in body)) {
    throw new Error('the snapshot is not the state of a fleet: it has no columns or no instances');
  }
  let frozen = body as Frozen;
  for (let version = logic; version < LOGIC_VERSION; version += 1) {
    const migrate = MIGRATIONS.get(version);
    if (migrate === undefined) {
      throw new Error(
        `the snapshot was made by logic version ${version}, from which this build (${LOGIC_VERSION}) knows no way; start from the whole log`,
      );
    }
    frozen = migrate(frozen);
  }
  return frozen;
}

const sorted = <V>(map: ReadonlyMap<string, V>): [string, V][] => [...map].sort(([a], [b]) => order(a, b));

// ── instances ───────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Every field of an instance with the value it takes where a frozen one lacks the column. The compiler holds it complete,
 * and copies of it have one hidden class: built key by key, 100,000 of them would become slow dictionaries.
 */
const BLANK: Instance = {
  uid: '',
  name: '',
  spec: undefined as unknown as Spec,
  hashes: undefined as unknown as SpecHashes,
  generation: 0,
  specSeq: 0,
  specAt: 0,
  createdAt: 0,
  desired: 'running',
  desiredSeq: 0,
  deletion: null,
  existed: false,
  resource: null,
  runningSince: null,
  endingIncarnation: null,
  endedIncarnations: [],
  removing: false,
  completed: false,
  operation: null,
  operations: 0,
  operationSeq: 0,
  concerns: {},
  agent: null,
  awake: false,
  wakeSeq: 0,
  sleepAskedSeq: null,
  restartAskedSeq: null,
  activeAt: 0,
  work: { open: false, leaseUntil: null },
  config: null,
  plugins: null,
  restartDueSeq: null,
  movedRefs: null,
  flaps: [],
  restarts: { crashes: 0, planned: 0 },
  token: { serial: 0, next: null },
  quarantinedSeq: null,
  phase: 'CREATING',
  phaseSince: 0,
  phaseSeq: 0,
  hold: null,
};

const COLUMNS = Object.keys(BLANK) as (keyof Instance)[];

function rowOf(inst: Instance, pool: Pool): readonly unknown[] {
  return COLUMNS.map((column) => {
    if (column === 'spec') return pool.spec(inst.spec);
    if (column === 'concerns') return Object.fromEntries(Object.entries(inst.concerns).sort(([a], [b]) => order(a, b)));
    return inst[column];
  });
}

function instanceOf(
  columns: Frozen['columns'],
  row: readonly unknown[],
  specs: readonly Spec[],
  shared: Sharer,
): Instance {
  // `concerns` is the one part that folding changes in place.
  const inst = { ...BLANK, concerns: {} };
  const fields = inst as { [column: string]: unknown };
  columns.forEach((column, at) => {
    fields[column] = row[at];
  });
  const spec = specs[row[columns.indexOf('spec')] as number];
  if (spec === undefined) throw new Error(`the snapshot names a spec for "${inst.name}" that it does not hold`);
  inst.spec = spec;
  inst.hashes = {
    infra: shared.text(inst.hashes.infra),
    config: inst.hashes.config && shared.text(inst.hashes.config),
  };
  if (inst.resource !== null) inst.resource = sharedResource(inst.resource, shared);
  if (inst.config !== null) {
    const { applied, observed, persisted, ...rest } = inst.config;
    const text = (hash: string | null): string | null => hash && shared.text(hash);
    inst.config = { applied: text(applied), observed: text(observed), persisted: text(persisted), ...rest };
  }
  if (inst.flaps.length === 0) inst.flaps = BLANK.flaps;
  if (!inst.work.open && inst.work.leaseUntil === null) inst.work = BLANK.work;
  if (inst.restarts.crashes === 0 && inst.restarts.planned === 0) inst.restarts = BLANK.restarts;
  if (inst.token.serial === 0 && inst.token.next === null) inst.token = BLANK.token;
  return inst;
}

const sharedResource = (resource: Resource, shared: Sharer): Resource => ({
  ...resource,
  infra: resource.infra && shared.text(resource.infra),
  attrs: shared.attrs(resource.attrs),
});

/** The newest uid under each name: the one that is nobody's predecessor. */
function namesOf(
  instances: ReadonlyMap<string, Instance>,
  predecessors: FleetState['predecessors'],
): Map<string, string> {
  const names = new Map<string, string>();
  for (const { uid, name } of instances.values()) {
    if (predecessors.get(name)?.includes(uid) !== true) names.set(name, uid);
  }
  return names;
}

function refsOf(instances: ReadonlyMap<string, Instance>, shared: Frozen['shared']): Map<string, readonly string[]> {
  const refs = new Map<string, readonly string[]>();
  for (const { uid, spec, resource } of instances.values()) {
    if (resource !== null && resource.ref !== null && resource.state !== 'missing')
      refs.set(`${spec.target}\0${resource.ref}`, [uid]);
  }
  for (const [key, uids] of shared) refs.set(key, uids);
  return refs;
}
