/**
 * The decision table: what Holdfast does, in one place and one order. A newcomer who reads this file knows the product.
 *
 * The first row that matches gives the phase. A `final` row ends the search for an action; behind the others the search goes on
 * to the first matching row whose gates are open, so that an unappliable config never shadows a silent agent (L81).
 * Rows are pure: they look at folded facts, and ask the time only through the case.
 */
import type { Case } from './case.ts';
import type { ConcernName, OperationKind, Phase } from './model.ts';
import { failedBefore, isLeftForLater, PLUGINS_ROW } from './plugin-row.ts';

export type RowId =
  | 'operating'
  | 'deleting'
  | 'unseen'
  | 'stop-asked'
  | 'stopped'
  | 'offline'
  | 'gave-up'
  | 'create'
  | 'missing'
  | 'asleep'
  | 'changing'
  | 'start'
  | 'update'
  | 'restart-asked'
  | 'starting'
  | 'idle'
  | 'silent'
  | 'config'
  | 'plugins'
  | 'agent-degraded'
  | 'running'
  | 'unclassified';

/** Who goes first when there is not room for all: wake, heal, update, create. */
export type Priority = 0 | 1 | 2 | 3;
const WAKE: Priority = 0;
const HEAL: Priority = 1;
const UPDATE: Priority = 2;
const CREATE: Priority = 3;

/** Something a row would do, before the gates have spoken. */
export interface Proposal {
  readonly type: OperationKind | 'forget';
  readonly rule: RowId;
  readonly concern: ConcernName;
  readonly priority: Priority;
  readonly unstarted?: boolean;
  readonly subject?: string;
  /** An operator named this very instance: passes the operator hold. */
  readonly named?: boolean;
  /** Heals a loss: held while the blast radius is exceeded. */
  readonly heals?: boolean;
  /** A declared change that disturbs a proved instance: goes by rollout. */
  readonly disrupts?: boolean;
  /** Its cause counts as a failure of `run`. */
  readonly counted?: boolean;
  /** Never on a busy agent. */
  readonly waitsForIdle?: boolean;
}

export interface Row {
  readonly id: RowId;
  /** When it matches and what then happens, in one sentence. */
  readonly sentence: string;
  /** Ends the search for an action. */
  readonly final: boolean;
  readonly on: 'managed' | 'external' | 'both';
  matches(c: Case): boolean;
  /** null: the rows below say it. */
  phase(c: Case): Phase | null;
  /** What it would do, in order of preference; the first whose gates are open is done. */
  proposals(c: Case): readonly Proposal[];
  /** Log positions of the facts it rests on. */
  facts(c: Case): readonly number[];
  /** Why it did not match, for `why`. */
  unless(c: Case): string;
}

const NOTHING: readonly Proposal[] = [];

/** Operations that change what runs; the others leave the phase to the rows below. */
function changesWhatRuns(c: Case): boolean {
  const operation = c.inst.operation;
  switch (operation?.kind) {
    case 'provision':
    case 'update':
      return !operation.unstarted;
    case 'start':
    case 'stop':
    case 'sleep':
    case 'restart':
    case 'destroy':
      return true;
    default:
      return false;
  }
}

/** In order, each once. They are three at most. */
function seqs(...all: readonly (number | null | undefined)[]): readonly number[] {
  const facts: number[] = [];
  for (const seq of all) if (seq != null && seq > 0 && !facts.includes(seq)) facts.push(seq);
  return facts.length > 1 ? facts.sort((a, b) => a - b) : facts;
}

const seen = (c: Case): string =>
  c.inst.resource === null ? 'its resource was never seen' : `its resource is ${c.inst.resource.state}`;

/** Rows 13, 18 and 19 for an instance that does not run: everything that can be made right without starting it. */
function unstartedRepairs(c: Case): readonly Proposal[] {
  let repairs = NOTHING;
  for (const row of [UPDATE_ROW, CONFIG_ROW, PLUGINS_ROW]) {
    if (row.matches(c)) repairs = [...repairs, ...row.proposals(c)];
  }
  return repairs;
}

