/**
 * The thirteen invariants of DESIGN §14: numbered, cited where they are enforced, and checked here.
 *
 * `checkDecision` looks at what a tick is about to do, `checkInvariants` at what came of it, both at no more instances than
 * the tick itself looked at. `core/audit` looks at everything, and at what no state can show: the log (11), replays (12),
 * texts (13). A violation is never repaired here: `recovery` becomes the fact `invariant.broken`, and its fold begins it.
 */
import type { Agenda } from './agenda.ts';
import { Case } from './case.ts';
import { judge, type Decision } from './decide.ts';
import type { DecidedAction, Recovery } from './events.ts';
import { faultOf } from './fault.ts';
import { budgetOf } from './fold/operation.ts';
import { sharesResource } from './fold/resource.ts';
import { budgetRoom, ROLLOUT_ROOM, Slots, type Room } from './gates.ts';
import type { Flap, FleetState, Instance, OperationKind, Phase } from './model.ts';
import { lastErrorOf } from './view.ts';
import { holdWords } from './words.ts';

export interface Violation {
  readonly invariant: number;
  readonly message: string;
  readonly instance?: string;
  readonly uid?: string;
  readonly recovery?: Recovery;
}

/** One instance after a tick. `agenda` null: when it is looked at next is not known, and not judged. */
interface Seen {
  readonly state: FleetState;
  readonly inst: Instance;
  readonly now: number;
  readonly agenda: Agenda | null;
}

/** One action that a tick has decided, before it is folded. */
interface Acting {
  readonly inst: Instance;
  readonly action: DecidedAction;
  readonly kind: OperationKind;
}

export interface Invariant {
  readonly number: number;
  readonly sentence: string;
  readonly recovery?: Recovery;
  /** What breaks it in this instance; null: nothing. */
  readonly after?: (seen: Seen) => string | null;
  /** What breaks it in this action; null: nothing. */
  readonly acting?: (acting: Acting) => string | null;
}

const RUNS: ReadonlySet<string> = new Set<OperationKind>(['provision', 'start', 'restart', 'update']);
const MARKS: ReadonlySet<string> = new Set([
  'abort',
  'abandon',
  'forget',
  'forgive',
  'rollout-proved',
  'rollout-failed',
  'rollout-left',
]);
const AT_REST: ReadonlySet<Phase> = new Set(['RUNNING', 'SLEEPING', 'STOPPED']);

export const INVARIANTS: readonly Invariant[] = [
  {
    number: 1,
    sentence: 'At most one operation is in flight per instance.',
    after: ({ state, inst: { uid, operation, operations } }) => {
      if (operation === null || (operation.id === `${uid}#${operations}` && operation.epoch === state.epoch))
        return null;
      return `operation ${operation.id} of epoch ${operation.epoch} is in flight, and the last one begun is #${operations} of epoch ${state.epoch}`;
    },
    acting: ({ inst: { operation }, kind }) =>
      operation === null ? null : `${kind} is decided while ${operation.kind} (${operation.id}) is in flight`,
  },
  {
    number: 2,
    sentence: 'Every operation has a deadline; none is past deadline + grace after a tick.',
    recovery: 'abort',
    after: ({ inst: { operation }, now }) => {
      if (operation === null) return null;
      if (!Number.isFinite(operation.deadlineAt)) return `${operation.kind} (${operation.id}) has no deadline`;
      const end = (operation.abort?.at ?? operation.deadlineAt) + operation.graceMs;
      return now <= end ? null : `${operation.kind} (${operation.id}) is ${now - end} ms past its deadline and grace`;
    },
  },
  {
    number: 3,
    sentence: 'No two instances hold one resource ref.',
    recovery: 'hold',
    after: ({ state, inst }) =>
      sharesResource(state, inst) ? `another instance holds ${inst.resource?.ref ?? 'its ref'}, too` : null,
  },
  {
    number: 4,
    sentence: 'Nothing desired stopped or deleted is given provision, start or wake.',
    acting: ({ inst, kind }) =>
      inst.desired === 'running' || !RUNS.has(kind) ? null : `${kind} is decided for what should be ${inst.desired}`,
    after: ({ inst: { desired, desiredSeq, operation } }) => {
      if (desired === 'running' || operation === null || !RUNS.has(operation.kind) || operation.seq < desiredSeq)
        return null;
      return `${operation.kind} (${operation.id}) began after it was asked to be ${desired}`;
    },
  },
  {
    number: 5,
    sentence: 'ERROR always carries a lastError with code, words and time.',
    after: ({ state, inst }) => {
      if (inst.phase !== 'ERROR' || state.dirty.has(inst.uid)) return null;
      const error = lastErrorOf(state, inst);
      if (error === null) return 'it is in ERROR, and nothing says why';
      return error.code === '' || error.message === '' || !(error.at > 0)
        ? `its lastError lacks words: ${JSON.stringify(error)}`
        : null;
    },
  },
  {
    number: 6,
    sentence: 'Provision is decided only for what was never seen to exist under our label, or is proved missing.',
    acting: ({ inst, kind }) =>
      kind === 'provision' && exists(inst) ? `provision is decided for what is seen ${inst.resource?.state}` : null,
    after: ({ inst }) => {
      const { operation, resource } = inst;
      if (operation?.kind !== 'provision' || !exists(inst) || (resource?.seq ?? 0) > operation.seq) return null;
      return `provision (${operation.id}) is in flight for what was already seen ${resource?.state}`;
    },
  },
  {
    number: 7,
    sentence:
      'Nothing is stuck silently: it is at rest, or has an operation, a wake-up time, a hold with what lifts it, or a row that awaits a fact.',
    recovery: 'mark-dirty',
    after: stuck,
  },
  { number: 8, sentence: 'A lazy instance at rest causes no flap container_stopped.' },
  { number: 9, sentence: 'No action is decided that would exceed its budget.' },
  {
    number: 10,
    sentence: 'RUNNING means: infra, config and plugins as declared, seen running, live where liveness is declared.',
    after: unproved,
  },
  { number: 11, sentence: 'Seq is gapless; epochs never go back, nor generations within a uid.' },
  { number: 12, sentence: 'Replaying the log reproduces the recorded decisions exactly, by the same logic version.' },
  {
    number: 13,
    sentence:
      "No stored secret's value (8 characters or more) occurs in any event, log line, metric, snapshot or answer.",
  },
];

