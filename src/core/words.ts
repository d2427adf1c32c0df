/**
 * Plain sentences for what the table, the gates and the phases say. One place, so that the dashboard, the CLI and the API
 * tell the same story; every hold names what lifts it, every row what it waits for (invariant 7).
 */
import type { Case } from './case.ts';
import type { Hold, Phase } from './model.ts';
import { rowById, type RowId } from './table.ts';
import { iso } from './time.ts';

export const phaseText = (phase: Phase): string => PHASE_TEXT[phase];

const PHASE_TEXT: { readonly [P in Phase]: string } = {
  CREATING: 'it was never seen to exist, and is to be created',
  PENDING: 'it needs work, and none is in flight',
  RECONCILING: 'it is being changed, or is coming up',
  RUNNING: 'it runs as declared',
  DEGRADED: 'it runs, but something declared is not so',
  SLEEPING: 'it is lazy and sleeps, up to date',
  STOPPED: 'it is stopped on purpose',
  UNKNOWN: 'its target cannot be seen and it is not heard',
  OFFLINE: 'it runs elsewhere and is silent',
  ERROR: 'it gave up, or cannot go on without somebody',
  DELETING: 'it is being deleted, until its absence is proved',
};

/** The sentence of the row; the rule itself if a newer or older build wrote it. */
export const reasonText = (rule: string): string =>
  rowById(rule)?.sentence ?? `rule "${rule}" is not known to this build`;

/** Why a decided row does not act, and what lifts that. */
export const holdText = (hold: Hold): string => {
  const { why, lifts } = holdWords(hold);
  return `${why}; ${lifts}`;
};

export interface HoldWords {
  readonly why: string;
  readonly lifts: string;
}

export function holdWords(hold: Hold): HoldWords {
  const detail = hold.detail ?? 'unnamed';
  const at = hold.until === null ? '' : iso(hold.until);
  switch (hold.reason) {
    case 'unsynced':
      return words(
        `target "${detail}" has not been seen since Holdfast took over`,
        'its first complete listing lifts this',
      );
    case 'target-stale':
      return words(`target "${detail}" cannot be seen now`, 'its next complete listing lifts this');
    case 'target-refused':
      return words(
        `target "${detail}" refuses us, or answers as another`,
        'its cure, or an override by an operator, lifts this',
      );
    case 'quarantined':
      return words(
        `${detail} of its log cannot be read, and might have been a stop`,
        'an operator who has looked lifts this by "reconcile"',
      );
    case 'conflict':
      return words(`another instance holds the same resource (${detail})`, 'this lifts when one of them lets go of it');
    case 'operator-hold':
      return words(
        `an operator holds it: ${detail}`,
        at === '' ? 'a release lifts this' : `a release lifts this, or the time at ${at}`,
      );
    case 'breaker':
      return words(
        `operations on its target fail through no fault of the instance: ${detail}`,
        'its next complete listing lifts this',
      );
    case 'blast-radius':
      return words(
        `too many instances of its target were lost at once (this one: ${detail})`,
        BLAST_LIFTS[detail] ?? BLAST_LIFTS.missing,
      );
    case 'backoff':
      return words(`"${detail}" failed, and waits before its next attempt`, `the time lifts this, at ${at}`);
    case 'gave-up':
      return words(
        `"${detail}" has given up`,
        `"reconcile" or a new generation lifts this; else one attempt is granted at ${at}`,
      );
    case 'rollout':
      return words(
        'its turn in the rollout has not come',
        'this lifts when those taken down before it are proved again',
      );
    case 'rollout-failed':
      return words(
        `the rollout of ${detail} failed and goes no further`,
        'a new revision, or an override by an operator, lifts this',
      );
    case 'budget':
      return words(
        `target "${detail}" has as many operations in flight as it may have`,
        'the next one that ends makes room',
      );
    case 'busy':
      return words(
        'it is working',
        at === '' ? 'the end of its work lifts this' : `the end of its work lifts this, or the time at ${at}`,
      );
    case 'fault':
      return words(
        'Holdfast itself breaks over it, which is a fault of Holdfast: its log says how',
        'any fact about it has it decided anew; if that breaks, too, only a mended Holdfast lifts this',
      );
    case 'predecessor':
      return words('an older incarnation of its name is still being deleted', 'this lifts when that one is gone');
  }
}

