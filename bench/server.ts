/** A real Holdfast, as a user starts it: a process of its own with a data folder. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const READY_DEADLINE_MS = 120_000;

export interface Server {
  readonly url: string;
  /** From the start of the process until `/readyz` said yes. */
  readonly readyMs: number;
  /** Ends it with this signal, and waits for its end. */
  end(signal: NodeJS.Signals): Promise<void>;
}

export async function startServer(folder: string, options: readonly string[] = []): Promise<Server> {
  const began = performance.now();
  const args = [
    '--disable-warning=ExperimentalWarning',
    MAIN,
    'up',
    '--data',
    folder,
    '--listen',
    '127.0.0.1:0',
    ...options,
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await closed;
  };
  try {
    const url = await addressOf(child);
    while (!(await fetch(`${url}/readyz`)).ok)
      if (performance.now() - began > READY_DEADLINE_MS) throw new Error('it does not become ready');
    return { url, readyMs: performance.now() - began, end };
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
}

/** "Holdfast 0.1.0 is up at http://127.0.0.1:37697", said once every fleet is taken over. */
async function addressOf(child: ChildProcess): Promise<string> {
  const deadline = AbortSignal.timeout(READY_DEADLINE_MS);
  let said = '';
  for (;;) {
    const [chunk] = (await Promise.race([
      once(child.stdout!, 'data', { signal: deadline }),
      once(child, 'exit', { signal: deadline }),
    ])) as [unknown];
    if (!Buffer.isBuffer(chunk)) throw new Error(`holdfast up ended before it was ready (${String(chunk)}): ${said}`);
    said += chunk.toString();
    const url = /up at (http:\S+)/.exec(said)?.[1];
    if (url === undefined) continue;
    child.stdout!.resume();
    return url;
  }
}

/** Applies a manifest through the API. */
export async function apply(server: Server, folder: string, fleet: string, manifest: string): Promise<void> {
  const token = readFileSync(join(folder, 'admin.token'), 'utf8').trim();
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await fetch(`${server.url}/v1/fleets/${fleet}`, { method: 'PUT', headers, body: manifest });
  if (!answer.ok) throw new Error(`the manifest was refused (${answer.status}): ${await answer.text()}`);
}
