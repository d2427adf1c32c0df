/**
 * The world of an end-to-end test: real servers (`holdfast up` as child processes, each on a free port with its own data
 * folder), real agents (little programs in a temporary folder), and the two ways to talk to them: HTTP and the command line.
 * All of it is gone at the end, however the test ends (`e2e-reaper-child.ts`).
 *
 * Nothing here waits for a fixed time: `until` looks again and again, under a deadline.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Json } from '../../src/core/model.ts';
import type { ApplyResult, EventView, FleetView, InstanceView, Page } from '../../src/runtime/api.ts';
import type { Why } from '../../src/core/explain.ts';
import { databaseComplaints } from './verified.ts';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const MAIN = join(ROOT, 'src/cli/main.ts');
const REAPER = join(ROOT, 'test/support/e2e-reaper-child.ts');
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning'];

/** How long anything is waited for, unless it says otherwise: generous, since a test machine may be busy. */
const PATIENCE_MS = 20_000;
const LOOK_EVERY_MS = 20;
const EVENTS_PAGE = 1_000;

/** What agents run: `node agent.mjs`. SIGTERM ends it well, SIGHUP makes it crash, SIGUSR2 makes it say that it is done. */
const AGENT = `
import { existsSync } from 'node:fs';
const say = (words) => console.log(process.env.HOLDFAST_INSTANCE + ' ' + words + ', pid ' + process.pid);
process.on('SIGTERM', () => { say('was asked to stop'); process.exit(0); });
process.on('SIGUSR2', () => { say('is done'); process.exit(0); });
process.on('SIGHUP', () => { console.error('something broke in ' + process.env.HOLDFAST_INSTANCE); process.exit(3); });
if (process.argv[2] !== undefined && !existsSync(process.argv[2])) {
  console.error('there is no ' + process.argv[2]);
  process.exit(Number(process.argv[3] ?? 1));
}
say('is up');
setInterval(() => undefined, 60_000);
`;

export interface World {
  readonly folder: string;
  /** The command of an agent that runs until it is told otherwise; with a file: only if that is there, else it exits with `code`. */
  agent(file?: string, code?: number): readonly string[];
  /** Starts a server, and waits until it is up. */
  up(options?: UpOptions): Promise<Plane>;
  /** Starts a server that is expected to refuse; how it ended. */
  refused(options: UpOptions): Promise<Ended>;
  /** Any program, to its end. */
  run(command: string, args: readonly string[], env?: Environment): Promise<Ended>;
  /** Any program that goes on, with a path of this world among its arguments: it ends with the world. */
  begin(command: string, args: readonly string[]): Program;
  /** Agents of this deployment are ours: to be told where no `holdfast.db` below the folder tells it. */
  owns(deployment: string): void;
  /** To be unmounted at the end. */
  mounted(folder: string): void;
  /** The log in this data folder is changed behind the server's back: it records no longer what was decided. */
  falsified(data: string): void;
  /** Removes everything; first whatever the servers have written is decided again, and must be the same. */
  close(): Promise<void>;
}

type Environment = { readonly [name: string]: string };

export interface UpOptions {
  /** Data folder; the same one for each start unless said. */
  readonly data?: string;
  readonly port?: number;
  readonly args?: readonly string[];
  /** Through `npm start`, as a newcomer would. */
  readonly npm?: boolean;
}

export interface Program {
  /** What it has written so far, both streams. */
  said(): string;
  over(): boolean;
  ended: Promise<Ended>;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Answer<T> {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Fails the test where it is no JSON. */
  readonly body: T;
}

export interface Ask {
  readonly body?: Json | Buffer;
  readonly headers?: Environment;
  /** null: none. */
  readonly token?: string | null;
}

export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly rule?: string;
  readonly errors: readonly { readonly path: string; readonly line: number | null; readonly message: string }[];
}

export interface Plane {
  readonly pid: number;
  readonly url: string;
  readonly port: number;
  readonly data: string;
  readonly token: string;
  /** What it has written so far, both streams. */
  said(): string;
  ask<T = unknown>(method: string, path: string, ask?: Ask): Promise<Answer<T>>;
  /** `holdfast ARGS` on this data folder. */
  cli(...args: readonly string[]): Promise<Ended>;
  /** The same, expected to succeed, as JSON. */
  json<T>(...args: readonly string[]): Promise<T>;
  fleet(name: string): Fleet;
  /** Opens a stream of lines; ends with the server or by `close`. */
  lines(path: string, headers?: Environment): Promise<Lines>;
  /** SIGKILL, and gone. */
  kill(): Promise<void>;
  /** SIGTERM, and how it ended. */
  end(): Promise<Ended>;
}