const words = (why: string, lifts: string): HoldWords => ({ why, lifts });

const BLAST_LIFTS: { readonly [kind: string]: string; readonly missing: string } = {
  stopped: 'a second complete listing lifts this',
  silent: 'being heard lifts this',
  missing: 'only an override by an operator lifts this',
  degraded: 'this lifts once the others are heard or seen again, or by an override of an operator',
};

/** What would make another row match: facts and times, in plain words. Empty for a row that waits for nothing. */
export function awaits(rule: string, c: Case): readonly string[] {
  const known = AWAITS[rule as RowId] as ((c: Case) => readonly string[]) | undefined;
  return known?.(c) ?? [];
}

const target = (c: Case): string => `target "${c.target.name}"`;
const OPERATOR_RETRY = 'an operator\'s "reconcile", "resume" or "restart"';

const AWAITS: { readonly [R in RowId]: (c: Case) => readonly string[] } = {
  operating: (c) => [
    `the result of ${c.inst.operation?.kind ?? 'the operation'}`,
    c.inst.operation?.abort == null
      ? `its deadline at ${iso(c.inst.operation?.deadlineAt ?? c.now)}`
      : `the answer to its abort, at the latest at ${iso(c.inst.operation.abort.at + c.inst.operation.graceMs)}`,
  ],
  deleting: (c) => [c.external ? 'the next tick' : 'proof that its resource is gone'],
  unseen: (c) => [
    `a complete listing by ${target(c)}`,
    ...(c.target.refused === null ? [] : [`an override that accepts what ${target(c)} answers as`]),
  ],
  'stop-asked': () => ['the stop, once its gates are open', 'an operator\'s "resume"'],
  stopped: (c) =>
    c.inst.desired === 'stopped' ? ['an operator\'s "resume"'] : ['"resume", "restart", or a new generation'],
  offline: () => ['its next heartbeat'],
  'gave-up': (c) => [
    OPERATOR_RETRY,
    'a new generation or secret version',
    ...(c.concern('run').cause === 'silence' ? ['being heard again'] : []),
    `the attempt granted at ${iso((c.concern('run').gaveUpAt ?? c.now) + c.state.policy.retryErrorEveryMs)}`,
  ],
  create: () => ['its provision, once its gates are open'],
  missing: () => ['its provision, once its gates are open', 'being seen again'],
  asleep: () => ['a wake or work', 'a new generation', 'being found running or missing'],
  changing: (c) => [`${target(c)} being done with it`, 'the deadline for that'],
  start: () => ['its start, once its gates are open', 'being found running'],
  update: () => ['its update, once its gates are open', 'a generation that is what runs'],
  'restart-asked': () => ['its restart, once its gates are open'],
  starting: (c) => ['its first heartbeat or health answer', `the end of its start grace at ${iso(c.graceEndsAt())}`],
  idle: () => ['its sleep, once its gates are open', 'work or a wake'],
  silent: (c) => [
    'being heard again',
    ...((c.inst.spec.onSilent ?? c.state.policy.onSilent) === 'alert'
      ? ['an operator: `onSilent` is alert']
      : ['the second opinion, then a restart']),
  ],
  config: (c) => [
    'the config applied and persisted, once its gates are open',
    ...(c.configDrifted() && c.drift() === 'report' ? ['an operator: `drift` is report'] : []),
  ],
  plugins: (c) => [
    ...(c.pluginsDiffer() ? ['the plugins installed or uninstalled, once their gates are open'] : []),
    ...(c.restartDue() ? ['the restart that its changed plugins need, once its gates are open'] : []),
  ],
  'agent-degraded': () => ['the agent reporting itself well', 'an operator'],
  running: () => ['an exit, a drift or silence being seen', 'a new generation, or an operator'],
  unclassified: () => ['any fact about it'],
};
