/**
 * `delete`: tears instances down, by name only. Asks first on a terminal; says what becomes of the data. Deletion that
 * hangs is never silent: `--wait` says what it waits for, `--forget` ends it and leaves an orphan on record (L55).
 */
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_NEGATIVE, EXIT_OK, Failure } from '../failure.ts';
import { serverWait, timeoutOption } from '../options.ts';
import { count, names as listed } from '../render/text.ts';
import { waitForEach } from '../wait-each.ts';
import type { CommandResult } from '../../runtime/api.ts';

interface Options {
  readonly data?: string;
  readonly forget?: boolean;
  readonly wait?: boolean;
  readonly timeout: number;
  readonly yes?: boolean;
}

export function registerDelete(session: Session): void {
  declare<Options>(session, session.program, {
    usage: 'delete <name...>',
    description: 'Tears instances down; each stays in sight as DELETING until its absence is proved.',
    group: 'Ask of instances:',
    // `--data` says here what becomes of the data; the data folder is said before the command: holdfast --data DIR delete …
    shared: ['fleet', 'output'],
    examples: [
      'holdfast delete scribe --wait',
      'holdfast delete scribe --data delete --yes',
      'holdfast --data /srv/holdfast delete scribe',
    ],
    options: (command) =>
      command
        .option('--data <keep|delete>', "what becomes of its data (default: the instance's own onDelete)")
        .option(
          '--forget',
          'drop it although its target cannot prove it gone; what may be left is recorded as an orphan',
        )
        .option('--wait', 'until it is proved gone')
        .addOption(timeoutOption(serverWait, 'how long --wait waits, for each'))
        .option('-y, --yes', 'do not ask'),
    run: async (context, args, options) => {
      const data = dataOf(options.data);
      const fleet = await context.fleet();
      const ask = { data, forget: options.forget ?? false };
      if (!(await confirmed(context, fleet, args, ask, options.yes === true))) {
        await context.note('Nothing was deleted.');
        return EXIT_NEGATIVE;
      }
      const client = context.client();
      if (options.wait === true) {
        return await waitForEach(context, args, (name) => client.deleteAndWait(fleet, name, ask, options.timeout));
      }
      const results: CommandResult[] = [];
      for (const name of args) {
        const result = await client.delete(fleet, name, ask);
        results.push(result);
        if (!context.json) await context.print(`${name}: delete accepted (#${result.seq}); now ${result.phase}.`);
      }
      if (context.json) await context.printJson(args.length === 1 ? results[0] : { items: results, next: null });
      return EXIT_OK;
    },
  });
}

function dataOf(text: string | undefined): 'keep' | 'delete' | null {
  if (text === undefined || text === 'keep' || text === 'delete') return text ?? null;
  throw new Failure(
    'usage',
    `--data says here what becomes of the instance's data: "keep" or "delete", not ${JSON.stringify(text)}. ` +
      'The data folder goes before the command: holdfast --data FOLDER delete …',
  );
}

/** Without a terminal there is nobody to ask, and whoever wrote the script has named the instances. */
async function confirmed(
  { io, paint }: Context,
  fleet: string,
  names: readonly string[],
  { data, forget }: { readonly data: string | null; readonly forget: boolean },
  yes: boolean,
): Promise<boolean> {
  if (yes || !io.interactive) return true;
  const fate =
    data === 'delete'
      ? paint('bad', 'with their data, for good')
      : data === 'keep'
        ? 'keeping their data'
        : 'their data as declared by onDelete';
  const forgetting = forget ? ', forgetting what cannot be proved gone' : '';
  const answer = await io.ask(
    `Delete ${count(names.length, 'instance')} of fleet ${fleet} (${listed(names)}), ${fate}${forgetting}? [y/N] `,
  );
  return /^y(es)?$/i.test(answer.trim());
}