const UPDATE_ROW: Row = {
  id: 'update',
  sentence: 'What runs was made from another spec: it is updated in place or recreated with its data kept, by rollout.',
  final: false,
  on: 'managed',
  matches: (c) => c.infraDrift(),
  phase: (c) => (c.gaveUp('update') ? 'ERROR' : 'PENDING'),
  proposals: (c) => [
    {
      type: 'update',
      rule: 'update',
      concern: 'update',
      priority: UPDATE,
      unstarted: !c.running,
      disrupts: true,
      waitsForIdle: c.running,
    },
  ],
  facts: (c) => seqs(c.inst.specSeq, c.inst.resource?.seq),
  unless: () => 'its resource carries the declared infra hash',
};

const CONFIG_ROW: Row = {
  id: 'config',
  sentence: 'The declared config is not the one in force or not the one on disk: it is applied, then persisted.',
  final: false,
  on: 'both',
  matches: (c) => c.configDiffers(),
  phase: (c) => (c.concern('config').terminal ? 'ERROR' : 'DEGRADED'),
  proposals(c) {
    const first = c.inst.config?.applied == null && c.inst.config?.persisted == null;
    const base = { rule: 'config', concern: 'config', priority: UPDATE, disrupts: !first } as const;
    const persist: Proposal = { ...base, type: 'persist-config', unstarted: !c.running };
    if (!c.running) return c.configUnpersisted() ? [persist] : NOTHING;
    if (c.configUnapplied()) return [{ ...base, type: 'apply-config', waitsForIdle: !first }];
    if (c.configDrifted() && c.drift() === 'enforce') return [{ ...base, type: 'apply-config', disrupts: false }];
    // What runs is already as declared; writing it down disturbs nobody.
    return c.configUnpersisted() ? [{ ...persist, disrupts: false }] : NOTHING;
  },
  facts: (c) => seqs(c.inst.specSeq, c.inst.config?.seq),
  unless: (c) =>
    c.inst.hashes.config === null ? 'no config is declared' : 'the declared config is in force and persisted',
};

