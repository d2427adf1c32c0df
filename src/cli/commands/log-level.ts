/** `log-level`: how much the server writes into its own log, shown or changed while it runs. */
import { LOG_LEVELS, type LogLevel } from '../../runtime/log.ts';
import { declare, type Session } from '../command.ts';
import { EXIT_OK, Failure } from '../failure.ts';

export function registerLogLevel(session: Session): void {
  declare(session, session.program, {
    usage: 'log-level [level]',
    description: 'Shows or changes how much the server writes into its own log, until its next start.',
    group: 'Server:',
    shared: ['output', 'data'],
    examples: ['holdfast log-level', 'holdfast log-level debug'],
    run: async (context, args) => {
      const [asked] = args;
      const client = context.client();
      const view = asked === undefined ? await client.logLevel() : await client.setLogLevel(logLevelOf(asked));
      const { level, configured } = view;
      if (context.json) await context.printJson(view);
      else
        await context.print(
          level === configured
            ? `The log level is ${level}, as configured.`
            : `The log level is ${level}; the next start begins with ${configured} again, as configured.`,
        );
      return EXIT_OK;
    },
  });
}

/** Throws a `Failure` that names what there is. */
export function logLevelOf(text: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level !== undefined) return level;
  throw new Failure('usage', `A log level is one of ${LOG_LEVELS.join(', ')}, not ${JSON.stringify(text)}.`);
}