export interface Lines {
  readonly seen: readonly string[];
  /** True once the other side has ended it. */
  ended(): boolean;
  close(): void;
}

export interface Fleet {
  readonly name: string;
  apply(manifest: Manifest, query?: string, headers?: Environment): Promise<Answer<ApplyResult>>;
  /** Applied, and expected to be. */
  declare(manifest: Manifest): Promise<ApplyResult>;
  view(): Promise<FleetView>;
  get(name: string): Promise<InstanceView>;
  all(): Promise<readonly InstanceView[]>;
  why(name: string): Promise<Why>;
  events(after?: number): Promise<readonly EventView[]>;
  post<T = unknown>(path: string, body?: Json): Promise<Answer<T>>;
  /** Until it is so; fails with how it stood last. */
  until(name: string, what: string, holds: (view: InstanceView) => boolean, deadlineMs?: number): Promise<InstanceView>;
  /** RUNNING, and the agent itself has said that it is up, so that it handles signals. Its pid. */
  running(name: string): Promise<number>;
  logs(name: string, query?: string): Promise<string>;
}

export interface Manifest {
  readonly policy?: Json;
  readonly instances: { readonly [name: string]: Json };
}

export async function openWorld(): Promise<World> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-e2e-')));
  const reaper = spawn(process.execPath, [...NODE_FLAGS, REAPER, folder], {
    stdio: ['pipe', 'inherit', 'inherit'],
    detached: true,
  });
  const reap = (line: string): void => void reaper.stdin.write(`${line}\n`);
  const falsified = new Set<string>();
  const agentFile = join(folder, 'agent.mjs');
  writeFileSync(agentFile, AGENT);
  mkdirSync(join(folder, 'tmp'));
  const env: Environment = {
    PATH: process.env['PATH'] ?? '',
    HOME: folder,
    TMPDIR: join(folder, 'tmp'),
    NO_COLOR: '1',
  };

  function launch(command: string, args: readonly string[], extra: Environment = {}): Child {
    const child = spawn(command, args, { cwd: folder, env: { ...env, ...extra }, stdio: ['ignore', 'pipe', 'pipe'] });
    if (child.pid !== undefined) reap(`server ${child.pid}`);
    return watched(child);
  }
  const holdfast = (...args: readonly string[]): Child => launch(process.execPath, [...NODE_FLAGS, MAIN, ...args]);
  const cli = (data: string, args: readonly string[]): Promise<Ended> => holdfast('--data', data, ...args).ended;

  function start({
    data = join(folder, 'data'),
    port = 0,
    args = [],
    npm = false,
  }: UpOptions): Child & { data: string } {
    const rest = ['--data', data, '--listen', `127.0.0.1:${port}`, '--proxy-listen', '127.0.0.1:0', ...args];
    if (!npm) return { ...holdfast('up', ...rest), data };
    const script = process.env['npm_execpath'];
    const command: [string, ...string[]] = script === undefined ? ['npm'] : [process.execPath, script];
    return { ...launch(command[0], [...command.slice(1), '--prefix', ROOT, 'start', '--', ...rest]), data };
  }

  return {
    folder,
    agent: (...args) => [process.execPath, agentFile, ...args.map(String)],
    run: (command, args, extra) => launch(command, args, extra).ended,
    begin: (command, args) => launch(command, args),
    owns: (deployment) => reap(`deployment ${deployment}`),
    falsified: (data) => falsified.add(data),
    mounted: (place) => reap(`mount ${place}`),

    async refused(options) {
      const started = start(options);
      const late = AbortSignal.timeout(PATIENCE_MS);
      late.addEventListener('abort', () => started.child.kill('SIGKILL'));
      return await started.ended;
    },

    async up(options = {}) {
      const started = start(options);
      const { data } = started;
      const url = await until('the server is up', () => {
        if (started.over()) throw new Fatal(`the server ended instead of coming up: ${started.said()}`);
        return /is up at (http:\S+)/.exec(started.said())?.[1];
      });
      // npm and its shell stand between us and it.
      const pid =
        options.npm === true ? Number(readFileSync(join(data, 'holdfast.pid'), 'utf8')) : (started.child.pid ?? 0);
      reap(`server ${pid}`);
      return openPlane({ started, data, url, pid, cli: (args) => cli(data, args) });
    },

    async close() {
      const complaints = globSync(join(folder, '**/holdfast.db'))
        .filter((file) => !falsified.has(dirname(file)))
        .flatMap(databaseComplaints);
      reaper.stdin.end();
      const [code] = (await once(reaper, 'exit')) as [number | null];
      assert.equal(code, 0, 'the world could not be removed');
      assert.deepEqual(complaints, []);
    },
  };
}

