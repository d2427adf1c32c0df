/** `export-log`, `import-log`: a fleet's log as a file, written here and looked at elsewhere (`--log FILE`). */
import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { emptyState } from '../../core/evolve.ts';
import type { LogFile } from '../../core/log-file.ts';
import { replay } from '../../core/replay.ts';
import { thaw } from '../../core/snapshot.ts';
import { iso } from '../../core/time.ts';
import { declare, type Context, type Session } from '../command.ts';
import { EXIT_NEGATIVE, EXIT_OK, Failure } from '../failure.ts';
import { seqOrTime } from '../options.ts';
import { count } from '../render/text.ts';

const GROUP = 'Proof:';

export function registerLogFile(session: Session): void {
  declare<{ from?: string }>(session, session.program, {
    usage: 'export-log <file>',
    description:
      'Writes the log of a fleet into a file ("-": to the output), for somebody elsewhere to look at. Values of environments and configs and the agents\' output are left out; names, commands and error messages stay.',
    group: GROUP,
    shared: ['fleet', 'data'],
    examples: ['holdfast export-log stuck.jsonl', 'holdfast export-log - --from -2h | gzip > stuck.jsonl.gz'],
    options: (command) =>
      command.option('--from <position>', 'a seq, a time or an age such as -2h (default: the earliest reachable)'),
    run: async (context, [file = '-'], { from }) => {
      const place = seqOrTime(from, context.io.now());
      const chunks = context.client().exportLog(await context.fleet(), place === null ? null : String(place));
      if (file === '-') for await (const chunk of chunks) await context.io.out(chunk);
      else await writeWhole(chunks, resolve(context.io.cwd, file));
      if (file !== '-') await context.note(`Written to ${file}. Look at it with: holdfast import-log ${file}`);
      return EXIT_OK;
    },
  });
  declare(session, session.program, {
    usage: 'import-log <file>',
    description:
      'Checks an exported log, decides it again, and says what is in it. Every looking command reads it with --log FILE.',
    group: GROUP,
    shared: ['output'],
    examples: ['holdfast import-log stuck.jsonl', 'holdfast --log stuck.jsonl why scribe'],
    run: async (context, [file = '']) => {
      const { readArchive } = await import('../archive.ts');
      const log = await readArchive(resolve(context.io.cwd, file));
      return await told(log, file, context);
    },
  });
}

/** Whole or not at all: a part of a log is refused by whoever reads it. */
async function writeWhole(chunks: AsyncIterable<Uint8Array>, file: string): Promise<void> {
  const part = `${file}.part`;
  try {
    await pipeline(chunks, createWriteStream(part));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined || error instanceof Failure) throw error;
    throw new Failure('unwritable', `${file} cannot be written: ${message}`);
  }
}

async function told({ head, events }: LogFile, file: string, context: Context): Promise<number> {
  const { snapshot, fleet, build } = head;
  const state = snapshot === null ? emptyState(fleet) : thaw(snapshot.body, snapshot.logic);
  const result = replay(state, events);
  if (result.kind === 'refused') throw new Failure('no-log', `${file} cannot be decided again: ${result.because}`);
  const { counts, phases, ticks, logics } = result;
  const first = events[0];
  const facts = {
    fleet,
    build,
    logics,
    from: first?.seq ?? null,
    to: result.seq,
    events: events.length,
    ticks,
    phases,
    counts,
  };
  if (context.json) await context.printJson(facts);
  else {
    const range =
      first === undefined
        ? 'no event'
        : `${count(events.length, 'event')}, #${first.seq} (${iso(first.at)}) to #${result.seq} (${iso(result.at)})`;
    const verdict =
      counts.unintended === 0
        ? context.paint('good', 'This build decides all of it as it was decided, or as it declares.')
        : context.paint(
            'bad',
            `This build decides ${count(counts.unintended, 'thing')} of it otherwise: holdfast --log ${file} verify`,
          );
    await context.print([
      `Fleet ${fleet}, exported ${iso(head.at)} by Holdfast ${build}: ${range}.`,
      `At its end: ${
        Object.entries(phases)
          .map(([phase, number]) => `${number} ${phase}`)
          .join(', ') || 'no instance'
      }.`,
      verdict,
      `Look at it: holdfast --log ${file} get, and why, history, events, replay, dry-run in the same way.`,
    ]);
  }
  return counts.unintended === 0 ? EXIT_OK : EXIT_NEGATIVE;
}
