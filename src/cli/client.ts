/**
 * The HTTP API as typed calls (DESIGN §17). Each has a deadline, ends with the command's signal, and throws a problem of
 * the server as `ProblemFailure`, everything on the way there as `Unreachable`.
 *
 * Answers are trusted to have the shape that the API promises; anything that is not even JSON is not a Holdfast.
 */
import type {
  ApplyResult,
  BulkResult,
  CommandResult,
  DryRun,
  EventView,
  FleetView,
  InstanceView,
  Orphan,
  Page,
  Readiness,
  ReplayAsk,
  Selector,
  TokenView,
  WaitResult,
  Why,
} from '../runtime/api.ts';
import type { Verb } from '../core/events.ts';
import type { Json, JsonObject } from '../core/model.ts';
import { formatDuration } from '../core/units.ts';
import type { Endpoint } from './discover.ts';
import { ProblemFailure, Unreachable, type Problem } from './failure.ts';
import { exchange, openStream, translate, type Answer, type Exchange } from './http.ts';
import {
  APPLY_DEADLINE_MS,
  CALL_DEADLINE_MS,
  PAGE_ROWS,
  QUIET_MS,
  REOPEN_FIRST_MS,
  REOPEN_LAST_MS,
  REPLAY_DEADLINE_MS,
  WAIT_MARGIN_MS,
} from './limits.ts';
import { readFrames } from './sse.ts';

type Query = { readonly [name: string]: string | number | boolean | null | undefined };

interface Call {
  readonly query?: Query;
  readonly json?: Json;
  readonly yaml?: string;
  readonly deadlineMs?: number;
}

export interface InstancesAsk {
  readonly phase: string | null;
  readonly labels: { readonly [key: string]: string };
}

export type Client = ReturnType<typeof createClient>;