// ── programs ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Child {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  over(): boolean;
  said(): string;
}

function watched(child: ChildProcess): Child {
  let out = '';
  let err = '';
  let over = false;
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    // Its streams, too: an agent of a server that was killed holds none of them.
    child.once('close', (code, signal) => {
      over = true;
      resolve({ code, signal, out, err });
    });
  });
  ended.catch(() => undefined); // told to whoever awaits it
  return { child, ended, over: () => over, said: () => out + err };
}

// ── a server ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Started {
  readonly started: Child;
  readonly data: string;
  readonly url: string;
  readonly pid: number;
  readonly cli: (args: readonly string[]) => Promise<Ended>;
}

function openPlane({ started, data, url, pid, cli }: Started): Plane {
  const token = readFileSync(join(data, 'admin.token'), 'utf8').trim();
  function signal(name: NodeJS.Signals): void {
    // Once it has ended, its pid may be somebody else's.
    assert.ok(!started.over(), `the server has ended already: ${started.said()}`);
    send(pid, name);
  }
  const plane: Plane = {
    pid,
    url,
    port: Number(new URL(url).port),
    data,
    token,
    said: () => started.said(),
    async ask<T>(method: string, path: string, ask: Ask = {}) {
      try {
        return await exchange<T>(url, method, path, { token, ...ask });
      } catch (error) {
        if (started.over()) throw new Fatal(`${method} ${path}: the server has ended: ${started.said().slice(-2_000)}`);
        throw error;
      }
    },
    cli: (...args) => cli(args),
    async json<T>(...args: readonly string[]) {
      const { code, out, err } = await cli([...args, '-o', 'json']);
      assert.equal(code, 0, `holdfast ${args.join(' ')}: ${err || out}`);
      return JSON.parse(out) as T;
    },
    fleet: (name) => openFleet(plane, name),
    lines: (path, headers = {}) => openLines(url, path, { authorization: `Bearer ${token}`, ...headers }),
    async kill() {
      signal('SIGKILL');
      await started.ended;
    },
    async end() {
      signal('SIGTERM');
      return await started.ended;
    },
  };
  return plane;
}

/** One request on a connection of its own: a server that was restarted must not be met through an old one. */
function exchange<T>(
  base: string,
  method: string,
  path: string,
  { body, headers = {}, token = null }: Ask,
): Promise<Answer<T>> {
  const payload =
    body === undefined ? undefined : Buffer.isBuffer(body) || typeof body === 'string' ? body : JSON.stringify(body);
  const { promise, resolve, reject } = Promise.withResolvers<Answer<T>>();
  const asking = httpRequest(
    new URL(path, base),
    {
      method,
      agent: false,
      headers: {
        ...(payload === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
    },
    (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (more: string) => (text += more));
      answer.on('error', reject);
      answer.on('end', () => {
        const { statusCode: status = 0, headers: received } = answer;
        resolve({
          status,
          headers: received,
          text,
          get body() {
            return JSON.parse(text) as T;
          },
        });
      });
    },
  );
  asking.on('error', reject);
  asking.setTimeout(2 * PATIENCE_MS, () => asking.destroy(new Error(`${method} ${path} was not answered`)));
  asking.end(payload);
  return promise;
}

function openLines(base: string, path: string, headers: Environment): Promise<Lines> {
  const { promise, resolve, reject } = Promise.withResolvers<Lines>();
  const asking = httpRequest(new URL(path, base), { agent: false, headers }, (answer: IncomingMessage) => {
    const seen: string[] = [];
    let rest = '';
    let over = false;
    answer.setEncoding('utf8');
    answer.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      seen.push(...lines);
    });
    answer.on('error', () => (over = true)); // a server that is killed cuts it off
    answer.on('close', () => (over = true));
    if (answer.statusCode === 200) resolve({ seen, ended: () => over, close: () => asking.destroy() });
    else reject(new Error(`${path} was answered with ${answer.statusCode}`));
  });
  asking.on('error', reject);
  asking.end();
  return promise;
}