export const TABLE: readonly Row[] = [
  {
    id: 'operating',
    sentence: 'An operation is in flight: wait for it; abort it when it is past its deadline or superseded.',
    final: true,
    on: 'both',
    matches: (c) => c.inst.operation !== null,
    phase: (c) => (c.inst.desired === 'deleted' ? 'DELETING' : changesWhatRuns(c) ? 'RECONCILING' : null),
    proposals: () => NOTHING, // aborting is no operation: `core/decide` does it
    facts: (c) => seqs(c.inst.operation?.seq),
    unless: () => 'no operation is in flight',
  },
  {
    id: 'deleting',
    sentence: 'Deletion was asked: destroy it, prove that it is gone, forget it.',
    final: true,
    on: 'both',
    matches: (c) => c.inst.desired === 'deleted',
    phase: () => 'DELETING',
    proposals(c) {
      const named = !(c.inst.deletion?.prune ?? false);
      const destroyed = c.inst.resource?.state === 'missing' && c.inst.removing;
      const proved = c.external || destroyed || (c.inst.operations === 0 && !c.inst.existed);
      const type = proved || (c.inst.deletion?.forget ?? false) ? 'forget' : 'destroy';
      return [{ type, rule: 'deleting', concern: 'stop', priority: HEAL, named }];
    },
    facts: (c) => seqs(c.inst.desiredSeq, c.inst.resource?.seq),
    unless: () => 'nobody asked to delete it',
  },
  {
    id: 'unseen',
    sentence: 'Its target cannot be seen or refuses us: nothing is done until it can be seen.',
    final: true,
    on: 'managed',
    matches: (c) => c.target.stale !== null || c.target.refused !== null,
    phase: (c) => (c.target.refused !== null ? 'ERROR' : c.inst.agent?.heard === 'heard' ? 'DEGRADED' : 'UNKNOWN'),
    proposals: () => NOTHING,
    facts: (c) => seqs(c.inst.resource?.seq, c.target.refused?.seq, c.target.stale?.seq),
    unless: (c) => `target "${c.target.name}" can be seen`,
  },
  {
    id: 'stop-asked',
    sentence: 'It should be stopped and still runs: stop it, keeping resource and data.',
    final: true,
    on: 'managed',
    matches: (c) => c.inst.desired === 'stopped' && (c.running || c.resource?.state === 'changing'),
    phase: () => 'RECONCILING',
    proposals: () => [{ type: 'stop', rule: 'stop-asked', concern: 'stop', priority: HEAL, named: true }],
    facts: (c) => seqs(c.inst.desiredSeq, c.inst.resource?.seq),
    unless: (c) => (c.inst.desired === 'stopped' ? seen(c) : 'it should not be stopped'),
  },
  {
    id: 'stopped',
    sentence: 'It is stopped on purpose, or has completed its work: leave it.',
    final: true,
    on: 'both',
    // Completed and gone is completed still: to provision it again would be to run the work again.
    matches: (c) => c.inst.desired === 'stopped' || c.inst.completed,
    phase: () => 'STOPPED',
    proposals: () => NOTHING,
    facts: (c) => seqs(c.inst.desiredSeq, c.inst.resource?.seq),
    unless: () => 'it should run',
  },
  {
    id: 'offline',
    sentence: 'It runs elsewhere and is not heard: wait for its heartbeat.',
    final: true,
    on: 'external',
    matches: (c) => c.inst.agent === null || c.inst.agent.heard !== 'heard',
    phase: (c) => (c.inst.agent === null || c.inst.agent.heard === 'never' ? 'CREATING' : 'OFFLINE'),
    proposals: () => NOTHING,
    facts: (c) => seqs(c.inst.specSeq, c.inst.agent?.heardSeq),
    unless: (c) => (c.external ? 'it is heard' : 'it does not run elsewhere'),
  },
  {
    id: 'gave-up',
    sentence: 'Starting it failed too often, or in a way that trying again cannot mend: wait for somebody.',
    final: true,
    on: 'managed',
    matches: (c) => c.gaveUp('run'),
    phase: () => 'ERROR',
    proposals(c) {
      const churns = c.target.abilities.includes('restarts') && c.concern('run').cause === 'exit';
      const runs = c.running || c.resource?.state === 'changing';
      return churns && runs ? [{ type: 'stop', rule: 'gave-up', concern: 'stop', priority: HEAL }] : NOTHING;
    },
    facts: (c) => seqs(c.concern('run').seq),
    unless: (c) => (c.concern('run').gaveUpAt === null ? 'it has not given up' : 'another attempt is granted'),
  },
  {
    id: 'create',
    sentence:
      'It was never seen to exist: provision it, unstarted if it is lazy or has config or plugins to receive first.',
    final: true,
    on: 'managed',
    matches: (c) => !c.inst.existed,
    phase: () => 'CREATING',
    proposals: (c) => [
      { type: 'provision', rule: 'create', concern: 'run', priority: CREATE, unstarted: provisionUnstarted(c) },
    ],
    facts: (c) => seqs(c.inst.specSeq),
    unless: () => 'it was seen to exist before, so it is never created anew (only re-created if proved missing)',
  },
  {
    id: 'missing',
    sentence:
      'It existed and is proved gone: provision it again under the same name, with the same data and the same run state.',
    final: true,
    on: 'managed',
    matches: (c) => c.inst.resource?.state === 'missing',
    phase: () => 'PENDING',
    proposals: (c) => [
      {
        type: 'provision',
        rule: 'missing',
        concern: 'run',
        priority: HEAL,
        unstarted: provisionUnstarted(c),
        heals: true,
      },
    ],
    facts: (c) => seqs(c.inst.resource?.seq),
    unless: seen,
  },
  {
    id: 'asleep',
    sentence: 'It is lazy and sleeps: leave it asleep, and make right unstarted what is not as declared.',
    final: false,
    on: 'managed',
    matches: (c) => c.asleep,
    phase: () => 'SLEEPING',
    proposals: () => NOTHING, // rows 13, 18 and 19 follow, unstarted
    facts: (c) => seqs(c.inst.resource?.seq),
    unless: (c) =>
      c.inst.spec.lifecycle === 'hot'
        ? 'it is hot'
        : c.resource?.state === 'stopped'
          ? 'there is a reason to be awake'
          : seen(c),
  },
  {
    id: 'changing',
    sentence: 'Its target is changing it by itself: wait; past the deadline, restart it.',
    final: true,
    on: 'managed',
    matches: (c) => c.resource?.state === 'changing',
    phase: (c) => (changingTooLong(c) ? 'DEGRADED' : 'RECONCILING'),
    proposals: (c) =>
      changingTooLong(c)
        ? [{ type: 'restart', rule: 'changing', concern: 'run', priority: HEAL, counted: true }]
        : NOTHING,
    facts: (c) => seqs(c.inst.resource?.seq),
    unless: seen,
  },
  {
    id: 'start',
    sentence: 'It should run and is stopped: make right unstarted what can be, then start it.',
    final: true,
    on: 'managed',
    matches: (c) => c.resource?.state === 'stopped' && !c.asleep,
    phase: () => 'PENDING',
    proposals(c) {
      const start: Proposal = {
        type: 'start',
        rule: 'start',
        concern: 'run',
        priority: c.inst.spec.lifecycle === 'lazy' ? WAKE : HEAL,
        heals: true,
      };
      // It refused its config at the last start: the corrected one must be there before the next (L87).
      const refused = c.resource?.exit?.code === 78 && c.configUnpersisted();
      const repairs = unstartedRepairs(c).filter((repair) => !failedBefore(c, repair) && !isLeftForLater(c, repair));
      return refused ? repairs : [...repairs, start];
    },
    facts: (c) => seqs(c.inst.resource?.seq, c.inst.wakeSeq),
    unless: seen,
  },
  UPDATE_ROW,
  {
    id: 'restart-asked',
    sentence: 'A restart was asked since it last started: restart it.',
    final: false,
    on: 'managed',
    matches: (c) => !c.asleep && c.inst.restartAskedSeq !== null,
    phase: () => 'RECONCILING',
    proposals: () => [{ type: 'restart', rule: 'restart-asked', concern: 'run', priority: UPDATE }],
    facts: (c) => seqs(c.inst.restartAskedSeq),
    unless: () => 'no restart was asked since it last started',
  },
  {
    id: 'starting',
    sentence: 'It runs and has not been heard since its start, inside its start grace: starting is not dead.',
    final: false,
    on: 'managed',
    matches: (c) => c.running && c.liveness() === 'starting',
    phase: () => 'RECONCILING',
    proposals: () => NOTHING,
    facts: (c) => seqs(c.inst.resource?.seq),
    unless: (c) =>
      c.inst.spec.heartbeat === null && c.inst.spec.health === null
        ? 'no liveness is declared'
        : 'its start grace is over, or it was heard',
  },
  {
    id: 'idle',
    sentence: 'It is lazy and has had no work for its idle time, or was asked to sleep: put it to sleep.',
    final: false,
    on: 'managed',
    matches: (c) =>
      c.running && c.inst.spec.lifecycle === 'lazy' && (c.inst.sleepAskedSeq !== null || idleLongEnough(c)),
    phase: () => 'RECONCILING',
    proposals: () => [{ type: 'sleep', rule: 'idle', concern: 'stop', priority: UPDATE, waitsForIdle: true }],
    facts: (c) => seqs(c.inst.sleepAskedSeq, c.inst.resource?.seq, c.inst.wakeSeq),
    unless: (c) => (c.inst.spec.lifecycle === 'hot' ? 'it is hot' : 'it has a reason to be awake'),
  },
  {
    id: 'silent',
    sentence:
      'It runs but is not heard: probe it, and if the probe agrees (or it stays silent as long again) restart it.',
    final: false,
    on: 'managed',
    matches: (c) => c.running && c.liveness() === 'silent',
    phase: () => 'DEGRADED',
    proposals: silenceProposals,
    facts: (c) => seqs(c.inst.agent?.heardSeq, c.inst.agent?.healthSeq, c.inst.resource?.seq),
    unless: (c) => (c.running ? 'it is heard, or no liveness is declared' : seen(c)),
  },
  CONFIG_ROW,
  PLUGINS_ROW,
  {
    id: 'agent-degraded',
    sentence: 'The agent says that it is not well: alert, or restart it if the policy says so.',
    final: false,
    on: 'both',
    matches: (c) => !c.asleep && c.inst.agent?.degraded != null,
    phase: () => 'DEGRADED',
    proposals: (c) =>
      c.running && !c.external && (c.inst.spec.onDegraded ?? c.state.policy.onDegraded) === 'restart'
        ? [{ type: 'restart', rule: 'agent-degraded', concern: 'run', priority: HEAL, heals: true, counted: true }]
        : NOTHING,
    facts: (c) => seqs(c.inst.agent?.degraded?.seq),
    unless: () => 'the agent does not complain',
  },
  {
    id: 'running',
    sentence: 'It runs as declared, and is live where liveness is declared.',
    final: true,
    on: 'both',
    matches: (c) => (c.external ? c.inst.agent?.heard === 'heard' : c.running),
    phase: () => 'RUNNING',
    proposals: () => NOTHING,
    facts: (c) => seqs(c.inst.resource?.seq, c.inst.agent?.heardSeq, c.inst.agent?.healthSeq),
    unless: seen,
  },
  {
    id: 'unclassified',
    sentence: 'No row matched: this is a fault of Holdfast, and counted as one.',
    final: true,
    on: 'both',
    matches: () => true,
    phase: () => 'DEGRADED',
    proposals: () => NOTHING,
    facts: () => [],
    unless: () => '',
  },
];

