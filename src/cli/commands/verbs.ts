/**
 * `reconcile`, `stop`, `resume`, `restart`, `wake`, `sleep`: what an operator asks of instances. Accepted means durable;
 * with `--wait` it means that it has come about (L13).
 */
import type { Verb } from '../../core/events.ts';
import type { BulkResult, Selector } from '../../runtime/api.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_NEGATIVE, EXIT_OK } from '../failure.ts';
import { NAMES_AT_ONCE } from '../limits.ts';
import { labels, phase, selection, serverWait, timeoutOption, type SelectOptions } from '../options.ts';
import { toneOf } from '../render/colours.ts';
import { plain } from '../render/text.ts';
import { waitForEach } from '../wait-each.ts';

interface Options extends SelectOptions {
  readonly reason?: string;
  readonly wait?: boolean;
  readonly timeout: number;
  readonly dryRun?: boolean;
}

const DESCRIPTIONS: { readonly [verb in Verb]: string } = {
  reconcile: 'Looks again at once and forgets what was given up: the way out of ERROR.',
  stop: 'Stops instances and keeps them stopped, with their resource and data, until resumed.',
  resume: 'Lets stopped instances run again.',
  restart: 'Restarts running instances; it counts as planned, not as a crash.',
  wake: 'Starts lazy instances that are asleep.',
  sleep: 'Puts lazy instances to sleep once they have no work.',
};

export function registerVerbs(session: Session): void {
  for (const verb of Object.keys(DESCRIPTIONS) as Verb[]) {
    declare<Options>(session, session.program, {
      usage: `${verb} [name...]`,
      description: DESCRIPTIONS[verb],
      group: 'Ask of instances:',
      examples: [`holdfast ${verb} scribe --wait`, `holdfast ${verb} -l customer=acme --reason "asked by acme"`],
      options: (command) =>
        command
          .option('-l, --label <key=value>', 'those with this label (repeat: all of them)', labels)
          .option('--phase <phase>', 'those in this phase', phase)
          .option('--all', 'every instance of the fleet')
          .option('--reason <words>', 'why, for the log and whoever asks later')
          .option('--wait', 'until each is as asked, has failed or is held')
          .addOption(timeoutOption(serverWait, 'how long --wait waits, for each'))
          .option('--dry-run', 'only say who would be asked'),
      run: (context, args, options) => ask(context, verb, args, options),
    });
  }
}

async function ask(context: Context, verb: Verb, args: readonly string[], options: Options): Promise<number> {
  const select = selection(args, options);
  const fleet = await context.fleet();
  const client = context.client();
  const { reason = null, dryRun = false, wait = false, timeout } = options;
  const [only] = args;
  const single = only !== undefined && args.length === 1 && Object.keys(select).length === 1 && !dryRun ? only : null;
  if (wait && !dryRun) {
    const names = single === null ? accepted(await bulk(context, fleet, verb, select, null, true)) : [single];
    return await waitForEach(context, names, (name) => client.commandAndWait(fleet, name, verb, reason, timeout));
  }
  if (single !== null) {
    const result = await client.command(fleet, single, verb, reason);
    if (context.json) await context.printJson(result);
    else
      await context.print(
        `${result.instance}: ${verb} accepted (#${result.seq}); now ${context.paint(toneOf(result.phase), result.phase)}.`,
      );
    return EXIT_OK;
  }
  const result = await bulk(context, fleet, verb, select, reason, dryRun);
  if (context.json) await context.printJson(result);
  else await context.print(bulkInWords(result, verb, context));
  return result.results.every((each) => each.accepted) ? EXIT_OK : EXIT_NEGATIVE;
}

/** Everybody is asked by name: the server refuses a selection that names nobody, which could be a slip. */
async function bulk(
  context: Context,
  fleet: string,
  verb: Verb,
  select: Selector,
  reason: string | null,
  dryRun: boolean,
): Promise<BulkResult> {
  const client = context.client();
  if (Object.keys(select).length > 0) return await client.bulk(fleet, verb, select, reason, dryRun);
  const names = (await client.instances(fleet, { phase: null, labels: {} })).map(({ name }) => name);
  const results: BulkResult['results'][number][] = [];
  for (let at = 0; at < names.length; at += NAMES_AT_ONCE) {
    const part = await client.bulk(fleet, verb, { names: names.slice(at, at + NAMES_AT_ONCE) }, reason, dryRun);
    results.push(...part.results);
  }
  return { dryRun, results };
}

/** Who would take it; the others are left to the real command, which says why not. */
function accepted(result: BulkResult): readonly string[] {
  return result.results.map(({ instance }) => instance);
}

function bulkInWords(result: BulkResult, verb: Verb, { paint }: Context): readonly string[] {
  if (result.results.length === 0) return ['No instance is like that; nobody was asked.'];
  return result.results.map((each) => {
    if (!each.accepted)
      return paint('warn', `${each.instance}: not accepted: ${plain(each.because ?? 'no reason given')}`);
    return result.dryRun
      ? `${each.instance}: would be asked to ${verb}`
      : `${each.instance}: ${verb} accepted${each.seq === null ? '' : ` (#${each.seq})`}`;
  });
}