/** `delay` is how a watch waits before it opens again. */
export function createClient(
  endpoint: Endpoint,
  signal: AbortSignal,
  delay: (ms: number, signal: AbortSignal) => Promise<void>,
) {
  function ask(method: string, path: string, call: Call, more: { readonly [name: string]: string } = {}): Exchange {
    const url = new URL(path.slice(1), endpoint.url);
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value != null && value !== false) url.searchParams.set(name, String(value));
    }
    const body = call.yaml ?? (call.json === undefined ? null : JSON.stringify(call.json));
    const headers = {
      accept: 'application/json',
      ...(endpoint.token === null ? {} : { authorization: `Bearer ${endpoint.token}` }),
      ...(body === null ? {} : { 'content-type': call.yaml === undefined ? 'application/json' : 'application/yaml' }),
      ...more,
    };
    return { method, url, headers, body, deadlineMs: call.deadlineMs ?? CALL_DEADLINE_MS, signal };
  }

  async function call<T>(method: string, path: string, options: Call = {}): Promise<T> {
    const answer = await exchange(ask(method, path, options));
    if (answer.status >= 400) throw problemOf(answer, endpoint);
    if (answer.status === 204 || answer.text === '') return undefined as T;
    return parse<T>(answer, endpoint);
  }

  async function list<T>(path: string, query: Query = {}): Promise<readonly T[]> {
    const items: T[] = [];
    let cursor: string | null = null;
    do {
      const page: Page<T> = await call<Page<T>>('GET', path, { query: { ...query, limit: PAGE_ROWS, cursor } });
      items.push(...page.items);
      cursor = page.next;
    } while (cursor !== null);
    return items;
  }

  /** What the server waits for, and how long we wait for the server. */
  function waiting(waitMs: number | null): { query: Query; deadlineMs: number } {
    return waitMs === null
      ? { query: {}, deadlineMs: CALL_DEADLINE_MS }
      : { query: { wait: formatDuration(waitMs) }, deadlineMs: waitMs + WAIT_MARGIN_MS };
  }

  async function* watchOnce(fleet: string, after: number): AsyncGenerator<EventView> {
    const asked = ask('GET', `${fleetPath(fleet)}/watch`, {}, { accept: 'text/event-stream', 'last-event-id': String(after) });
    const { status, headers, body } = await openStream(asked, QUIET_MS);
    if (status >= 400) throw problemOf({ status, headers, text: await readAll(body) }, endpoint);
    try {
      for await (const frame of readFrames(body)) {
        // Frames without an id are the server's own notes; events have theirs.
        if (frame.id !== null) yield JSON.parse(frame.data) as EventView;
      }
    } catch (error) {
      throw translate(error, asked, null);
    } finally {
      body.destroy();
    }
  }

  return {
    endpoint,

    apply: (fleet: string, yaml: string, options: { dryRun: boolean; prune: number | null; replace: boolean }) =>
      call<ApplyResult>('PUT', fleetPath(fleet), { yaml, query: options, deadlineMs: APPLY_DEADLINE_MS }),
    fleets: () => list<FleetView>('/v1/fleets'),
    fleet: (fleet: string) => call<FleetView>('GET', fleetPath(fleet)),
    manifest: (fleet: string, revision: string | null) =>
      call<{ readonly revision: string; readonly manifest: Json }>('GET', `${fleetPath(fleet)}/manifest`, { query: { revision } }),

    instances: (fleet: string, { phase, labels }: InstancesAsk) =>
      list<InstanceView>(`${fleetPath(fleet)}/instances`, { phase, label: labelQuery(labels) }),
    instance: (fleet: string, name: string) => call<InstanceView>('GET', instancePath(fleet, name)),
    why: (fleet: string, name: string, at: string | null) =>
      call<Why>('GET', `${instancePath(fleet, name)}/why`, { query: { at } }),

    command: (fleet: string, name: string, verb: Verb, reason: string | null) =>
      call<CommandResult>('POST', `${instancePath(fleet, name)}/${verb}`, { json: reason === null ? {} : { reason } }),
    commandAndWait: (fleet: string, name: string, verb: Verb, reason: string | null, waitMs: number) =>
      call<WaitResult>('POST', `${instancePath(fleet, name)}/${verb}`, {
        json: reason === null ? {} : { reason },
        ...waiting(waitMs),
      }),
    delete: (fleet: string, name: string, options: { data: string | null; forget: boolean }) =>
      call<CommandResult>('DELETE', instancePath(fleet, name), { query: options }),
    deleteAndWait: (fleet: string, name: string, options: { data: string | null; forget: boolean }, waitMs: number) => {
      const { query, deadlineMs } = waiting(waitMs);
      return call<WaitResult>('DELETE', instancePath(fleet, name), { query: { ...options, ...query }, deadlineMs });
    },
    bulk: (fleet: string, verb: Verb, select: Selector, reason: string | null, dryRun: boolean) =>
      call<BulkResult>('POST', `${fleetPath(fleet)}/commands`, {
        json: { verb, select: select as Json, dryRun, ...(reason === null ? {} : { reason }) },
      }),

    hold: (fleet: string, body: JsonObject) =>
      call<{ readonly seq: number; readonly id: string }>('POST', `${fleetPath(fleet)}/hold`, { json: body }),
    release: (fleet: string, body: JsonObject) =>
      call<{ readonly seq: number; readonly released: number }>('POST', `${fleetPath(fleet)}/release`, { json: body }),
    override: (fleet: string, body: JsonObject) =>
      call<{ readonly seq: number }>('POST', `${fleetPath(fleet)}/override`, { json: body }),

    events: (fleet: string, query: { after?: number; from?: string; to?: number; instance?: string | null; limit: number }) =>
      call<Page<EventView>>('GET', `${fleetPath(fleet)}/events`, { query }),
    /** Every event after `after`, for ever: opened again wherever it broke off. Ends by throwing when the signal aborts. */
    async *watch(fleet: string, after: number, onCut: (error: unknown) => Promise<void>): AsyncGenerator<EventView> {
      let last = after;
      let pauseMs = REOPEN_FIRST_MS;
      for (;;) {
        try {
          for await (const event of watchOnce(fleet, last)) {
            if (event.seq <= last) continue;
            last = event.seq;
            pauseMs = REOPEN_FIRST_MS;
            yield event;
          }
          await onCut(null);
        } catch (error) {
          if (!(error instanceof Unreachable)) throw error;
          await onCut(error);
        }
        signal.throwIfAborted();
        await delay(pauseMs, signal);
        pauseMs = Math.min(2 * pauseMs, REOPEN_LAST_MS);
      }
    },
    async *logs(
      fleet: string,
      name: string,
      options: { follow: boolean; tail: number | null; previous: boolean },
    ): AsyncGenerator<Uint8Array> {
      const asked = ask('GET', `${instancePath(fleet, name)}/logs`, { query: options }, { accept: 'text/plain, application/problem+json' });
      const { status, headers, body } = await openStream(asked, null);
      if (status >= 400) throw problemOf({ status, headers, text: await readAll(body) }, endpoint);
      try {
        yield* body as AsyncIterable<Uint8Array>;
      } catch (error) {
        throw translate(error, asked, null);
      }
    },

    dryRun: (fleet: string) => call<DryRun>('POST', `${fleetPath(fleet)}/debug/reconcile-dry-run`, { json: {} }),
    replay: (fleet: string, body: Partial<ReplayAsk>) =>
      call<JsonObject>('POST', `${fleetPath(fleet)}/debug/replay-events`, {
        json: body as Json,
        deadlineMs: REPLAY_DEADLINE_MS,
      }),
    orphans: (fleet: string) => list<Orphan>(`${fleetPath(fleet)}/orphans`),
    pruneOrphans: (fleet: string, expect: number) =>
      call<Page<Orphan>>('DELETE', `${fleetPath(fleet)}/orphans`, { query: { expect } }),

    tokens: () => list<TokenView>('/v1/tokens'),
    createToken: (body: JsonObject) => call<TokenView & { readonly token: string }>('POST', '/v1/tokens', { json: body }),
    dropToken: (name: string) => call<void>('DELETE', `/v1/tokens/${encodeURIComponent(name)}`),

    healthz: () => exchange(ask('GET', '/healthz', {})),
    /** 200 or 503, both with the same shape. */
    async ready(): Promise<Readiness> {
      const answer = await exchange(ask('GET', '/readyz', {}));
      if (answer.status !== 200 && answer.status !== 503) throw problemOf(answer, endpoint);
      return parse<Readiness>(answer, endpoint);
    },
  };
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function fleetPath(fleet: string): string {
  return `/v1/fleets/${encodeURIComponent(fleet)}`;
}