// ── a fleet ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function openFleet(plane: Plane, name: string): Fleet {
  const base = `/v1/fleets/${name}`;
  async function read<T>(path: string): Promise<T> {
    const answer = await plane.ask<T>('GET', `${base}${path}`);
    assert.equal(answer.status, 200, `GET ${path}: ${answer.text}`);
    return answer.body;
  }
  const fleet: Fleet = {
    name,
    apply: ({ policy, instances }, query = '', headers = {}) =>
      plane.ask('PUT', `${base}${query}`, {
        body: { version: 1, fleet: name, ...(policy === undefined ? {} : { policy }), instances },
        headers,
      }),
    async declare(manifest) {
      const answer = await fleet.apply(manifest);
      assert.equal(answer.status, 200, answer.text);
      return answer.body;
    },
    view: () => read(''),
    get: (instance) => read(`/instances/${instance}`),
    all: async () => (await read<Page<InstanceView>>('/instances?limit=500')).items,
    why: (instance) => read(`/instances/${instance}/why`),
    async events(after = 0) {
      const found: EventView[] = [];
      for (let from: number | null = after; from !== null;) {
        const page: Page<EventView> = await read(`/events?after=${from}&limit=${EVENTS_PAGE}`);
        found.push(...page.items);
        from = page.next === null ? null : Number(page.next);
      }
      return found;
    },
    post: (path, body) => plane.ask('POST', `${base}/${path}`, body === undefined ? {} : { body }),
    async until(instance, what, holds, deadlineMs = PATIENCE_MS) {
      let last: InstanceView | null = null;
      try {
        return await until(
          `${instance}: ${what}`,
          async () => {
            last = await fleet.get(instance);
            return holds(last) ? last : null;
          },
          deadlineMs,
        );
      } catch (error) {
        throw new Error(`${String(error)}; it stands so: ${JSON.stringify(last)}`, { cause: error });
      }
    },
    async running(instance) {
      const view = await fleet.until(instance, 'RUNNING', ({ phase }) => phase === 'RUNNING');
      const pid = pidOf(view);
      await until(`${instance} says that it is up`, async () =>
        (await fleet.logs(instance)).includes(`is up, pid ${pid}`),
      );
      return pid;
    },
    logs: async (instance, query = '') => (await plane.ask('GET', `${base}/instances/${instance}/logs${query}`)).text,
  };
  return fleet;
}

export function pidOf(view: InstanceView): number {
  const pid = view.resource?.['pid'];
  assert.equal(typeof pid, 'number', `${view.name} has no pid: ${JSON.stringify(view.resource)}`);
  return Number(pid);
}

/** To a process that is known, and to nobody else: pid 0 is one's own process group. */
export function send(pid: number | undefined, signal: NodeJS.Signals): void {
  assert.ok(pid !== undefined && pid > 1, `there is no process ${pid}`);
  process.kill(pid, signal);
}

/** Does it run? A zombie that nobody reaps does not. */
export function alive(pid: number | undefined): boolean {
  assert.ok(pid !== undefined && pid > 1, `there is no process ${pid}`);
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true; // no /proc here
  }
}

// ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What no further look can mend. */
class Fatal extends Error {
  override readonly name = 'Fatal';
}

/** What `look` found, once it finds something. It may throw meanwhile: a server that restarts does not answer. */
export async function until<T>(
  what: string,
  look: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  deadlineMs = PATIENCE_MS,
): Promise<T> {
  const giveUpAt = performance.now() + deadlineMs;
  for (;;) {
    let problem: Error | null = null;
    try {
      const found = await look();
      if (found !== null && found !== undefined && found !== false) return found;
    } catch (error) {
      if (error instanceof Fatal) throw error;
      problem = error instanceof Error ? error : new Error(JSON.stringify(error));
    }
    if (performance.now() >= giveUpAt) {
      throw new Error(`not within ${deadlineMs} ms: ${what}${problem === null ? '' : ` (${problem.message})`}`, {
        cause: problem,
      });
    }
    await pause(LOOK_EVERY_MS);
  }
}

// ── reading the log ─────────────────────────────────────────────────────────────────────────────────────────────────

type Data = { readonly [key: string]: Json };

export const dataOf = (event: EventView | undefined): Data => (event?.data ?? {}) as Data;

/** A field that holds words. */
export function wordsOf(event: EventView | undefined, field: string): string {
  const words = dataOf(event)[field];
  assert.ok(typeof words === 'string', `${field} of ${JSON.stringify(event)}`);
  return words;
}

export const ofType = (events: readonly EventView[], type: string, instance?: string): readonly EventView[] =>
  events.filter((event) => event.type === type && (instance === undefined || event.instance === instance));
