/** `volumes`: data that outlived its instances; deleted one by one, by name, and never otherwise. */
import { declare, type Session } from '../command.ts';
import { EXIT_OK } from '../failure.ts';
import { table } from '../render/table.ts';
import { sizeInWords } from '../../core/units.ts';

const GROUP = 'Look:';

export function registerVolumes(session: Session): void {
  const volumes = declare(session, session.program, {
    usage: 'volumes',
    description: 'Lists data volumes that no instance holds; they are kept until you remove them.',
    group: GROUP,
    examples: ['holdfast volumes', 'holdfast volumes rm holdfast-1234-data'],
    run: async (context) => {
      const found = await context.client().volumes(await context.fleet());
      if (context.json) await context.printJson({ items: found, next: null });
      else if (found.length === 0) await context.print('No retained volumes.');
      else {
        const rows = found.map((each) => [
          each.name,
          each.target,
          each.instance,
          each.key,
          each.sizeBytes === null ? '–' : sizeInWords(each.sizeBytes),
        ]);
        await context.print(
          table(['NAME', 'TARGET', 'INSTANCE', 'VOLUME', 'SIZE'], rows, context.paint, context.width),
        );
      }
      return EXIT_OK;
    },
  });
  declare(session, volumes, {
    usage: 'rm <name>',
    description: 'Deletes a retained volume and the data in it, for good.',
    group: GROUP,
    examples: ['holdfast volumes rm holdfast-1234-data'],
    run: async (context, [name = '']) => {
      const removed = await context.client().removeVolume(await context.fleet(), name);
      if (context.json) await context.printJson(removed);
      else await context.print(`Deleted ${removed.name}, the volume "${removed.key}" of ${removed.instance}.`);
      return EXIT_OK;
    },
  });
}
