/** `fleets` and `manifest`: what is declared on this server. */
import type { FleetView } from '../../runtime/api.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_OK } from '../failure.ts';
import { age } from '../render/ages.ts';
import { table, type Row } from '../render/table.ts';

const GROUP = 'Look:';

export function registerFleets(session: Session): void {
  declare(session, session.program, {
    usage: 'fleets',
    description: 'Lists the fleets of the server with their phases, holds and last tick.',
    group: GROUP,
    shared: ['output', 'data'],
    examples: ['holdfast fleets'],
    run: async (context) => {
      const fleets = await context.client().fleets();
      if (context.json) await context.printJson({ items: fleets, next: null });
      else if (fleets.length === 0)
        await context.note('No fleet is declared yet: declare one with `holdfast apply -f FILE`.');
      else await context.print(fleetTable(fleets, context));
      return EXIT_OK;
    },
  });
  declare<{ revision?: string }>(session, session.program, {
    usage: 'manifest',
    description: 'Prints the manifest in force, normalised, or that of an earlier revision.',
    group: GROUP,
    examples: ['holdfast manifest > fleet.yaml', 'holdfast manifest --revision 3f2a -o json'],
    options: (command) => command.option('--revision <id>', 'an earlier revision (default: the one in force)'),
    run: async (context, _args, { revision }) => {
      const manifest = await context.client().manifest(await context.fleet(), revision ?? null);
      if (context.json) {
        await context.printJson(manifest);
      } else {
        const { stringify } = await import('yaml');
        await context.print(stringify(manifest).trimEnd());
      }
      return EXIT_OK;
    },
  });
}

function fleetTable(fleets: readonly FleetView[], { paint, width, io }: Context): readonly string[] {
  const rows = fleets.map((each): Row => {
    const phases = Object.entries<number>(each.phases).filter(([, number]) => number > 0);
    return [
      each.fleet,
      String(phases.reduce((sum, [, number]) => sum + number, 0)),
      String(each.head),
      each.pending > 0 ? { text: String(each.pending), tone: 'work' } : '0',
      age(each.lastTickAt, io.now()),
      each.errors > 0 ? { text: String(each.errors), tone: 'bad' } : '0',
      each.holds.length > 0 ? { text: String(each.holds.length), tone: 'warn' } : '0',
      phases.map(([phase, number]) => `${number} ${phase}`).join(', ') || '–',
    ];
  });
  return table(['FLEET', 'INSTANCES', 'HEAD', 'PENDING', 'LAST TICK', 'ERRORS', 'HOLDS', 'PHASES'], rows, paint, width);
}
