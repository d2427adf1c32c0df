/** `up`: starts the server. Loaded only when asked: everything else needs none of it. */
import { declare, type Session } from '../command.ts';

/** What `../up.ts` is given. Paths and addresses as they were written; null where nothing was said. */
export interface UpOptions {
  readonly data: string | null;
  readonly listen: string | null;
  readonly proxyListen: string | null;
  /** Declare a small example fleet where none is declared yet. */
  readonly quickstart: boolean;
}

export function registerUp(session: Session): void {
  declare<{ listen?: string; proxyListen?: string; quickstart?: boolean }>(session, session.program, {
    usage: 'up',
    description: 'Starts the server, and keeps every declared fleet as declared until it is stopped.',
    group: 'Server:',
    shared: ['data'],
    examples: ['holdfast up', 'holdfast up --data /srv/holdfast --listen 127.0.0.1:7717'],
    options: (command) =>
      command
        .option('--listen <address>', 'where the API listens (default: 127.0.0.1:7717)')
        .option('--proxy-listen <address>', 'where the wake proxy listens (default: the next port)')
        .option('--quickstart', 'declare an example fleet if there is none yet'),
    run: async ({ data }, _args, options) => {
      const up = await loadUp();
      return await up.runUp({
        data,
        listen: options.listen ?? null,
        proxyListen: options.proxyListen ?? null,
        quickstart: options.quickstart ?? false,
      });
    },
  });
}

async function loadUp(): Promise<{ runUp: (options: UpOptions) => Promise<number> }> {
  const path: string = '../up.ts';
  return (await import(path)) as { runUp: (options: UpOptions) => Promise<number> };
}