/** Rows that read PENDING while their action is held. */
export const PENDING_WHILE_HELD: ReadonlySet<RowId> = new Set(['stop-asked', 'restart-asked', 'idle']);

const ROWS: ReadonlyMap<string, Row> = new Map(TABLE.map((row) => [row.id, row]));
export const rowById = (id: string): Row | undefined => ROWS.get(id);

function provisionUnstarted(c: Case): boolean {
  const lazyAsleep = c.inst.spec.lifecycle === 'lazy' && !c.inst.awake;
  return lazyAsleep || c.inst.spec.config !== null || c.inst.spec.plugins.length > 0;
}

function changingTooLong(c: Case): boolean {
  return c.resource !== null && c.past(c.resource.since + c.deadlineMs('start'));
}

function idleLongEnough(c: Case): boolean {
  const { idleAfterMs } = c.inst.spec;
  if (idleAfterMs === null || c.busy()) return false;
  return c.past(Math.max(c.inst.activeAt, c.inst.work.leaseUntil ?? 0) + idleAfterMs);
}

/**
 * One probe per `silentAfter`. The second opinion is the probe's where a health is declared, and a second `silentAfter` of
 * silence where none is. A probe that disagrees leaves the word to the rows below.
 */
function silenceProposals(c: Case): readonly Proposal[] {
  if ((c.inst.spec.onSilent ?? c.state.policy.onSilent) !== 'restart') return NOTHING;
  const restart: Proposal = {
    type: 'restart',
    rule: 'silent',
    concern: 'run',
    priority: HEAL,
    heals: true,
    counted: true,
  };
  const since = c.silentSince();
  if (c.inst.spec.health === null) {
    return c.past(Math.max(since, c.state.ownerAt) + c.silentAfterMs()) ? [restart] : NOTHING;
  }
  const { health, healthAt } = c.inst.agent ?? { health: 'unasked' as const, healthAt: 0 };
  const answered = health !== 'unasked' && healthAt >= since;
  if (answered && health === 'failing') return [restart];
  if (answered && !c.past(healthAt + c.silentAfterMs())) return NOTHING;
  return [{ type: 'probe', rule: 'silent', concern: 'probe', priority: HEAL }];
}
