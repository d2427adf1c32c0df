/**
 * The HTTP API as typed calls (DESIGN §17). Each has a deadline, ends with the command's signal, and throws a problem of
 * the server as `ProblemFailure`, everything on the way there as `Unreachable`.
 */
import type {
  AgentToken,
  ApplyResult,
  BulkResult,
  CommandResult,
  DryRun,
  EventView,
  ExecResult,
  FleetView,
  InstanceView,
  LogLevelView,
  Orphan,
  SecretInfo,
  SecretResult,
  Stats,
  Volume,
  Page,
  Readiness,
  ReplayProgress,
  Selector,
  TokenView,
  WaitResult,
  Why,
} from '../runtime/api.ts';
import type { Verb } from '../core/events.ts';
import type { Json, JsonObject } from '../core/model.ts';
import { formatDuration } from '../core/units.ts';
import type { Endpoint } from './discover.ts';
import {
  APPLY_DEADLINE_MS,
  CALL_DEADLINE_MS,
  OBSERVE_DEADLINE_MS,
  PAGE_ROWS,
  QUIET_MS,
  WAIT_MARGIN_MS,
} from './limits.ts';
import { narratedReplay, type ReplayBody } from './replaying.ts';
import { createTransport, parse, problemOf, type Query } from './transport.ts';
import { watchEvents } from './watch.ts';

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
  const transport = createTransport(endpoint, signal);
  const { call, list, stream } = transport;

  return {
    endpoint,

    apply: (fleet: string, yaml: string, options: { dryRun: boolean; prune: number | null; replace: boolean }) =>
      call<ApplyResult>('PUT', fleetPath(fleet), { yaml, query: options, deadlineMs: APPLY_DEADLINE_MS }),
    fleets: () => list<FleetView>('/v1/fleets'),
    fleet: (fleet: string) => call<FleetView>('GET', fleetPath(fleet)),
    manifest: (fleet: string, revision: string | null) =>
      call<JsonObject>('GET', `${fleetPath(fleet)}/manifest`, { query: { revision } }),

    instances: (fleet: string, { phase, labels }: InstancesAsk) =>
      list<InstanceView>(`${fleetPath(fleet)}/instances`, { phase, label: labelQuery(labels), limit: PAGE_ROWS }),
    instance: (fleet: string, name: string) => call<InstanceView>('GET', instancePath(fleet, name)),
    why: (fleet: string, name: string, at: string | null) =>
      call<Why>('GET', `${instancePath(fleet, name)}/why`, { query: { at } }),

    command: (fleet: string, name: string, verb: Verb, reason: string | null) =>
      call<CommandResult>('POST', `${instancePath(fleet, name)}/${verb}`, { json: reason === null ? {} : { reason } }),
    commandAndWait: (fleet: string, name: string, verb: Verb, reason: string | null, waitMs: number) =>
      call<WaitResult | CommandResult>('POST', `${instancePath(fleet, name)}/${verb}`, {
        json: reason === null ? {} : { reason },
        ...waiting(waitMs),
      }),
    delete: (fleet: string, name: string, options: { data: string | null; forget: boolean }) =>
      call<CommandResult>('DELETE', instancePath(fleet, name), { query: options }),
    deleteAndWait: (fleet: string, name: string, options: { data: string | null; forget: boolean }, waitMs: number) => {
      const { query, deadlineMs } = waiting(waitMs);
      return call<WaitResult | CommandResult>('DELETE', instancePath(fleet, name), {
        query: { ...options, ...query },
        deadlineMs,
      });
    },
    bulk: (fleet: string, verb: Verb, select: Selector, reason: string | null, dryRun: boolean) =>
      call<BulkResult>('POST', `${fleetPath(fleet)}/commands`, {
        json: { verb, select: select as Json, dryRun, ...(reason === null ? {} : { reason }) },
      }),

    renewAgentToken: (fleet: string, name: string, reason: string | null) =>
      call<AgentToken>('POST', `${instancePath(fleet, name)}/token`, { json: reason === null ? {} : { reason } }),

    hold: (fleet: string, body: JsonObject) =>
      call<{ readonly seq: number; readonly id: string }>('POST', `${fleetPath(fleet)}/hold`, { json: body }),
    release: (fleet: string, body: JsonObject) =>
      call<{ readonly seq: number; readonly released: number }>('POST', `${fleetPath(fleet)}/release`, { json: body }),
    override: (fleet: string, body: JsonObject) =>
      call<{ readonly seq: number }>('POST', `${fleetPath(fleet)}/override`, { json: body }),

    events: (
      fleet: string,
      query: { after?: number; from?: string; to?: number; instance?: string | null; limit: number },
    ) => call<Page<EventView>>('GET', `${fleetPath(fleet)}/events`, { query }),
    /** Every event after `after`, for ever: opened again wherever it broke off. Ends by throwing when the signal aborts. */
    watch: (fleet: string, after: number, onCut: () => Promise<void>, until: AbortSignal = signal) =>
      watchEvents(transport, `${fleetPath(fleet)}/watch`, { after, onCut, until, delay }),
    logs: (fleet: string, name: string, query: { follow: boolean; tail: number | null; previous: boolean }) =>
      stream(`${instancePath(fleet, name)}/logs`, { query, headers: { accept: 'text/plain' } }, null),

    stats: (fleet: string, name: string) => call<Stats>('GET', `${instancePath(fleet, name)}/stats`),
    exec: (fleet: string, name: string, command: readonly string[], reason: string | null, timeoutMs: number) =>
      call<ExecResult>('POST', `${instancePath(fleet, name)}/exec`, {
        json: reason === null ? { command } : { command, reason },
        query: { timeout: formatDuration(timeoutMs) },
        deadlineMs: timeoutMs + WAIT_MARGIN_MS,
      }),

    dryRun: (fleet: string, observe: boolean) =>
      call<DryRun>('POST', `${fleetPath(fleet)}/debug/reconcile-dry-run`, {
        json: observe ? { observe } : {},
        deadlineMs: OBSERVE_DEADLINE_MS,
      }),
    replay: (fleet: string, body: ReplayBody, tell: (progress: ReplayProgress) => Promise<void>) =>
      narratedReplay(transport, `${fleetPath(fleet)}/debug/replay-events`, body, tell),
    secrets: (fleet: string) => list<SecretInfo>(`${fleetPath(fleet)}/secrets`),
    putSecret: (fleet: string, name: string, value: string) =>
      call<SecretResult>('PUT', `${fleetPath(fleet)}/secrets/${encodeURIComponent(name)}`, { json: { value } }),
    deleteSecret: (fleet: string, name: string) =>
      call<undefined>('DELETE', `${fleetPath(fleet)}/secrets/${encodeURIComponent(name)}`),
    exportLog: (fleet: string, from: string | null) =>
      stream(`${fleetPath(fleet)}/log`, { query: { from }, headers: { accept: 'application/x-ndjson' } }, QUIET_MS),
    volumes: (fleet: string) => list<Volume>(`${fleetPath(fleet)}/volumes`),
    removeVolume: (fleet: string, name: string) =>
      call<Volume>('DELETE', `${fleetPath(fleet)}/volumes/${encodeURIComponent(name)}`),
    orphans: (fleet: string) => list<Orphan>(`${fleetPath(fleet)}/orphans`),
    pruneOrphans: (fleet: string, expected: number) =>
      call<Page<Orphan>>('POST', `${fleetPath(fleet)}/orphans/prune`, { json: { expected } }),

    tokens: () => list<TokenView>('/v1/tokens'),
    createToken: (body: JsonObject) =>
      call<TokenView & { readonly token: string }>('POST', '/v1/tokens', { json: body }),
    dropToken: (name: string) => call<void>('DELETE', `/v1/tokens/${encodeURIComponent(name)}`),

    logLevel: () => call<LogLevelView>('GET', '/v1/log-level'),
    setLogLevel: (level: string) => call<LogLevelView>('PUT', '/v1/log-level', { json: { level } }),

    healthz: () => transport.exchange('GET', '/healthz'),
    /** 200 or 503, both with the same shape. */
    async ready(): Promise<Readiness> {
      const answer = await transport.exchange('GET', '/readyz');
      if (answer.status !== 200 && answer.status !== 503) throw problemOf(answer, endpoint);
      return parse(answer, endpoint) as Readiness;
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

function labelQuery(labels: { readonly [key: string]: string }): readonly string[] {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`);
}

/** What the server waits for, and how long we wait for the server. */
function waiting(waitMs: number | null): { readonly query: Query; readonly deadlineMs: number } {
  return waitMs === null
    ? { query: {}, deadlineMs: CALL_DEADLINE_MS }
    : { query: { wait: formatDuration(waitMs) }, deadlineMs: waitMs + WAIT_MARGIN_MS };
}
