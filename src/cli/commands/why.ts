/** `why`: the row of the decision table that an instance is in, what it rests on, and what would change it. */
import { declare, type Session } from '../command.ts';
import { EXIT_OK } from '../failure.ts';
import { seqOrTime } from '../options.ts';
import { whyInWords } from '../render/why.ts';

export function registerWhy(session: Session): void {
  declare<{ at?: string }>(session, session.program, {
    usage: 'why <name>',
    description:
      'Says why an instance is in its phase: the rule, the facts it rests on, what holds it, what would change it.',
    group: 'Look:',
    examples: ['holdfast why scribe', 'holdfast why scribe --at 2h', 'holdfast why scribe --at 2026-01-01T10:00:00Z'],
    options: (command) => command.option('--at <time>', 'why it was so then: a time, an age such as 10m, or a seq'),
    run: async (context, args, { at }) => {
      const [name = ''] = args;
      const time = at === undefined ? null : String(seqOrTime(at, context.io.now()));
      const why = await context.client().why(await context.fleet(), name, time);
      if (context.json) await context.printJson(why);
      else await context.print(whyInWords(why, context));
      return EXIT_OK;
    },
  });
}
