/**
 * A Holdfast that answers the shapes of DESIGN's appendix from a table, and remembers what it was asked. For tests of the
 * CLI only: it decides nothing.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { concerns } from '../../../src/cli/render/events.ts';
import type { ApplyResult, EventView, FleetView, InstanceView } from '../../../src/runtime/api.ts';

export const TOKEN = 'hf_test-token';

export interface Asked {
  readonly method: string;
  /** Path with query, decoded. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** What a route answers: JSON with status 200, or whatever it does to the response itself. */
export type Answer = (asked: Asked, response: ServerResponse) => unknown;

export interface FakeApi {
  readonly url: string;
  readonly asked: Asked[];
  /** `"GET /v1/fleets"` → its answer; the query is no part of the key. */
  readonly routes: Map<string, Answer>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Answered with another status than 200. */
export class Status {
  readonly status: number;
  readonly body: unknown;
  constructor(status: number, body: unknown) {
    this.status = status;
    this.body = body;
  }
}

/** The response was written by the route itself. */
export const WRITTEN = Symbol('written');

export function problem(status: number, detail: string, more: object = {}): Status {
  return new Status(status, {
    type: `urn:holdfast:problem:${status}`,
    title: 'No',
    status,
    detail,
    errors: [],
    ...more,
  });
}

export async function fakeApi(routes: { readonly [route: string]: Answer } = {}): Promise<FakeApi> {
  const asked: Asked[] = [];
  const table = new Map<string, Answer>([...Object.entries(standardRoutes()), ...Object.entries(routes)]);
  const server = createServer((request, response) => {
    void answer(request, response, table, asked);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    routes: table,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  table: Map<string, Answer>,
  asked: Asked[],
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const { method = '', url = '/' } = request;
  const path = decodeURIComponent(url);
  const entry = { method, path, headers: request.headers, body: Buffer.concat(chunks).toString('utf8') };
  asked.push(entry);
  const open = path === '/healthz' || path === '/readyz';
  const route = table.get(`${method} ${path.split('?')[0] ?? ''}`);
  const result =
    !open && request.headers.authorization !== `Bearer ${TOKEN}`
      ? problem(401, 'A valid token is needed')
      : route === undefined
        ? problem(404, `there is no ${path}`)
        : route(entry, response);
  if (result === WRITTEN) return;
  const status = result instanceof Status ? result.status : 200;
  const body = result instanceof Status ? result.body : result;
  response.writeHead(status, { 'content-type': status >= 400 ? 'application/problem+json' : 'application/json' });
  response.end(body === undefined ? '' : JSON.stringify(body));
}

export function instanceView(more: Partial<InstanceView> = {}): InstanceView {
  return {
    fleet: 'demo',
    name: 'scribe',
    uid: 'u-1',
    generation: 3,
    target: 'process',
    targetType: 'process',
    lifecycle: 'hot',
    labels: { customer: 'acme' },
    desired: 'running',
    phase: 'RUNNING',
    since: '2026-01-01T00:00:00.000Z',
    reason: { rule: 'running', text: 'It runs as declared.' },
    conditions: [
      { type: 'AgentLive', status: 'true', reason: 'heard', message: '', since: '2026-01-01T00:00:00.000Z' },
    ],
    resource: { ref: 'pid:4242', state: 'running', since: '2026-01-01T00:00:00.000Z', pid: 4242 },
    endpoints: { 8080: '127.0.0.1:49153' },
    operation: null,
    lastError: null,
    hold: null,
    nextLookAt: null,
    hashes: {
      infra: { declared: 'i1', applied: 'i1' },
      config: { declared: null, applied: null, observed: null, persisted: null },
    },
    heartbeat: null,
    plugins: [],
    restarts: { crashes: 0, planned: 0 },
    ...more,
  };
}

export function fleetView(more: Partial<FleetView> = {}): FleetView {
  return {
    fleet: 'demo',
    revision: 'r1',
    head: 20,
    pending: 0,
    phases: { RUNNING: 1 },
    errors: 0,
    holds: [],
    targets: [],
    rollout: null,
    lastTickAt: '2026-01-01T00:00:00.000Z',
    owner: { id: 'me', epoch: 1 },
    ...more,
  } as FleetView;
}

export function applyResult(more: Partial<ApplyResult> = {}): ApplyResult {
  return {
    dryRun: false,
    revision: 'r2',
    seq: 21,
    results: [{ name: 'scribe', result: 'created', effect: 'none', because: [], diff: [], note: null }],
    problems: [],
    ...more,
  };
}

export const EVENTS: readonly EventView[] = [
  {
    seq: 17,
    at: '2026-01-01T00:00:01.000Z',
    type: 'command.issued',
    instance: 'scribe',
    uid: 'u-1',
    data: { verb: 'restart' },
    by: { token: 'alice', via: 'cli', reason: 'memory' },
  },
  {
    seq: 18,
    at: '2026-01-01T00:00:02.000Z',
    type: 'tick.decided',
    data: {
      now: 1,
      logic: 1,
      actions: [{ instance: 'scribe', uid: 'u-1', type: 'restart', rule: 'restart-asked', facts: [17] }],
      transitions: [{ instance: 'scribe', uid: 'u-1', from: 'RUNNING', to: 'RECONCILING', rule: 'restart-asked' }],
      holds: [],
    },
  },
  {
    seq: 19,
    at: '2026-01-01T00:00:03.000Z',
    type: 'agent.reported',
    instance: 'other',
    uid: 'u-2',
    data: { report: 'silent' },
  },
  {
    seq: 20,
    at: '2026-01-01T00:00:04.000Z',
    type: 'flap.observed',
    instance: 'scribe',
    uid: 'u-1',
    data: {
      kind: 'process_exited',
      incarnation: null,
      exit: { code: 1, signal: null, oom: false, output: null },
      output: 'boom\nTypeError: no\n',
    },
  },
];

const WHY = {
  instance: 'scribe',
  target: 'docker',
  phaseText: 'it needs work, and none is in flight',
  since: '2026-01-01T00:00:00.000Z',
  operation: null,
  lastError: null,
  heldBy: null,
  action: null,
  phase: 'PENDING',
  rule: 'start',
  text: 'It should run and is stopped.',
  facts: [{ seq: 17, type: 'resource.observed', ageMs: 1200, text: 'stopped, exit 1' }],
  rejected: [{ rule: 'operating', because: 'no operation is in flight' }],
  hold: { reason: 'backoff', text: 'waits after 2 failures', until: '2026-01-01T00:10:00.000Z' },
  wouldChange: ['the backoff runs out'],
  nextLookAt: '2026-01-01T00:10:00.000Z',
};

const ORPHAN = { target: 'process', fleet: 'demo', instance: 'old', uid: 'u-9', ref: 'pid:9', state: 'running' };
const TOKEN_VIEW = {
  name: 'ci',
  scope: 'operate',
  fleets: ['demo'],
  createdAt: '2026-01-01T00:00:00.000Z',
  expiresAt: null,
};

export const REPLAY = {
  kind: 'replay',
  openLoop: false,
  from: 'a',
  to: 'b',
  fromSeq: 1,
  toSeq: 420,
  snapshotSeq: 0,
  events: 420,
  ticks: 33,
  logics: [1],
  quarantined: 0,
  actions: [],
  recorded: [],
  differences: [],
  next: null,
  counts: { computed: {}, recorded: {}, transitions: { computed: {}, recorded: {} }, differences: 0, unintended: 0 },
  phases: { RUNNING: 1 },
  decidedAtEnd: { actions: [], transitions: [], phases: { RUNNING: 1 } },
};

/** An answer that is told as it is made: frames of server-sent events. */
export const narrated =
  (...frames: readonly (readonly [event: string, data: unknown])[]): Answer =>
  (_asked, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(frames.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join(''));
    return WRITTEN;
  };

/** Everything about fleet `demo` with its one instance `scribe`. */
function standardRoutes(): { readonly [route: string]: Answer } {
  const fleet = '/v1/fleets/demo';
  const scribe = `${fleet}/instances/scribe`;
  const accepted = (): Status => new Status(202, { seq: 21, instance: 'scribe', phase: 'RECONCILING' });
  const asked = ({ path }: Asked): unknown =>
    path.includes('wait=')
      ? { seq: 21, instance: 'scribe', outcome: 'succeeded', phase: 'RUNNING', lastError: null, hold: null }
      : accepted();
  const verbs = ['reconcile', 'stop', 'resume', 'restart', 'wake', 'sleep'];
  return {
    'GET /healthz': () => ({ ok: true }),
    'GET /readyz': () => ({ ready: true, because: [] }),
    'GET /v1/fleets': () => ({ items: [fleetView()], next: null }),
    [`GET ${fleet}`]: () => fleetView(),
    [`PUT ${fleet}`]: ({ path }) => applyResult({ dryRun: path.includes('dryRun=true') }),
    [`GET ${fleet}/manifest`]: () => ({ version: 1, fleet: 'demo', instances: { scribe: { target: 'process' } } }),
    [`GET ${fleet}/instances`]: () => ({ items: [instanceView()], next: null }),
    [`GET ${scribe}`]: () => ({
      ...instanceView(),
      spec: { target: 'process', run: { command: ['node', 'agent.ts'] } },
    }),
    [`GET ${scribe}/why`]: () => WHY,
    [`GET ${scribe}/logs`]: (_asked, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' });
      response.end('hello\nworld\n');
      return WRITTEN;
    },
    ...Object.fromEntries(verbs.map((verb) => [`POST ${scribe}/${verb}`, asked])),
    [`DELETE ${scribe}`]: asked,
    [`POST ${fleet}/commands`]: ({ body }) => {
      const { dryRun, select } = JSON.parse(body) as { dryRun: boolean; select: { names?: string[] } };
      const results = (select.names ?? ['scribe']).map((instance) => ({
        instance,
        accepted: true,
        seq: dryRun ? null : 21,
        because: null,
      }));
      return { dryRun, results };
    },
    [`GET ${fleet}/events`]: ({ path }) => {
      const after = Number(/after=(\d+)/.exec(path)?.[1] ?? 0);
      const only = /instance=([^&]+)/.exec(path)?.[1];
      const items = EVENTS.filter((event) => event.seq > after && (only === undefined || concerns(event, only)));
      return { items, next: null };
    },
    [`POST ${fleet}/hold`]: () => ({ seq: 21, id: 'h-1' }),
    [`POST ${fleet}/release`]: () => ({ seq: 22, released: 1 }),
    [`POST ${fleet}/override`]: () => ({ seq: 23 }),
    [`POST ${fleet}/debug/reconcile-dry-run`]: () => ({
      now: '2026-01-01T00:00:00.000Z',
      head: 20,
      pendingFacts: 2,
      facts: [{ type: 'channel.up', instance: 'scribe', text: 'channel file is up' }],
      observed: [{ target: 'docker', items: 3, error: null }],
      actions: [{ instance: 'scribe', type: 'start', reason: { rule: 'start', text: 'It should run.' }, facts: [17] }],
      transitions: [{ instance: 'scribe', from: 'RUNNING', to: 'PENDING', rule: 'start' }],
      holds: [{ instance: 'scribe', reason: 'backoff', text: 'waits', until: null }],
    }),
    [`POST ${fleet}/debug/replay-events`]: narrated(['result', REPLAY]),
    [`GET ${fleet}/orphans`]: () => ({ items: [ORPHAN], next: null }),
    [`POST ${fleet}/orphans/prune`]: () => ({ items: [ORPHAN], next: null }),
    [`POST ${fleet}/instances/scribe/token`]: () =>
      new Status(201, { fleet: 'demo', instance: 'scribe', uid: 'u-1', token: 'hfi_demo.u-1.2.mac' }),
    [`GET ${fleet}/secrets`]: () => ({
      items: [{ name: 'llm', version: 3, storedAt: '2026-01-01T00:00:00.000Z', usedBy: ['scribe'], users: 1 }],
      next: null,
    }),
    [`PUT ${fleet}/secrets/llm`]: () => ({
      seq: 21,
      name: 'llm',
      version: 4,
      usedBy: ['scribe'],
      users: 1,
      note: null,
    }),
    [`DELETE ${fleet}/secrets/llm`]: () => new Status(204, undefined),
    'GET /v1/tokens': () => ({ items: [TOKEN_VIEW], next: null }),
    'POST /v1/tokens': () => new Status(201, { ...TOKEN_VIEW, token: 'hf_secret' }),
    'DELETE /v1/tokens/ci': () => new Status(204, undefined),
  };
}
