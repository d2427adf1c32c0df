/** `backup`, `restore`: the log of a data folder as a folder of its own, and back. They work on files; no server is asked. */
import { join, resolve } from 'node:path';
import { sizeInWords } from '../../core/units.ts';
import type { Copied } from '../backup.ts';
import { declare, type Session } from '../command.ts';
import { DATA_FOLDER, nearestFolder } from '../discover.ts';
import { EXIT_OK, Failure } from '../failure.ts';
import { names } from '../render/text.ts';

const GROUP = 'Server:';

export function registerBackup(session: Session): void {
  declare(session, session.program, {
    usage: 'backup <folder>',
    description:
      'Copies the log and the server file of the data folder into a new folder, also while Holdfast runs. Keys are named, not copied.',
    group: GROUP,
    shared: ['output', 'data'],
    examples: ['holdfast backup /backup/monday', 'holdfast backup --data /srv/holdfast /backup/monday'],
    run: async (context, [folder = '']) => {
      const { io, data } = context;
      const from = data === null ? nearestFolder(io.cwd) : resolve(io.cwd, data);
      if (from === null)
        throw new Failure(
          'no-data',
          `Which data? Neither ${io.cwd} nor a folder above it has a ${DATA_FOLDER}/: say --data FOLDER.`,
        );
      const copied = await copy(from, resolve(io.cwd, folder));
      if (context.json) await context.printJson(copied);
      else
        await context.print([
          `Backed up to ${copied.into}: ${contents(copied)}.`,
          `Not in it, for whoever has both can read or speak for your agents: ${names(copied.keys.map((key) => join(from, key)))}. Keep a copy of each in another place.`,
        ]);
      return EXIT_OK;
    },
  });
  declare(session, session.program, {
    usage: 'restore <folder>',
    description: 'Makes a data folder of a backup; an existing one has to be empty.',
    group: GROUP,
    shared: ['output', 'data'],
    examples: ['holdfast restore /backup/monday', 'holdfast restore /backup/monday --data /srv/holdfast'],
    run: async (context, [folder = '']) => {
      const { io, data } = context;
      const copied = await copy(resolve(io.cwd, folder), resolve(io.cwd, data ?? DATA_FOLDER));
      if (context.json) await context.printJson(copied);
      else
        await context.print([
          `Restored into ${copied.into}: ${contents(copied)}.`,
          `Before you start it, put there what a backup does not hold, mode 0600: ${names(copied.keys)}.`,
          `Then: holdfast up --data ${copied.into}. What was asked after the backup is not known to it: apply the manifests again.`,
        ]);
      return EXIT_OK;
    },
  });
}

/** Only who asks for it pays for a store's worth of code. */
async function copy(from: string, into: string): Promise<Copied> {
  const { copyFolder } = await import('../backup.ts');
  return await copyFolder(from, into);
}

function contents({ fleets, bytes }: Copied): string {
  const logs = fleets.map(({ fleet, head }) => `fleet ${fleet} to #${head}`);
  return `${logs.length === 0 ? 'no fleet' : names(logs)} (${sizeInWords(bytes)}, checked)`;
}
