/** `up`: starts the server. Loaded only when asked: everything else needs none of it. */
import { declare, type Session } from '../command.ts';
import { LOG_LEVELS } from '../../runtime/log.ts';
import { logLevelOf } from './log-level.ts';

/** What `../up.ts` is given: paths, addresses and URLs as they were written; null where nothing was said. */
export interface UpOptions {
  readonly data: string | null;
  readonly listen: string | null;
  readonly proxyListen: string | null;
  /** Where the log is kept; null: in the data folder, on SQLite. */
  readonly store: string | null;
  readonly logFile: string | null;
  readonly logLevel: string;
  /** Declare a small example fleet where none is declared yet. */
  readonly quickstart: boolean;
  /** At the end, stop the agents as well. */
  readonly stopAgents: boolean;
  /** Start although stored secrets cannot be opened. */
  readonly withoutLostSecrets: boolean;
}

interface Options {
  readonly listen?: string;
  readonly proxyListen?: string;
  readonly store?: string;
  readonly logFile?: string;
  readonly logLevel: string;
  readonly quickstart?: boolean;
  readonly stopAgents?: boolean;
  readonly withoutLostSecrets?: boolean;
}

export function registerUp(session: Session): void {
  declare<Options>(session, session.program, {
    usage: 'up',
    description: 'Starts the server, and keeps every declared fleet as declared until it is ended.',
    group: 'Server:',
    shared: ['data'],
    examples: ['holdfast up', 'holdfast up --data /srv/holdfast --listen 127.0.0.1:7717'],
    options: (command) =>
      command
        .option('--listen <address>', 'where the API listens (default: 127.0.0.1:7717)')
        .option('--proxy-listen <address>', 'where the wake proxy listens (default: the port after --listen)')
        .option('--store <url>', 'postgres://… (default: SQLite in the data folder)')
        .option('--log-file <file>', 'structured log of the server (default: holdfast.log in the data folder)')
        .option('--log-level <level>', LOG_LEVELS.join(', '), 'info')
        .option('--quickstart', 'declare an example fleet if there is none yet')
        .option('--stop-agents', 'at the end stop the agents as well; they run on otherwise')
        .option('--without-lost-secrets', 'start although the key of stored secrets is lost, to store them anew'),
    run: async ({ data }, _args, options) => {
      const logLevel = logLevelOf(options.logLevel);
      const { runUp } = await import('../up.ts');
      return await runUp({
        data,
        listen: options.listen ?? null,
        proxyListen: options.proxyListen ?? null,
        store: options.store ?? null,
        logFile: options.logFile ?? null,
        logLevel,
        quickstart: options.quickstart ?? false,
        stopAgents: options.stopAgents ?? false,
        withoutLostSecrets: options.withoutLostSecrets ?? false,
      });
    },
  });
}