const exists = (inst: Instance): boolean => inst.resource !== null && inst.resource.state !== 'missing';

/** Invariant 7. What facts have touched since is looked at by the next tick, so it is not stuck. */
function stuck({ state, inst, now, agenda }: Seen): string | null {
  if (state.dirty.has(inst.uid) || inst.operation !== null) return null;
  const alarm = agenda?.alarm(inst.uid) ?? null;
  const { hold } = inst;
  if (hold !== null) {
    if (holdWords(hold).lifts === '') return `it is held (${hold.reason}), and nothing is named that lifts it`;
    if (agenda === null) return null;
    if (hold.until !== null && (alarm === null || alarm > hold.until))
      return `it is held (${hold.reason}) until ${hold.until}, and is not looked at then`;
    if ((hold.reason === 'budget' || hold.reason === 'rollout') && !agenda.waits(inst.uid))
      return `it is held (${hold.reason}), and stands in no line`;
    return null;
  }
  // A row below the one that speaks may wait for room: that, too, is waiting for something.
  if (AT_REST.has(inst.phase) || alarm !== null || agenda?.waits(inst.uid) === true) return null;
  const c = new Case(state, inst, now);
  const { row, phase, proposal } = judge(c, new Slots(state));
  if (phase !== inst.phase) return `it is shown as ${inst.phase}, is ${phase} by row "${row.id}", and nobody looks`;
  if (proposal !== null) return `row "${row.id}" would ${proposal.type}, and nobody looks`;
  if (agenda === null && Number.isFinite(c.wakeAt)) return null;
  return awaitsFact(c, row.id)
    ? null
    : `it is ${inst.phase} by row "${row.id}", which waits for no fact, no time and no hold`;
}

/** Rows that rest until somebody says something: nothing that Holdfast could do is left. */
function awaitsFact(c: Case, row: string): boolean {
  switch (row) {
    case 'unseen':
    case 'offline':
    case 'stopped':
    case 'asleep':
    case 'running':
    case 'agent-degraded':
      return true;
    case 'silent':
      return (c.inst.spec.onSilent ?? c.state.policy.onSilent) === 'alert';
    case 'config':
      return c.drift() === 'report' && c.configDrifted();
    default:
      return false;
  }
}

