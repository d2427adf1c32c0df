/**
 * Everything a command has of the world around it, so that a test can be that world: output, terminal, environment,
 * time, Ctrl-C. `processIo` is the real one.
 *
 * `out` answers when the reader has taken what was written: a slow pager slows us down, instead of filling our memory.
 */
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Interrupted, PipeClosed } from './failure.ts';

export interface Io {
  readonly env: { readonly [name: string]: string | undefined };
  readonly cwd: string;
  /** Standard output is a terminal. */
  readonly tty: boolean;
  /** There is somebody to ask. */
  readonly interactive: boolean;
  /** Width of the terminal, in characters. */
  readonly columns: () => number;
  /** Aborted by Ctrl-C, with `Interrupted`, or when the reader of our output has gone, with `PipeClosed`. */
  readonly signal: () => AbortSignal;
  readonly out: (text: string | Uint8Array) => Promise<void>;
  readonly err: (text: string) => Promise<void>;
  readonly ask: (question: string) => Promise<string>;
  /** The answer is not shown while it is typed. */
  readonly askHidden: (question: string) => Promise<string>;
  readonly stdin: () => Promise<string>;
  /** Wall clock, ms: for ages, never for deadlines. */
  readonly now: () => number;
  /** ms that only go forward. */
  readonly elapsed: () => number;
  /** Rejects when the signal aborts. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

const DEFAULT_COLUMNS = 80;

/** `npm run holdfast` moves to the package's root before it runs us; relative paths are meant where they were typed. */
function whereTyped(env: NodeJS.ProcessEnv, cwd: string): string {
  return env['npm_lifecycle_event'] === 'holdfast' ? (env['INIT_CWD'] ?? cwd) : cwd;
}

/** The process's own streams and signals. Ctrl-C is taken over only by a command that asks for `signal`. */
export function processIo(): Io {
  const ending = new AbortController();
  let listening = false;
  // Whoever waits for a write is told how it ended; a server, which waits for none, goes on without its terminal.
  const onError = (error: NodeJS.ErrnoException): void => {
    if (readerIsGone(error)) ending.abort(new PipeClosed('the reader of the output has gone'));
  };
  process.stdout.on('error', onError);
  process.stderr.on('error', onError);
  return {
    env: process.env,
    cwd: whereTyped(process.env, process.cwd()),
    tty: process.stdout.isTTY,
    interactive: process.stdin.isTTY && process.stderr.isTTY,
    columns: () => (process.stdout.isTTY ? process.stdout.columns : DEFAULT_COLUMNS),
    signal: () => {
      if (!listening) {
        listening = true;
        // Once: whoever presses Ctrl-C again means it.
        process.once('SIGINT', () => ending.abort(new Interrupted('interrupted')));
      }
      return ending.signal;
    },
    out: (text) => write(process.stdout, text),
    err: (text) => write(process.stderr, text),
    ask: async (question) => {
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      try {
        return await lines.question(question);
      } finally {
        lines.close();
      }
    },
    askHidden: async (question) => {
      process.stderr.write(question);
      // readline repeats what is typed on its output; so it gets one that goes nowhere.
      const output = new Writable({ write: (_chunk, _encoding, done) => done() });
      const lines = createInterface({ input: process.stdin, output, terminal: true });
      try {
        return await lines.question('');
      } finally {
        lines.close();
        process.stderr.write('\n');
      }
    },
    stdin: async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString('utf8');
    },
    now: () => Date.now(),
    elapsed: () => performance.now(),
    delay: async (ms, signal) => {
      await delay(ms, undefined, { signal });
    },
  };
}

function write(stream: NodeJS.WriteStream, text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (error == null) resolve();
      else reject(readerIsGone(error) ? new PipeClosed('the reader of the output has gone') : error);
    });
  });
}

/** A pipe whose reader has ended, or a terminal that was closed. */
const readerIsGone = ({ code }: NodeJS.ErrnoException): boolean => code === 'EPIPE' || code === 'EIO';