function instancePath(fleet: string, name: string): string {
  return `${fleetPath(fleet)}/instances/${encodeURIComponent(name)}`;
}

/** `customer=acme,tier=gold`; null: every instance. */
function labelQuery(labels: { readonly [key: string]: string }): string | null {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? null : pairs.join(',');
}

function parse<T>(answer: Answer, endpoint: Endpoint): T {
  try {
    return JSON.parse(answer.text) as T;
  } catch {
    throw new Unreachable('no-holdfast', `What answers at ${endpoint.url.origin} is no Holdfast (it does not speak JSON); is HOLDFAST_URL right?`);
  }
}

/** The server's problem as it is; only where the CLI knows more (which token it sent) does it say more. */
function problemOf(answer: Answer, endpoint: Endpoint): Error {
  const problem = asProblem(answer.text);
  if (answer.status === 401) {
    const detail =
      endpoint.token === null
        ? `${endpoint.url.origin} wants a token: set HOLDFAST_TOKEN, or run this below the folder that \`holdfast up\` runs in.`
        : `${endpoint.url.origin} does not accept the token from ${endpoint.tokenFrom}: it was dropped, has expired, or belongs to another server.`;
    return new ProblemFailure({ type: 'about:blank', title: 'Unauthorized', ...problem, status: 401, detail });
  }
  if (problem !== null) return new ProblemFailure({ ...problem, status: answer.status });
  return new Unreachable(
    'no-holdfast',
    `${endpoint.url.origin} answers ${answer.status} without saying why; is it a Holdfast? HOLDFAST_URL or the endpoint file may be wrong.`,
  );
}

function asProblem(text: string): Problem | null {
  try {
    const value = JSON.parse(text) as Problem | null;
    return typeof value === 'object' && typeof value?.title === 'string' ? value : null;
  } catch {
    return null; // a proxy's page of HTML, for example: what it says is not for us
  }
}

async function readAll(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
