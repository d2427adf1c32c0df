/** `dry-run`, `replay`, `verify`: the decision logic asked without changing anything. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Json, JsonObject } from '../../core/model.ts';
import type { DryRun } from '../../runtime/api.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_NEGATIVE, EXIT_OK, Failure } from '../failure.ts';
import { seqOrTime } from '../options.ts';
import { age } from '../render/ages.ts';
import { toneOf } from '../render/colours.ts';
import { brief, count, cut, plain } from '../render/text.ts';

const GROUP = 'Proof:';
/** Differences shown to a person; all are in the JSON. */
const DIFFERENCES_SHOWN = 20;

export function registerDebug(session: Session): void {
  declare(session, session.program, {
    usage: 'dry-run',
    description: 'Shows what the next tick would do, and why, without doing it.',
    group: GROUP,
    examples: ['holdfast dry-run', 'holdfast dry-run -o json'],
    run: async (context) => {
      const answer = await context.client().dryRun(await context.fleet());
      if (context.json) await context.printJson(answer);
      else await context.print(dryRunInWords(answer, context));
      return EXIT_OK;
    },
  });
  declare<{ from?: string; to?: string; instance?: string; policy?: string }>(session, session.program, {
    usage: 'replay',
    description:
      'Replays the recorded events through this decision logic; with --policy, says what another policy would have done.',
    group: GROUP,
    examples: [
      'holdfast replay --from 2h',
      'holdfast replay --from 100 --to 200 --instance scribe',
      'holdfast replay --policy stricter.yaml',
    ],
    options: (command) =>
      command
        .option('--from <position>', 'a seq, a time or an age (default: the earliest reachable)')
        .option('--to <position>', 'a seq, a time or an age (default: now)')
        .option('--instance <name>', 'only its actions and differences')
        .option('--policy <file>', 'what if this had been the policy: YAML or JSON, as under "policy" in a manifest'),
    run: async (context, _args, options) => {
      const now = context.io.now();
      const answer = await context.client().replay(await context.fleet(), {
        ...range(seqOrTime(options.from, now), seqOrTime(options.to, now)),
        ...(options.instance === undefined ? {} : { instance: options.instance }),
        ...(options.policy === undefined ? {} : { policy: await policyOf(resolve(context.io.cwd, options.policy)) }),
      });
      if (context.json) await context.printJson(answer);
      else await context.print(replayInWords(answer, options.policy !== undefined, context));
      return EXIT_OK;
    },
  });
  declare(session, session.program, {
    usage: 'verify',
    description:
      'Replays the whole history against this build: exit 1 if any decision would differ. The gate before an upgrade.',
    group: GROUP,
    examples: ['holdfast verify', 'holdfast verify -o json'],
    run: async (context) => {
      const answer = await context.client().replay(await context.fleet(), {});
      if (context.json) await context.printJson(answer);
      else await context.print(replayInWords(answer, false, context));
      return listOf(answer, 'differences').length === 0 ? EXIT_OK : EXIT_NEGATIVE;
    },
  });
}

function dryRunInWords(answer: DryRun, { paint, io }: Context): readonly string[] {
  const facts = answer.pendingFacts === 0 ? '' : `, ${count(answer.pendingFacts, 'pending fact')} included`;
  if (answer.actions.length + answer.transitions.length + answer.holds.length === 0) {
    return [`The next tick would do nothing (log at #${answer.head}${facts}).`];
  }
  return [
    `The next tick would, from the log at #${answer.head}${facts}:`,
    ...answer.actions.map((each) => {
      const facts = each.facts.map((seq) => `#${seq}`).join(' ');
      return `  ${paint('strong', each.type)} ${each.instance}, by row "${each.reason.rule}": ${plain(each.reason.text)}${facts === '' ? '' : ` (facts ${facts})`}`;
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

function replayInWords(answer: JsonObject, whatIf: boolean, { paint }: Context): readonly string[] {
  const differences = listOf(answer, 'differences');
  const read = `${brief(answer['events'])} events and ${brief(answer['ticks'])} ticks, from ${brief(answer['from'])} to ${brief(answer['to'])}`;
  const computed = `${listOf(answer, 'actions').length} actions computed, ${listOf(answer, 'recorded').length} recorded`;
  const verdict =
    differences.length === 0
      ? paint(
          'good',
          whatIf ? 'The other policy would have decided the same.' : 'Every decision is as it was recorded.',
        )
      : paint(
          'bad',
          `${count(differences.length, 'difference')}${whatIf ? ' (a what-if: the recorded facts do not react to it)' : ''}:`,
        );
  return [
    `Replayed ${read}: ${computed}.`,
    verdict,
    ...differences.slice(0, DIFFERENCES_SHOWN).map((each) => `  ${cut(brief(each), 300)}`),
    ...(differences.length > DIFFERENCES_SHOWN
      ? [`  and ${differences.length - DIFFERENCES_SHOWN} more; -o json has them all`]
      : []),
  ];
}

/** Left out where nothing was said. */
function range(
  from: number | string | null,
  to: number | string | null,
): { from?: number | string; to?: number | string } {
  return { ...(from === null ? {} : { from }), ...(to === null ? {} : { to }) };
}

async function policyOf(file: string): Promise<never> {
  const { parse } = await import('yaml');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new Failure('unreadable', `${file} cannot be read: ${(error as Error).message}`);
  }
  try {
    const value = parse(text) as { policy?: Json } | null;
    // In the words of a manifest; the server freezes it.
    return (value?.policy ?? value) as never;
  } catch (error) {
    throw new Failure('invalid', `${file} is no YAML: ${(error as Error).message}`);
  }
}

function listOf(answer: JsonObject, key: string): readonly Json[] {
  const value = answer[key];
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}
