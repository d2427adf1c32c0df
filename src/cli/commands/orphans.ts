/** `orphans`: what carries our label and nobody declares; removed only on the operator's word. */
import type { Orphan } from '../../runtime/api.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_OK } from '../failure.ts';
import { wholeNumber } from '../options.ts';
import { table } from '../render/table.ts';
import { count } from '../render/text.ts';

const GROUP = 'Look:';

export function registerOrphans(session: Session): void {
  const orphans = declare(session, session.program, {
    usage: 'orphans',
    description: "Lists resources that carry this deployment's label and belong to no living instance.",
    group: GROUP,
    examples: ['holdfast orphans', 'holdfast orphans prune --expect 2'],
    run: async (context) => {
      const found = await context.client().orphans(await context.fleet());
      if (context.json) await context.printJson({ items: found, next: null });
      else if (found.length === 0) await context.print('No orphans.');
      else
        await context.print([
          ...orphanTable(found, context),
          '',
          `Remove ${found.length === 1 ? 'it' : 'them'} with: holdfast orphans prune --expect ${found.length}`,
        ]);
      return EXIT_OK;
    },
  });
  declare<{ expect: number }>(session, orphans, {
    usage: 'prune',
    description: 'Removes the orphans, if there are as many as you say; their data volumes stay.',
    group: GROUP,
    examples: ['holdfast orphans prune --expect 2'],
    options: (command) =>
      command.requiredOption('--expect <number>', 'how many there are, as `holdfast orphans` said', wholeNumber),
    run: async (context, _args, { expect }) => {
      const removed = await context.client().pruneOrphans(await context.fleet(), expect);
      if (context.json) await context.printJson(removed);
      else
        await context.print([
          ...orphanTable(removed.items, context),
          '',
          `Removed ${count(removed.items.length, 'orphan')}.`,
        ]);
      return EXIT_OK;
    },
  });
}

function orphanTable(orphans: readonly Orphan[], { paint, width }: Context): readonly string[] {
  const rows = orphans.map((each) => [each.target, each.fleet, each.instance, each.uid, each.state, each.ref ?? '–']);
  return table(['TARGET', 'FLEET', 'INSTANCE', 'UID', 'STATE', 'REF'], rows, paint, width);
}
