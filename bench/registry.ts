/**
 * What a heartbeat costs: how many a second against an empty POST route of the same server in the same run, how late their
 * answers are at half that rate, and how often 50,000 agents make it write. And what a plugin costs that is here already.
 *
 * The same requests go to both, over the same kept-open connections, in turns, so that what the machine does besides falls on
 * both. The load is made here, the server is a process of its own.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DatabaseSync } from 'node:sqlite';
import { atLeast, atMost, known, median, quantile, type Bench } from './figure.ts';
import { pluginFetches } from './registry-plugins.ts';

const CHILD = fileURLToPath(new URL('./registry-child.ts', import.meta.url));
const AGENTS = 50_000;
const CONNECTIONS = 32;
const ROUNDS = 9;
const ROUND_MS = 1_500;
const PACED_MS = 10_000;

export const bench: Bench = async function* registry() {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', CHILD, folder, String(AGENTS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [url = '', ...tokens] = await linesOf(child);
    const lines = await Promise.all(Array.from({ length: CONNECTIONS }, () => open(Number(new URL(url).port))));
    let turn = 0;
    const beat = (): Buffer => request(url, '/v1/heartbeat', tokens[turn++ % tokens.length] ?? '');
    const empty = (): Buffer => request(url, '/empty', tokens[turn++ % tokens.length] ?? '');
    // Everybody is heard once, so that what follows is a steady fleet.
    for (let n = 0; n < AGENTS; n += CONNECTIONS) await Promise.all(lines.map((line) => line.ask(beat())));

    const beats: number[] = [];
    const empties: number[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const [first, second] = round % 2 === 0 ? [beat, empty] : [empty, beat];
      const rates = new Map([
        [first, await rate(lines, first)],
        [second, await rate(lines, second)],
      ]);
      if (round === 0) continue; // warms both
      beats.push(rates.get(beat) ?? 0);
      empties.push(rates.get(empty) ?? 0);
    }
    const ratios = beats.map((one, n) => one / (empties[n] ?? one));
    yield known('an empty POST route', median(empties), '/s');
    yield known('heartbeats', median(beats), '/s');
    yield atLeast(
      '  of the rate of the empty route',
      median(ratios),
      '×',
      0.8,
      'an empty POST route of the same server',
    );

    const head = headOf(folder);
    const writes = countWrites(folder);
    const delays = await paced(lines, beat, median(beats) / 2);
    const perSecond = writes() / (PACED_MS / 1_000);
    const plain = await paced(lines, empty, median(beats) / 2);
    yield atMost('answer to a heartbeat at half that rate, 99 of 100', quantile(delays, 0.99), 'ms', 20);
    yield known('  half of them', quantile(delays, 0.5), 'ms');
    yield known('  99 of 100 of an empty POST route at that rate', quantile(plain, 0.99), 'ms');
    yield atMost(`writes of last-seen times, ${AGENTS} agents`, perSecond, '/s', 2);
    yield atMost('  events written', headOf(folder) - head, 'events', 0);
    for (const line of lines) line.close();
    yield* pluginFetches(folder);
  } finally {
    child.kill('SIGTERM');
    await once(child, 'close');
    rmSync(folder, { recursive: true, force: true });
  }
};

async function linesOf(child: ChildProcess): Promise<readonly string[]> {
  const lines: string[] = [];
  if (child.stdout === null) throw new Error('the server has no output');
  for await (const line of createInterface(child.stdout)) {
    if (line === 'end') return lines;
    lines.push(line);
  }
  throw new Error('the server ended before it was ready');
}

// ── the load ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Line {
  /** One request; resolves with the answer's last byte. Rejects unless it was 200. */
  ask(request: Buffer): Promise<void>;
  close(): void;
}

const BODY = JSON.stringify({ status: 'ready', activeTasks: 0, work: 17, version: '1.0' });

function request(url: string, path: string, token: string): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\n\r\n`;
  return Buffer.from(head + BODY);
}

async function open(port: number): Promise<Line> {
  const socket: Socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.setNoDelay(true);
  let rest = '';
  let answered: PromiseWithResolvers<void> | null = null;
  socket.setEncoding('latin1').on('data', (text: string) => {
    rest += text;
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return;
    const length = Number(/content-length: (\d+)/i.exec(rest)?.[1] ?? 0);
    if (rest.length < end + 4 + length) return;
    if (rest.startsWith('HTTP/1.1 200')) answered?.resolve();
    else answered?.reject(new Error(rest));
    rest = '';
  });
  socket.on('close', () => answered?.reject(new Error('the server hung up')));
  return {
    ask(bytes) {
      answered = Promise.withResolvers();
      socket.write(bytes);
      return answered.promise;
    },
    close: () => void socket.destroy(),
  };
}

/** Requests a second, each connection asking again as soon as it is answered. */
async function rate(lines: readonly Line[], next: () => Buffer): Promise<number> {
  const began = performance.now();
  const counts = await Promise.all(
    lines.map(async (line) => {
      let count = 0;
      for (; performance.now() - began < ROUND_MS; count += 1) await line.ask(next());
      return count;
    }),
  );
  return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - began) / 1_000);
}

/** How long each answer took, ms, counted from when it was due: what waits for a free connection is late, too. */
async function paced(lines: readonly Line[], next: () => Buffer, perSecond: number): Promise<readonly number[]> {
  const began = performance.now();
  const delays: number[] = [];
  let asked = 0;
  const worker = async (line: Line): Promise<void> => {
    for (;;) {
      const due = began + (asked++ / perSecond) * 1_000;
      if (due > began + PACED_MS) return;
      while (performance.now() < due - 1) await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
      await line.ask(next());
      delays.push(performance.now() - due);
    }
  };
  await Promise.all(lines.map(worker));
  return delays;
}

/** Counts files of last-seen times as they are replaced, until it is asked. */
function countWrites(folder: string): () => number {
  const at = join(folder, 'last-seen');
  const seen = new Map<string, number>();
  let writes = 0;
  const look = (): void => {
    for (const file of readdirSync(at).filter((one) => one.endsWith('.json'))) {
      const { mtimeMs } = statSync(join(at, file));
      if (seen.get(file) !== mtimeMs) writes += 1;
      seen.set(file, mtimeMs);
    }
  };
  look();
  writes = 0;
  const timer = setInterval(look, 100);
  return () => {
    clearInterval(timer);
    return writes;
  };
}

function headOf(folder: string): number {
  const db = new DatabaseSync(join(folder, 'holdfast.db'), { readOnly: true });
  const { head } = db.prepare('SELECT max(head) AS head FROM fleets').get() as { head: number };
  db.close();
  return head;
}
