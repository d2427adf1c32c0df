/** A replay or a what-if as people read it: what was read, whether it is the same, and where it is not. */
import type { Difference, Part } from '../../core/replay.ts';
import type { Context } from '../command.ts';
import type { ReplayAnswer } from '../replaying.ts';
import { count, names, plain } from './text.ts';

/** Differences shown to a person; the JSON has a page of them. */
const SHOWN = 20;

export function replayInWords(answer: ReplayAnswer, context: Context): readonly string[] {
  const { counts, ticks, events, quarantined } = answer;
  const stretch =
    events === 0
      ? `Nothing was written in this stretch; the fleet stood as it did at ${answer.from}.`
      : `Replayed ${count(events, 'event')} and ${count(ticks, 'tick')}, from #${answer.fromSeq} (${answer.from}) to #${answer.toSeq} (${answer.to}).`;
  const unreadable =
    quarantined === 0
      ? []
      : [context.paint('warn', `${count(quarantined, 'row')} of it cannot be read; whom they concern is held.`)];
  const body = answer.openLoop ? whatIfInWords(answer, context) : sameInWords(answer, context);
  const shown = answer.differences.slice(0, SHOWN).map((each) => `  ${differenceInWords(each, context)}`);
  const left = counts.differences - shown.length;
  return [
    stretch,
    ...unreadable,
    ...body,
    ...shown,
    ...(left > 0
      ? [`  and ${left} more; -o json lists them${answer.next === null ? '' : ', page by page (--skip)'}`]
      : []),
  ];
}

function sameInWords({ counts, logics }: ReplayAnswer, { paint }: Context): readonly string[] {
  const by = logics.length === 0 ? '' : ` (recorded by logic ${logics.join(', ')})`;
  if (counts.differences === 0) return [paint('good', `Every decision is as it was recorded${by}.`)];
  const intended = counts.differences - counts.unintended;
  if (counts.unintended === 0)
    return [paint('good', `${count(intended, 'difference')}, each declared by this build as intended${by}:`)];
  const besides = intended === 0 ? '' : `, and ${intended} that this build declares as intended`;
  return [paint('bad', `${count(counts.unintended, 'difference')} that nobody intends${besides}${by}:`)];
}

function whatIfInWords({ counts, phases, decidedAtEnd }: ReplayAnswer, { paint }: Context): readonly string[] {
  const openLoop = 'A what-if, open loop: the recorded world did not answer to what is only computed.';
  if (counts.differences === 0) return [openLoop, paint('good', 'It would have decided the same.')];
  const acts = changes(counts.computed, counts.recorded, (type) => VERBS[type] ?? [type, type]);
  const entries = changes(counts.transitions.computed, counts.transitions.recorded, (phase) => [
    `entry into ${phase}`,
    `entries into ${phase}`,
  ]);
  const ends = changes(decidedAtEnd.phases, phases, (phase) => [phase, phase]);
  return [
    openLoop,
    paint('strong', `It would have meant ${acts.length === 0 ? 'the same actions' : acts.join(', ')}.`),
    ...(entries.length === 0 ? [] : [`Phases: ${entries.join(', ')}.`]),
    ...(ends.length === 0 ? [] : [`At the end: ${ends.join(', ')}.`]),
    `It parts from the record ${count(counts.differences, 'time')}:`,
  ];
}

type Tally = { readonly [kind: string]: number | undefined };

/** "31 fewer restarts", the largest change first. */
function changes(
  computed: Tally,
  recorded: Tally,
  nounOf: (kind: string) => readonly [one: string, many: string],
): readonly string[] {
  return [...new Set([...Object.keys(computed), ...Object.keys(recorded)])]
    .map((kind) => ({ kind, by: (computed[kind] ?? 0) - (recorded[kind] ?? 0) }))
    .filter(({ by }) => by !== 0)
    .sort((a, b) => Math.abs(b.by) - Math.abs(a.by) || (a.kind < b.kind ? -1 : 1))
    .map(({ kind, by }) => {
      const [one, many] = nounOf(kind);
      return `${Math.abs(by)} ${by < 0 ? 'fewer' : 'more'} ${Math.abs(by) === 1 ? one : many}`;
    });
}

const VERBS: { readonly [type: string]: readonly [one: string, many: string] } = {
  provision: ['provision', 'provisions'],
  start: ['start', 'starts'],
  stop: ['stop', 'stops'],
  sleep: ['sleep', 'sleeps'],
  restart: ['restart', 'restarts'],
  update: ['update', 'updates'],
  destroy: ['destroy', 'destroys'],
  'apply-config': ['config applied', 'configs applied'],
  'persist-config': ['config persisted', 'configs persisted'],
  'install-plugin': ['plugin installed', 'plugins installed'],
  'uninstall-plugin': ['plugin uninstalled', 'plugins uninstalled'],
  probe: ['probe', 'probes'],
  abort: ['abort', 'aborts'],
  abandon: ['operation abandoned', 'operations abandoned'],
  forget: ['instance forgotten', 'instances forgotten'],
  forgive: ['failure forgiven', 'failures forgiven'],
};

function differenceInWords(difference: Difference, { paint }: Context): string {
  const { seq, instance, recorded, computed, intended } = difference;
  const words = `#${seq}  ${instance}: recorded ${partInWords(recorded)}; computed ${partInWords(computed)}`;
  return intended ? paint('faint', `${words} (intended)`) : words;
}

function partInWords({ actions, transitions, holds, flaps }: Part): string {
  const parts = [
    ...transitions.map(({ from, to, rule }) => `${from} → ${to} (${rule})`),
    ...actions.map(({ type, rule }) => `${type} (${rule})`),
    ...holds.map(({ hold }) => (hold === null ? 'hold lifted' : `held (${hold.reason})`)),
    ...flaps.map((kind) => `flap ${kind}`),
  ];
  return parts.length === 0 ? 'nothing' : plain(names(parts, 6));
}

/** "Replaying: 120000 of 400000 events", for a line that is drawn over. */
export function progressInWords(doing: 'folding' | 'replaying', events: number, of: number): string {
  return doing === 'folding' ? 'Reading up to the beginning …' : `Replaying: ${events} of ${count(of, 'event')} …`;
}
