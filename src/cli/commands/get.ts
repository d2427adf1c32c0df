/** `get`: instances, one line each. */
import { declare, type Session } from '../command.ts';
import { EXIT_OK } from '../failure.ts';
import { CALLS_AT_ONCE } from '../limits.ts';
import { labels, phase } from '../options.ts';
import { mapAtOnce } from '../at-once.ts';
import { instanceTable, summary } from '../render/instances.ts';
import { standingInTheWay } from '../render/standing-in-the-way.ts';
import type { Phase } from '../../core/model.ts';

export function registerGet(session: Session): void {
  declare<{ label?: { readonly [key: string]: string }; phase?: Phase }>(session, session.program, {
    usage: 'get [name...]',
    description: 'Lists instances: phase, since when, and why.',
    group: 'Look:',
    examples: ['holdfast get', 'holdfast get -l customer=acme --phase error', 'holdfast get scribe -o json'],
    options: (command) =>
      command
        .option('-l, --label <key=value>', 'only those with this label (repeat: all of them)', labels)
        .option('--phase <phase>', 'only those in this phase', phase),
    run: async (context, args, options) => {
      const fleet = await context.fleet();
      const client = context.client();
      const { phase: wanted = null, label = {} } = options;
      const whole = context.json ? null : await client.fleet(fleet);
      const found =
        args.length === 0
          ? await client.instances(fleet, { phase: wanted, labels: label })
          : (await mapAtOnce(args, CALLS_AT_ONCE, (name) => client.instance(fleet, name))).filter(
              (each) =>
                (wanted === null || each.phase === wanted) &&
                Object.entries(label).every(([key, value]) => each.labels[key] === value),
            );
      if (context.json) {
        const single = args.length === 1 ? found[0] : undefined;
        await context.printJson(single ?? { items: found, next: null });
      } else if (found.length === 0) {
        await context.note(
          `No instances${wanted === null && Object.keys(label).length === 0 ? '' : ' like that'} in fleet ${fleet}.`,
        );
      } else {
        await context.print(instanceTable(found, context.paint, context.width, context.io.now()));
        if (context.io.tty) await context.print(['', context.paint('faint', summary(found))]);
      }
      for (const line of whole === null ? [] : standingInTheWay(whole, context.io.now())) await context.note(line);
      return EXIT_OK;
    },
  });
}
