/**
 * Two ways to run the CLI: in this process, in a world made up for it (terminal, environment, a clock that only waiting
 * moves), and as the real executable in a process of its own.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Io } from '../../../src/cli/io.ts';
import { runCli } from '../../../src/cli/program.ts';
import { TOKEN, type FakeApi } from './fake-api.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface World {
  readonly api?: FakeApi;
  readonly env?: { readonly [name: string]: string };
  readonly cwd?: string;
  readonly tty?: boolean;
  readonly columns?: number;
  /** What is typed when the CLI asks; without it there is nobody to ask. */
  readonly answer?: string;
  readonly stdin?: string;
  readonly signal?: AbortSignal;
  /** Called with all output so far, whenever there is more. */
  readonly onOut?: (out: string) => void;
}

const NOW = Date.parse('2026-01-01T00:05:00.000Z');

export async function cli(argv: string | readonly string[], world: World = {}): Promise<Ran> {
  let out = '';
  let err = '';
  let elapsedMs = 0;
  const decoder = new TextDecoder();
  const io: Io = {
    env: { ...envOf(world.api), ...world.env },
    cwd: world.cwd ?? tmpdir(),
    tty: world.tty ?? false,
    interactive: world.answer !== undefined,
    columns: () => world.columns ?? 80,
    signal: () => world.signal ?? new AbortController().signal,
    out: async (text) => {
      out += typeof text === 'string' ? text : decoder.decode(text);
      world.onOut?.(out);
    },
    err: async (text) => {
      err += text;
    },
    ask: async (question) => {
      err += question;
      return world.answer ?? '';
    },
    askHidden: async (question) => {
      err += question;
      return world.answer ?? '';
    },
    stdin: async () => world.stdin ?? '',
    now: () => NOW,
    elapsed: () => elapsedMs,
    // Time passes only by waiting; a turn of the event loop lets the network speak in between.
    delay: async (ms, signal) => {
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      elapsedMs += ms;
    },
  };
  const code = await runCli(typeof argv === 'string' ? argv.split(' ') : argv, io);
  return { code, out, err };
}

function envOf(api: FakeApi | undefined): { readonly [name: string]: string } {
  return api === undefined ? {} : { HOLDFAST_URL: api.url, HOLDFAST_TOKEN: TOKEN };
}

const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));

/** The executable, with nothing of our environment but the path. */
export function startCli(
  argv: readonly string[],
  options: { readonly api?: FakeApi; readonly cwd?: string; readonly env?: object } = {},
): ChildProcess {
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...argv], {
    cwd: options.cwd ?? tmpdir(),
    env: { PATH: process.env['PATH'], ...envOf(options.api), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** How it ended, and all it said. */
export async function ended(child: ChildProcess): Promise<Ran> {
  let out = '';
  let err = '';
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString('utf8')));
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString('utf8')));
  const code = await new Promise<number>((resolve) => child.on('close', (status) => resolve(status ?? -1)));
  return { code, out, err };
}

export function temporaryFolder(): { readonly path: string; readonly [Symbol.dispose]: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-cli-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
