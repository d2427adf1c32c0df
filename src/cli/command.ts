/**
 * How a command is declared and what it is given: the options that all share, a context that connects only when asked,
 * and exit codes as values. A command returns its exit code; it throws a `Failure`.
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Archive } from './archive.ts';
import { createClient, type Client } from './client.ts';
import { discover } from './discover.ts';
import { Failure } from './failure.ts';
import type { Io } from './io.ts';
import { paintFor, type Paint } from './render/colours.ts';
import { names } from './render/text.ts';

export interface Settings {
  readonly data?: string;
  readonly fleet?: string;
  readonly output?: string;
  /** An exported log to look at in place of a server. */
  readonly log?: string;
}

/** What a command works with. */
export interface Context {
  readonly io: Io;
  /** `-o json`. */
  readonly json: boolean;
  readonly paint: Paint;
  /** Width to keep to; null where output is no terminal. */
  readonly width: number | null;
  readonly data: string | null;
  readonly fleetAsked: string | null;
  readonly client: () => Client;
  /** The fleet meant: `--fleet`, HOLDFAST_FLEET, or the only one there is. */
  readonly fleet: () => Promise<string>;
  readonly print: (lines: readonly string[] | string) => Promise<void>;
  readonly printJson: (value: unknown) => Promise<void>;
  /** A remark beside the output. */
  readonly note: (line: string) => Promise<void>;
}

/** The invocation: commands are registered on `program` and leave their exit code in `code`. */
export interface Session {
  readonly io: Io;
  readonly program: Command;
  code: number;
  /** What `-o` said, also for a failure before or inside the command. */
  json: boolean;
  /** The manifest at hand: errors with lines are said as errors of that file. */
  file: string | null;
}

export interface Declaration<O> {
  /** "why <name>", as commander reads it. */
  readonly usage: string;
  /** One sentence. */
  readonly description: string;
  readonly examples: readonly string[];
  readonly group: string;
  /** Which of the shared options it has. */
  readonly shared?: readonly ('data' | 'fleet' | 'output')[];
  readonly options?: (command: Command) => Command;
  readonly run: (context: Context, args: readonly string[], options: O, session: Session) => Promise<number>;
}

export function declare<O extends object>(session: Session, parent: Command, declaration: Declaration<O>): Command {
  const { usage, description, examples, group, run } = declaration;
  const shared = declaration.shared ?? ['fleet', 'output', 'data'];
  const command = parent.command(usage).description(description).helpGroup(group);
  declaration.options?.(command);
  if (shared.includes('fleet'))
    command.option('--fleet <name>', 'fleet meant (default: HOLDFAST_FLEET, or the only one)');
  if (shared.includes('output')) command.option('-o, --output <format>', '"json": what the API answers, for programs');
  if (shared.includes('data'))
    command.option('--data <folder>', 'data folder of the server (default: the nearest .holdfast/ upwards)');
  command.addHelpText('after', `\nExamples:\n${examples.map((example) => `  $ ${example}`).join('\n')}`);
  command.action(async () => {
    const options = command.opts<O & Settings>();
    const before = session.program.opts<Settings>();
    const settings: Settings = {
      ...before,
      ...(shared.includes('data') && options.data !== undefined ? { data: options.data } : {}),
      ...(options.fleet === undefined ? {} : { fleet: options.fleet }),
      ...(options.output === undefined ? {} : { output: options.output }),
    };
    session.json = settings.output === 'json';
    if (settings.output !== undefined && settings.output !== 'json' && settings.output !== 'table') {
      throw new Failure('usage', `-o knows "json" and "table", not ${JSON.stringify(settings.output)}`);
    }
    const file = settings.log ?? (session.io.env['HOLDFAST_LOG'] || null);
    const archive = file === null || !shared.includes('fleet') ? null : await opened(resolve(session.io.cwd, file));
    try {
      session.code = await run(contextOf(session, settings, archive), command.args, options, session);
    } finally {
      await archive?.close();
    }
  });
  return command;
}

/** A command that only holds others: `token create`. */
export function declareGroup(parent: Command, name: string, description: string, group: string): Command {
  return parent.command(name).description(description).helpGroup(group);
}

/** Only who asks for it pays for a server's worth of code. */
async function opened(file: string): Promise<Archive> {
  const { openArchive } = await import('./archive.ts');
  return openArchive(file);
}

function contextOf(session: Session, settings: Settings, archive: Archive | null): Context {
  // In an exported log it is always the time at which it was exported.
  const io = archive === null ? session.io : { ...session.io, now: () => archive.now };
  const data = settings.data ?? null;
  const fleetAsked = settings.fleet ?? (io.env['HOLDFAST_FLEET'] || null);
  let client: Client | null = null;
  const connect = (): Client =>
    (client ??= createClient(archive?.endpoint ?? discover(io, data), io.signal(), io.delay));
  return {
    io,
    json: session.json,
    paint: paintFor(io),
    width: io.tty ? io.columns() : null,
    data,
    fleetAsked,
    client: connect,
    fleet: async () => fleetAsked ?? theOnlyFleet((await connect().fleets()).map(({ fleet }) => fleet)),
    print: (lines) => io.out(typeof lines === 'string' ? `${lines}\n` : lines.map((line) => `${line}\n`).join('')),
    printJson: (value) => io.out(`${JSON.stringify(value, null, 2)}\n`),
    note: (line) => io.err(`${line}\n`),
  };
}

function theOnlyFleet(fleets: readonly string[]): string {
  const [first] = fleets;
  if (first === undefined)
    throw new Failure('no-fleet', 'There is no fleet yet: declare one with `holdfast apply -f FILE`.');
  if (fleets.length === 1) return first;
  throw new Failure(
    'which-fleet',
    `Which fleet? There are ${names(fleets, 50)}: say --fleet NAME, or set HOLDFAST_FLEET.`,
  );
}
