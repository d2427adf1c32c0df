/**
 * The whole command line: every command registered, and one place where failures become words and exit codes.
 * `runCli` is what `main.ts` and the tests call.
 */
import { Command, CommanderError } from 'commander';
import type { Session } from './command.ts';
import { registerAgentToken } from './commands/agent-token.ts';
import { registerBackup } from './commands/backup.ts';
import { registerBench, registerSim } from './commands/checkout.ts';
import { registerDebug } from './commands/debug.ts';
import { registerDelete } from './commands/delete.ts';
import { registerDescribe } from './commands/describe.ts';
import { registerDoctor } from './commands/doctor.ts';
import { registerEvents } from './commands/events.ts';
import { registerFleets } from './commands/fleets.ts';
import { registerGates } from './commands/gates.ts';
import { registerGet } from './commands/get.ts';
import { registerHistory } from './commands/history.ts';
import { registerInside } from './commands/inside.ts';
import { registerLogFile } from './commands/log-file.ts';
import { registerLogLevel } from './commands/log-level.ts';
import { registerLogs } from './commands/logs.ts';
import { registerApply } from './commands/apply.ts';
import { registerOrphans } from './commands/orphans.ts';
import { registerSecret } from './commands/secret.ts';
import { registerVolumes } from './commands/volumes.ts';
import { registerToken } from './commands/token.ts';
import { registerUp } from './commands/up.ts';
import { registerVerbs } from './commands/verbs.ts';
import { registerWhy } from './commands/why.ts';
import {
  EXIT_ERROR,
  EXIT_INTERRUPTED,
  EXIT_OK,
  Failure,
  failureInWords,
  Interrupted,
  PipeClosed,
  ProblemFailure,
} from './failure.ts';
import type { Io } from './io.ts';
import { VERSION } from '../runtime/version.ts';
import { paintFor } from './render/colours.ts';

const AFTER = `
Exit codes:
  0  done; the answer is yes
  1  the answer is no: it differs, did not settle, was refused for some, is not ready
  2  an error: nothing answers, a wrong option, a manifest that is not accepted

Environment:
  HOLDFAST_URL, HOLDFAST_TOKEN  the server, and who you are there (default: what \`holdfast up\` wrote into .holdfast/)
  HOLDFAST_FLEET                the fleet meant where --fleet is not said
  NO_COLOR                      no colours, on a terminal either

Start here:
  $ holdfast up
  $ holdfast apply -f fleet.yaml --wait
  $ holdfast get`;

/** Runs one command line (without node and script) and answers its exit code. Throws only what is a bug. */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  const session = createSession(io);
  try {
    await session.program.parseAsync([...argv], { from: 'user' });
    return session.code;
  } catch (error) {
    return await exitCodeOf(error, session);
  }
}

function createSession(io: Io): Session {
  const program = new Command('holdfast')
    .description('Keeps fleets of AI agents running exactly as declared, and can always say why.')
    .version(VERSION)
    .enablePositionalOptions()
    .option('--data <folder>', 'data folder of the server (default: the nearest .holdfast/ upwards)')
    .option('--fleet <name>', 'fleet meant (default: HOLDFAST_FLEET, or the only one)')
    .option('-o, --output <format>', '"json": what the API answers, for programs')
    .option('--log <file>', 'look at an exported log instead of a server (or HOLDFAST_LOG)')
    .addHelpText('after', AFTER)
    .showSuggestionAfterError()
    .exitOverride();
  // Commander writes as it parses; the writes wait for `parseAsync` to fail or return, so nothing is lost.
  program.configureOutput({
    writeOut: (text) => void io.out(text).catch(ignoreClosedPipe),
    writeErr: (text) => void io.err(text).catch(ignoreClosedPipe),
    getOutHelpWidth: () => io.columns(),
    getErrHelpWidth: () => io.columns(),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  const session: Session = { io, program, code: EXIT_OK, json: false, file: null };
  for (const register of [
    registerUp,
    registerApply,
    registerGet,
    registerDescribe,
    registerWhy,
    registerHistory,
    registerEvents,
    registerLogs,
    registerInside,
    registerVerbs,
    registerDelete,
    registerGates,
    registerDebug,
    registerLogFile,
    registerOrphans,
    registerSecret,
    registerVolumes,
    registerFleets,
    registerToken,
    registerAgentToken,
    registerLogLevel,
    registerDoctor,
    registerBackup,
    registerSim,
    registerBench,
  ]) {
    register(session);
  }
  return session;
}

async function exitCodeOf(error: unknown, session: Session): Promise<number> {
  // Commander has said its words by itself; help and version are no failures.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_ERROR;
  if (error instanceof PipeClosed) return EXIT_OK;
  if (error instanceof Interrupted) return EXIT_INTERRUPTED;
  if (!(error instanceof Failure) && !(error instanceof ProblemFailure)) throw error;
  const words = session.json
    ? JSON.stringify(error.problem, null, 2)
    : paintFor(session.io)('bad', failureInWords(error, session.file));
  await session.io.err(`${words}\n`).catch(ignoreClosedPipe);
  return EXIT_ERROR;
}

function ignoreClosedPipe(error: unknown): void {
  if (!(error instanceof PipeClosed)) throw error;
}
