/**
 * Why an instance is as it is, for somebody who was just woken up: what is so and since when, what holds it and who, what went
 * wrong last, what it is known from, what would change it, and the commands that would. The rows that do not match come last.
 */
import type { Why } from '../../runtime/api.ts';
import type { Context } from '../command.ts';
import { age, clock, span } from './ages.ts';
import { toneOf } from './colours.ts';
import { errorInWords } from './instances.ts';
import { plain } from './text.ts';

export function whyInWords(why: Why, { paint, io }: Pick<Context, 'paint' | 'io'>): readonly string[] {
  const now = io.now();
  const say = (text: string): string => withTimes(plain(text), now);
  const since = why.since === null ? '' : ` ${lasting(now - Date.parse(why.since))}`;
  const lines = [
    `${paint('strong', why.instance)} is ${paint(toneOf(why.phase), why.phase)}${since}: ${say(why.phaseText)}.`,
    `Row "${why.rule}": ${say(why.text)}`,
  ];
  if (why.operation !== null) lines.push(operationInWords(why.operation, now));
  if (why.hold !== null) lines.push(paint('warn', `Held (${why.hold.reason}): ${say(why.hold.text)}.`));
  if (why.heldBy !== null) {
    const { who, at, target } = why.heldBy;
    const what = target === null ? '' : `, on all of target "${target}"`;
    lines.push(paint('warn', `Held by ${plain(who ?? 'an operator')} for ${span(now - Date.parse(at))}${what}.`));
  }
  if (why.lastError !== null)
    lines.push(paint('bad', `Last error, ${age(why.lastError.at, now)}: ${errorInWords(why.lastError)}.`));
  if (why.facts.length > 0) {
    lines.push('', 'It is known from:');
    for (const fact of why.facts) lines.push(`  #${fact.seq}  ${fact.type}, ${before(fact.ageMs)}: ${say(fact.text)}`);
  }
  if (why.wouldChange.length > 0)
    lines.push('', 'What would change it:', ...why.wouldChange.map((each) => `  - ${say(each)}`));
  const commands = commandsFor(why);
  if (commands.length > 0) lines.push('', 'What you can do:', ...commands.map((each) => `  ${each}`));
  lines.push('', nextLook(why.nextLookAt, now));
  if (why.rejected.length > 0) {
    lines.push('', 'Rows before it do not match:');
    const width = Math.max(...why.rejected.map(({ rule }) => rule.length));
    for (const { rule, because } of why.rejected)
      lines.push(paint('faint', `  ${rule.padEnd(width)}  ${say(because)}`));
  }
  return lines;
}

const JUST_NOW_MS = 1_000;
const lasting = (ms: number): string => (ms < JUST_NOW_MS ? 'since just now' : `for ${span(ms)}`);
const before = (ms: number): string => (ms < JUST_NOW_MS ? 'just now' : `${span(ms)} before`);

/** How far behind a look may be before somebody should wonder. */
const LATE_MS = 2_000;

function nextLook(at: string | null, now: number): string {
  if (at === null) return 'It is looked at again when a fact arrives.';
  if (now - Date.parse(at) < LATE_MS) return `Next look: ${age(at, now)}.`;
  return `It should have been looked at ${age(at, now)}: if that grows, the loop is stuck; ask "holdfast doctor".`;
}

function operationInWords(operation: NonNullable<Why['operation']>, now: number): string {
  const { kind, attempt, startedAt, deadlineAt, abortedAt } = operation;
  const which = attempt > 1 ? `, attempt ${attempt},` : '';
  const ending =
    abortedAt === null
      ? `its deadline is ${age(deadlineAt, now)}`
      : `it was called off ${age(abortedAt, now)} and has not answered`;
  return `In flight: ${kind}${which} for ${span(now - Date.parse(startedAt))}; ${ending}.`;
}

/** "in 11s (00:06:51)" in place of a time for machines. */
function withTimes(text: string, now: number): string {
  return text.replaceAll(
    /\b(?:at )?(\d{4}-\d\d-\d\dT[\d:.]+Z)/g,
    (_, time: string) => `${age(time, now)} (${clock(time, now)})`,
  );
}

/** What an operator could say now, most to the point first. Rows and holds that need nobody have none. */
function commandsFor(why: Why): readonly string[] {
  const held = why.hold === null ? undefined : LIFTED_BY[why.hold.reason];
  const row = ENDED_BY[why.rule];
  const refused = why.lastError?.code === 'target-refused' ? acceptIdentity(why) : [];
  return [...new Set([...(held?.(why) ?? []), ...(row?.(why) ?? []), ...refused])];
}

/** Only a person knows whether what answers under that name now is what is meant. */
const acceptIdentity = ({ target }: Why): readonly string[] => [
  `holdfast override --target ${target} --identity IDENTITY`,
];

type Commands = { readonly [reason: string]: (why: Why) => readonly string[] };

const LIFTED_BY: Commands = {
  'operator-hold': ({ heldBy, instance }) => [
    `holdfast release${heldBy?.target == null ? '' : ` --target ${heldBy.target}`}`,
    `holdfast history ${instance}`,
  ],
  quarantined: ({ instance }) => [`holdfast history ${instance}`, `holdfast reconcile ${instance}`],
  conflict: ({ instance }) => [`holdfast history ${instance}`, 'holdfast get -o json'],
  'gave-up': ({ instance }) => [`holdfast logs ${instance} --previous`, `holdfast reconcile ${instance}`],
  backoff: ({ instance }) => [`holdfast logs ${instance} --previous`],
  'blast-radius': ({ target }) => [`holdfast dry-run --observe`, `holdfast override --target ${target}`],
  rollout: () => ['holdfast get --phase reconciling'],
  'rollout-failed': () => ['holdfast get', 'holdfast override --rollout'],
  'target-stale': (why) => ['holdfast doctor', ...forgetting(why)],
  'target-refused': (why) => ['holdfast doctor', ...forgetting(why)],
  breaker: () => ['holdfast doctor'],
};

/** Where its target will never answer again. */
const forgetting = ({ instance, rule }: Why): readonly string[] =>
  rule === 'deleting' ? [`holdfast delete ${instance} --forget`] : [];

const ENDED_BY: Commands = {
  operating: ({ instance }) => [`holdfast history ${instance} --since 1h`],
  unseen: () => ['holdfast doctor'],
  stopped: ({ instance }) => [`holdfast resume ${instance}`],
  offline: ({ instance, phase }) => [
    phase === 'CREATING' ? `holdfast agent-token ${instance}` : `holdfast history ${instance}`,
  ],
  'gave-up': ({ instance }) => [`holdfast logs ${instance} --previous`, `holdfast reconcile ${instance}`],
  asleep: ({ instance }) => [`holdfast wake ${instance}`],
  starting: ({ instance }) => [`holdfast logs ${instance}`],
  silent: ({ instance }) => [`holdfast logs ${instance}`],
  'agent-degraded': ({ instance }) => [`holdfast logs ${instance}`, `holdfast restart ${instance}`],
  unclassified: ({ instance }) => [`holdfast history ${instance}`, `holdfast export-log ${instance}.jsonl`],
};
