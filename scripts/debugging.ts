/**
 * `docs/debugging.md` with the real output of its commands: in each block of console text, what follows a line `$ holdfast …`
 * is what that command says now, run in this process against the logs in `docs/stuck`.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Io } from '../src/cli/io.ts';
import { runCli } from '../src/cli/program.ts';

export const DEBUGGING = 'docs/debugging.md';
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

export async function debuggingPage(): Promise<string> {
  const parts = readFileSync(join(ROOT, DEBUGGING), 'utf8').split(/^(```console\n[\s\S]*?^```$)/m);
  const made: string[] = [];
  for (const part of parts) made.push(part.startsWith('```console\n') ? await withOutput(part) : part);
  return made.join('');
}

async function withOutput(block: string): Promise<string> {
  const lines: string[] = ['```console'];
  for (const command of block.split('\n').filter((line) => line.startsWith('$ '))) {
    lines.push(command, ...(await outputOf(command.slice(2))));
  }
  return [...lines, '```'].join('\n');
}

/** What a person would see, exit code included where it is no 0. Wall clocks are shown as in UTC. */
export async function outputOf(command: string): Promise<readonly string[]> {
  const [holdfast, ...argv] = command.split(' ');
  if (holdfast !== 'holdfast') throw new Error(`${DEBUGGING}: only holdfast is run for the page, not "${command}"`);
  let said = '';
  const say = async (text: string | Uint8Array): Promise<void> => {
    said += typeof text === 'string' ? text : new TextDecoder().decode(text);
  };
  const nobody = (): Promise<never> => Promise.reject(new Error('there is nobody to ask'));
  const io: Io = {
    env: {},
    cwd: ROOT,
    tty: false,
    interactive: false,
    columns: () => 100,
    signal: () => new AbortController().signal,
    out: say,
    err: say,
    ask: nobody,
    askHidden: nobody,
    stdin: nobody,
    now: () => 0,
    elapsed: () => performance.now(),
    delay: () => Promise.resolve(),
  };
  process.env['TZ'] = 'UTC';
  const code = await runCli(argv, io);
  const lines = said.trimEnd().split('\n');
  return code === 0 ? lines : [...lines, `(exit code ${code})`];
}