/** Invariant 10. */
function unproved({ state, inst, now }: Seen): string | null {
  if (inst.phase !== 'RUNNING' || state.dirty.has(inst.uid)) return null;
  const c = new Case(state, inst, now);
  if (!c.external && !c.running) return `it is RUNNING, and seen ${inst.resource?.state ?? 'never'}`;
  if (!c.external && c.infraDrift()) return 'it is RUNNING, and was made from another spec';
  if (c.configDiffers()) return 'it is RUNNING, and its config is not as declared';
  if (c.pluginsDiffer()) return 'it is RUNNING, and its plugins are not as declared';
  if (c.restartDue()) return 'it is RUNNING, and a plugin waits for a restart';
  const liveness = c.liveness();
  return liveness === 'live' || liveness === 'undeclared' ? null : `it is RUNNING, and is ${liveness}`;
}

// ── after and before a tick ─────────────────────────────────────────────────────────────────────────────────────────

/** After a tick is folded: the instances it looked at. */
export function checkInvariants(
  state: FleetState,
  now: number,
  uids: Iterable<string>,
  agenda: Agenda | null = null,
): readonly Violation[] {
  const found: Violation[] = [];
  for (const uid of uids) {
    const inst = state.instances.get(uid);
    if (inst === undefined) continue;
    const seen = { state, inst, now, agenda };
    for (const invariant of INVARIANTS) {
      const message = asked(() => invariant.after?.(seen));
      if (message !== null) found.push(violation(invariant, inst, message));
    }
  }
  return found;
}

/** What cannot be checked cannot be said to hold. The tick that is checked is committed: its effects must not wait for us. */
function asked(check: () => string | null | undefined): string | null {
  try {
    return check() ?? null;
  } catch (error) {
    return faultOf(null, 'checking it', error).message;
  }
}

/** Faults of ours that were confined to whom they are about (L46): 7, for nothing may be stuck in silence. Takes them away. */
export function takeFaults(state: FleetState, decision: Decision): readonly Violation[] {
  return [...state.faults.splice(0), ...decision.faults].map(({ uid, message }) => {
    const inst = uid === null ? undefined : state.instances.get(uid);
    return { invariant: 7, message, ...(inst !== undefined && { instance: inst.name, uid: inst.uid }) };
  });
}

function violation({ number, recovery }: Invariant, { name, uid }: Instance, message: string): Violation {
  return { invariant: number, instance: name, uid, message, ...(recovery !== undefined && { recovery }) };
}

/** Before a tick is folded: what it decided, on the state that it was decided on. */
export function checkDecision(state: FleetState, decision: Decision): readonly Violation[] {
  const found: Violation[] = [];
  const given = new Set<string>();
  const used = new Map<Room, number>();
  for (const action of decision.actions) {
    const inst = state.instances.get(action.uid);
    if (inst === undefined || MARKS.has(action.type)) continue;
    const kind = action.type as OperationKind;
    for (const invariant of INVARIANTS) {
      const message = asked(() => invariant.acting?.({ inst, action, kind }));
      if (message !== null) found.push(violation(invariant, inst, message));
    }
    if (given.has(inst.uid))
      found.push({
        invariant: 1,
        instance: inst.name,
        uid: inst.uid,
        message: `${kind} is its second operation in one tick`,
      });
    given.add(inst.uid);
    const rooms = [
      budgetRoom(inst.spec.target, budgetOf(action)),
      ...(action.rolloutUntil === undefined ? [] : [ROLLOUT_ROOM]),
    ];
    for (const room of rooms) used.set(room, (used.get(room) ?? 0) + 1);
  }
  const slots = new Slots(state);
  for (const [room, count] of used) {
    const free = Math.max(0, slots.free(room));
    if (count > free)
      found.push({
        invariant: 9,
        message: `${count} operations are decided where ${room.replace('\0', ' of ')} has room for ${free}`,
      });
  }
  for (const { inst, flap } of decision.flaps) {
    if (!saidOfSleep(inst, flap)) continue;
    found.push({
      invariant: 8,
      instance: inst.name,
      uid: inst.uid,
      message: `${flap.kind} is said of one that sleeps`,
    });
  }
  return found;
}

/** Of no life, or of the one that we ourselves put to sleep. That it is gone altogether is always said. */
function saidOfSleep(inst: Instance, flap: Flap): boolean {
  const atRest = inst.spec.lifecycle === 'lazy' && inst.phase === 'SLEEPING' && !inst.awake && exists(inst);
  return atRest && (flap.incarnation === null || flap.incarnation === inst.endingIncarnation);
}
