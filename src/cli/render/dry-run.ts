/** A dry run as people read it: what the next tick would do, decision by decision. */
import type { DryRun } from '../../runtime/api.ts';
import type { Context } from '../command.ts';
import { age } from './ages.ts';
import { toneOf } from './colours.ts';
import { count, plain } from './text.ts';

export function dryRunInWords(answer: DryRun, { paint, io }: Context): readonly string[] {
  const facts = answer.pendingFacts === 0 ? '' : `, ${count(answer.pendingFacts, 'pending fact')} included`;
  const seen = [
    ...(answer.observed ?? []).map(({ target, items, error }) =>
      error === null
        ? `Looked at target ${target}: ${count(items, 'resource')} of this fleet.`
        : paint('warn', `Target ${target} cannot be listed, and nothing is concluded from that: ${plain(error)}`),
    ),
    ...answer.facts.map(
      ({ type, instance, text }) =>
        `  not in the log: ${type}${instance === null ? '' : ` ${instance}`}: ${plain(text)}`,
    ),
  ];
  if (answer.actions.length + answer.transitions.length + answer.holds.length === 0) {
    return [...seen, `The next tick would do nothing (log at #${answer.head}${facts}).`];
  }
  return [
    ...seen,
    `The next tick would, from the log at #${answer.head}${facts}:`,
    ...answer.actions.map((each) => {
      const rests = each.facts.map((seq) => `#${seq}`).join(' ');
      return `  ${paint('strong', each.type)} ${each.instance}, by row "${each.reason.rule}": ${plain(each.reason.text)}${rests === '' ? '' : ` (facts ${rests})`}`;
    }),
    ...answer.transitions.map(
      (each) => `  ${each.instance}: ${each.from} → ${paint(toneOf(each.to), each.to)}, by row "${each.rule}"`,
    ),
    ...answer.holds.map((each) => {
      if (each.reason === null) return `  ${each.instance}: no longer held`;
      return paint(
        'warn',
        `  ${each.instance}: held (${each.reason})${each.text === null ? '' : `: ${plain(each.text)}`}${each.until === null ? '' : `, until ${age(each.until, io.now())}`}`,
      );
    }),
  ];
}
