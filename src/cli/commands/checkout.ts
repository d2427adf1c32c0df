/** `sim` and `bench`: what proves Holdfast itself. The benchmarks are not part of the package, only of a checkout. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { wordsOf } from '../../core/error-words.ts';
import { declare, type Session } from '../command.ts';
import { EXIT_ERROR, Failure } from '../failure.ts';
import { wholeNumber } from '../options.ts';

/** What `../sim.ts` is given. */
export interface SimOptions {
  /** null: one is chosen, and said. */
  readonly seed: number | null;
  /** Simulated hours. */
  readonly hours: number;
  readonly json: boolean;
}

const GROUP = 'Proof:';
const DEFAULT_HOURS = 24;

export function registerSim(session: Session): void {
  declare<{ seed?: number; hours: number }>(session, session.program, {
    usage: 'sim',
    description:
      'Runs a simulated fleet through faults, checking every invariant after every tick; the same seed does the same.',
    group: GROUP,
    shared: ['output'],
    examples: ['holdfast sim --seed 42 --hours 24'],
    options: (command) =>
      command
        .option('--seed <number>', 'which history (default: a new one, which is said)', wholeNumber)
        .option('--hours <number>', 'simulated hours', wholeNumber, DEFAULT_HOURS),
    run: async ({ json }, _args, { seed, hours }) => {
      const { runSim } = await import('../sim.ts');
      return await runSim({ seed: seed ?? null, hours, json });
    },
  });
}

export function registerBench(session: Session): void {
  declare<{ json?: boolean }>(session, session.program, {
    usage: 'bench [name...]',
    description: 'Runs benchmarks and prints figure, goal and peer; from a checkout of Holdfast only.',
    group: GROUP,
    shared: [],
    examples: ['holdfast bench core', 'holdfast bench ticks --json'],
    options: (command) => command.option('--json', 'one last line of JSON with the results'),
    run: async (_context, args, { json }) => {
      const file = fileURLToPath(new URL('../../../bench/main.ts', import.meta.url));
      if (!existsSync(file)) {
        throw new Failure(
          'no-checkout',
          'Benchmarks are part of the checkout, not of the package: run `npm run bench -- NAME` in one.',
        );
      }
      return await runNode([file, ...args, ...(json === true ? ['--json'] : [])]);
    },
  });
}

/** This Node with this terminal; its exit code is ours. It ends with us: Ctrl-C reaches the whole group. */
function runNode(args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], { stdio: 'inherit' });
    child.on('error', (error) => {
      reject(new Failure('bench', `The benchmarks could not be started: ${wordsOf(error)}`));
    });
    child.on('exit', (code) => {
      resolve(code ?? EXIT_ERROR);
    });
  });
}
