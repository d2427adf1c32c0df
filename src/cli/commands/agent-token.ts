/** `agent-token`: a new token for an agent that somebody else runs. */
import { declare, type Session } from '../command.ts';
import { EXIT_OK } from '../failure.ts';

export function registerAgentToken(session: Session): void {
  declare<{ reason?: string }>(session, session.program, {
    usage: 'agent-token <name>',
    description: 'Gives an external agent a new token and prints it, once; the one before is void.',
    group: 'Ask of instances:',
    examples: ['holdfast agent-token laptop', 'HOLDFAST_INSTANCE_TOKEN=$(holdfast agent-token laptop) ./agent'],
    options: (command) => command.option('--reason <text>', 'why, for the log'),
    run: async (context, args, { reason }) => {
      const [name = ''] = args;
      const created = await context.client().renewAgentToken(await context.fleet(), name, reason ?? null);
      if (context.json) {
        await context.printJson(created);
      } else {
        await context.print(created.token);
        await context.note(`The token of ${name} is shown above, once; its agent uses it as HOLDFAST_INSTANCE_TOKEN.`);
      }
      return EXIT_OK;
    },
  });
}
