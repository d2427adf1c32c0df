/** `hold`, `release`, `override`: the gates that an operator closes and opens. */
import type { JsonObject } from '../../core/model.ts';
import { formatDuration } from '../../core/units.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_OK, Failure } from '../failure.ts';
import { duration } from '../options.ts';
import { count, names } from '../render/text.ts';

const GROUP = 'Gates:';

export function registerGates(session: Session): void {
  declare<{ reason: string; for?: number; target?: string }>(session, session.program, {
    usage: 'hold [name...]',
    description:
      'Keeps Holdfast from acting, on the whole fleet, a target or some instances; a stop or delete of one by name still goes.',
    group: GROUP,
    examples: [
      'holdfast hold --reason "engine upgrade" --for 30m --target docker',
      'holdfast hold --reason "looking into it" scribe',
    ],
    options: (command) =>
      command
        .requiredOption('--reason <words>', 'why: it is shown wherever the hold is')
        .option('--for <time>', 'released by itself after this time (default: until released)', duration)
        .option('--target <name>', 'only what runs there'),
    run: async (context, args, options) => {
      const fleet = await context.fleet();
      const answer = await context.client().hold(fleet, {
        reason: options.reason,
        ...(options.for === undefined ? {} : { for: formatDuration(options.for) }),
        ...scope(args, options.target),
      });
      const until = options.for === undefined ? 'until `holdfast release`' : `for ${formatDuration(options.for)}`;
      return await say(context, answer, `Held ${inWords(fleet, args, options.target)} ${until}.`);
    },
  });
  declare<{ target?: string; reason?: string }>(session, session.program, {
    usage: 'release [name...]',
    description: 'Lifts the holds of the fleet, or of a target or some instances.',
    group: GROUP,
    examples: ['holdfast release', 'holdfast release --target docker'],
    options: (command) =>
      command
        .option('--target <name>', 'only the holds on it')
        .option('--reason <words>', 'why, for the log and whoever asks later'),
    run: async (context, args, { target, reason }) => {
      const fleet = await context.fleet();
      const answer = await context.client().release(fleet, { ...because(reason), ...scope(args, target) });
      return await say(
        context,
        answer,
        `Released ${count(answer.released, 'hold')} on ${inWords(fleet, args, target)}.`,
      );
    },
  });
  declare<{ target?: string; identity?: string; rollout?: boolean; reason?: string }>(session, session.program, {
    usage: 'override',
    description:
      'Lets go on what Holdfast stopped for safety: accepts a new target identity or its losses, or resumes a failed rollout.',
    group: GROUP,
    examples: ['holdfast override --target docker --identity 6f1c…', 'holdfast override --rollout'],
    options: (command) =>
      command
        .option('--target <name>', 'heal there although much was lost at once')
        .option('--identity <id>', 'accept that the target is now this one (see `holdfast why`)')
        .option('--rollout', 'go on with the rollout that failed')
        .option('--reason <words>', 'why, for the log and whoever asks later'),
    run: async (context, _args, { target, identity, rollout = false, reason }) => {
      if (target === undefined && !rollout)
        throw new Failure('usage', 'Override what? Say --target NAME (with --identity ID), or --rollout.');
      if (identity !== undefined && target === undefined)
        throw new Failure('usage', '--identity belongs to a target: say --target NAME as well.');
      const answer = await context.client().override(await context.fleet(), {
        ...because(reason),
        ...(target === undefined ? {} : { target }),
        ...(identity === undefined ? {} : { identity }),
        ...(rollout ? { rollout } : {}),
      });
      return await say(
        context,
        answer,
        `Overridden: ${[...(target === undefined ? [] : [`target ${target}`]), ...(rollout ? ['the rollout'] : [])].join(' and ')}.`,
      );
    },
  });
}

function because(reason: string | undefined): JsonObject {
  return reason === undefined ? {} : { reason };
}

function scope(instances: readonly string[], target: string | undefined): JsonObject {
  return { ...(target === undefined ? {} : { target }), ...(instances.length === 0 ? {} : { instances }) };
}

function inWords(fleet: string, instances: readonly string[], target: string | undefined): string {
  const what = instances.length === 0 ? `fleet ${fleet}` : names(instances);
  return target === undefined ? what : `${what} on target ${target}`;
}

async function say(context: Context, answer: object, words: string): Promise<number> {
  if (context.json) await context.printJson(answer);
  else await context.print(words);
  return EXIT_OK;
}
