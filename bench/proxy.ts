/**
 * What waking through the proxy costs over the start itself. The same agent, a small HTTP server in Node, on the same machine in
 * the same run, in turn:
 *
 *  - raw: spawned, and its port asked without a pause until it answers;
 *  - proxy: asleep under a real Holdfast (a process of its own, SQLite), and one request through the wake proxy, until it is
 *    answered.
 *
 * And what the proxy costs once the agent is awake: a request through it beside the same request straight to the agent.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { atMost, known, median, quantile, timedAsync, type Bench } from './figure.ts';
import { apply, startServer, type Server } from './server.ts';

const ROUNDS = 20;
const WARM_UP_ROUNDS = 2;
const REQUESTS = 400;
const DEADLINE_MS = 30_000;
const FLEET = 'wake';

const AGENT = `const { createServer } = require('node:http');
createServer((_, answer) => answer.end('ok')).listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
`;

export const bench: Bench = async function* proxy() {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const script = join(folder, 'agent.cjs');
  writeFileSync(script, AGENT);
  const data = join(folder, 'data');
  const proxyPort = await freePort();
  let server: Server | null = null;
  try {
    server = await startServer(data, ['--stop-agents', '--proxy-listen', `127.0.0.1:${proxyPort}`]);
    const [rawPort, port] = [await freePort(), await freePort()];
    const bot = {
      target: 'process',
      lifecycle: 'lazy',
      idleAfter: '1h',
      run: { command: [process.execPath, script], cwd: folder, env: { PORT: String(port) }, ports: [port] },
    };
    await apply(server, data, FLEET, JSON.stringify({ version: 1, fleet: FLEET, instances: { bot } }));
    const token = readFileSync(join(data, 'admin.token'), 'utf8').trim();
    const through = { port: proxyPort, path: `/i/${FLEET}/bot/`, headers: { authorization: `Bearer ${token}` } };
    const raw: number[] = [];
    const woken: number[] = [];
    for (let round = -WARM_UP_ROUNDS; round < ROUNDS; round += 1) {
      // Who goes first changes, so that nobody always follows the same other.
      const times =
        round % 2 === 0
          ? [await spawned(script, rawPort), await wake(server, token, through)]
          : [await wake(server, token, through), await spawned(script, rawPort)].reverse();
      if (round < 0) continue;
      raw.push(times[0] ?? NaN);
      woken.push(times[1] ?? NaN);
    }
    yield known('raw start to its first answer: spawned, and asked without a pause', median(raw), 'ms');
    yield known('  90 % of them', quantile(raw, 0.9), 'ms');
    yield known('a request to a sleeper, through the proxy, until it is answered', median(woken), 'ms');
    yield known('  90 % of them', quantile(woken, 0.9), 'ms');
    yield atMost('  waking adds', median(woken) - median(raw), 'ms', 100, `over the raw start, medians of ${ROUNDS}`);
    yield* awake(port, through);
  } finally {
    await server?.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
};

interface Through {
  readonly port: number;
  readonly path: string;
  readonly headers?: { readonly [name: string]: string };
}

/** One after another on kept connections, in turn. */
async function* awake(port: number, through: Through): ReturnType<Bench> {
  const straight: number[] = [];
  const proxied: number[] = [];
  const agent = new Agent({ keepAlive: true });
  await ask(through, agent);
  for (let i = 0; i < REQUESTS; i += 1) {
    straight.push(await timedAsync(() => ask({ port, path: '/' }, agent)));
    proxied.push(await timedAsync(() => ask(through, agent)));
  }
  agent.destroy();
  yield known('a request to one that is awake, straight to it', median(straight), 'ms');
  yield known('  through the proxy', median(proxied), 'ms');
}

async function spawned(script: string, port: number): Promise<number> {
  const began = performance.now();
  const child = spawn(process.execPath, [script], {
    env: { PATH: process.env['PATH'] ?? '', PORT: String(port) },
    stdio: 'ignore',
    detached: true,
  });
  const exit = once(child, 'exit');
  try {
    for (;;) {
      try {
        await ask({ port, path: '/' });
        return performance.now() - began;
      } catch (error) {
        if (performance.now() - began > DEADLINE_MS) throw error;
      }
    }
  } finally {
    child.kill('SIGKILL');
    await exit;
  }
}

/** From a sleeper at rest to its answer. */
async function wake(server: Server, token: string, through: Through): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const bot = `${server.url}/v1/fleets/${FLEET}/instances/bot`;
  const began = performance.now();
  // Asked again: work that is told as ended late takes the wish back.
  for (let asleep = false; !asleep;) {
    const { phase, resource } = (await (await fetch(bot, { headers })).json()) as {
      phase: string;
      resource: { state: string } | null;
    };
    asleep = phase === 'SLEEPING';
    if (asleep) break;
    if (performance.now() - began > DEADLINE_MS) throw new Error(`it does not fall asleep, but is ${phase}`);
    if (resource?.state === 'running') await (await fetch(`${bot}/sleep`, { method: 'POST', headers })).text();
    await wait(100);
  }
  // The next wake finds everybody at rest.
  await wait(150);
  return timedAsync(() => ask(through));
}

function ask({ port, path, headers = {} }: Through, agent: Agent | false = false): Promise<void> {
  return new Promise((resolve, reject) => {
    const asking = request({ host: '127.0.0.1', port, path, headers, agent }, (answer) => {
      answer.resume().on('error', reject);
      answer.on('end', () =>
        answer.statusCode === 200 ? resolve() : reject(new Error(`answered with ${answer.statusCode}`)),
      );
    });
    asking.on('error', reject).end();
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
