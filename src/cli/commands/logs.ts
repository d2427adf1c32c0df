/** `logs`: what an agent wrote, byte for byte. There is no `-o json`: it is the agent's own output, in the agent's own form. */
import { declare, type Session } from '../command.ts';
import { EXIT_OK, Interrupted } from '../failure.ts';
import { wholeNumber } from '../options.ts';

export function registerLogs(session: Session): void {
  declare<{ follow?: boolean; tail?: number; previous?: boolean }>(session, session.program, {
    usage: 'logs <name>',
    description: 'Prints what an agent wrote to its output; -f goes on as it writes.',
    group: 'Look:',
    shared: ['fleet', 'data'],
    examples: ['holdfast logs scribe -f', 'holdfast logs scribe --previous --tail 50'],
    options: (command) =>
      command
        .option('-f, --follow', 'go on as it writes, until Ctrl-C')
        .option('--tail <lines>', 'only the last lines', wholeNumber)
        .option('--previous', 'of the life before the present one: why it crashed'),
    run: async (context, args, options) => {
      const [name = ''] = args;
      const { follow = false, tail = null, previous = false } = options;
      try {
        for await (const chunk of context.client().logs(await context.fleet(), name, { follow, tail, previous })) {
          await context.io.out(chunk);
        }
      } catch (error) {
        if (!(error instanceof Interrupted && follow)) throw error;
      }
      return EXIT_OK;
    },
  });
}
