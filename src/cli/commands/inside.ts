/** `stats` and `exec`: looking into what runs. What is asleep stays asleep. */
import { sizeInWords } from '../../core/units.ts';
import { declare, type Session } from '../command.ts';
import { EXIT_ERROR, EXIT_OK } from '../failure.ts';
import { EXEC_DEFAULT_MS } from '../limits.ts';
import { serverWait } from '../options.ts';
import { table } from '../render/table.ts';

export function registerInside(session: Session): void {
  declare(session, session.program, {
    usage: 'stats <name>',
    description: 'Shows what an instance uses at this moment; one that does not run is refused, and not woken.',
    group: 'Look:',
    examples: ['holdfast stats scribe', 'holdfast stats scribe -o json'],
    run: async (context, [name = '']) => {
      const stats = await context.client().stats(await context.fleet(), name);
      if (context.json) await context.printJson(stats);
      else {
        const { cpus, memoryBytes, memoryLimitBytes, processes } = stats;
        const row = [name, cpus.toFixed(2), sizeInWords(memoryBytes), sizeInWords(memoryLimitBytes), String(processes)];
        await context.print(table(['NAME', 'CORES', 'MEMORY', 'OF', 'PROCESSES'], [row], context.paint, context.width));
      }
      return EXIT_OK;
    },
  });
  declare<{ timeout?: number; reason?: string }>(session, session.program, {
    usage: 'exec <name> <command...>',
    description:
      'Runs a program beside a running agent, without a shell, and ends with its exit code; nothing is woken for it.',
    group: 'Ask of instances:',
    examples: ['holdfast exec scribe -- ls -l /data', "holdfast exec scribe --timeout 5m -- sh -c 'du -s /data'"],
    options: (command) =>
      command
        .option('--timeout <time>', 'how long it may take (default: 1m)', serverWait)
        .option('--reason <text>', 'why, for the log'),
    run: async (context, [name = '', ...command], { timeout = EXEC_DEFAULT_MS, reason = null }) => {
      const result = await context.client().exec(await context.fleet(), name, command, reason, timeout);
      if (context.json) await context.printJson(result);
      else {
        if (result.cut) await context.note('The beginning of the output is missing: only the last megabyte is kept.');
        await context.io.out(result.output);
      }
      return result.code ?? EXIT_ERROR;
    },
  });
}
