/**
 * One request through one route: who asks → may they → what do they say → the handler, under a deadline → the answer.
 *
 * Promises: authorisation comes before any look at the input; an accepted command goes on whatever the client does (L35);
 * a client never waits for ever; every place taken by a long request is given back.
 */
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';
import { wordsOf } from '../core/error-words.ts';
import type { Clock } from '../ports/clock.ts';
import type { Control } from '../runtime/api.ts';
import { DeadlineError, withDeadline } from '../runtime/deadline.ts';
import type { Log } from '../runtime/log.ts';
import { type Caller, demand, identify } from './auth.ts';
import { readInput } from './input.ts';
import type { HttpLimits } from './limits.ts';
import { internalProblem, Problem, problemOf, unavailable } from './problem.ts';
import type { Buckets, Slots } from './rates.ts';
import type { Answer, JsonAnswer, RawAsk, Route } from './route.ts';
import { swiftAsk } from './swift-ask.ts';
import { flow } from './stream.ts';

export interface Env {
  Bindings: HttpBindings;
  Variables: { requestId: string; caller: Caller | null };
}

/** What all requests of one app share. */
export interface Shared {
  readonly control: Control;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: HttpLimits;
  readonly tokens: Buckets;
  readonly addresses: Buckets;
  readonly failures: Buckets;
  readonly slots: Slots;
  /** Aborts when the server closes. */
  readonly closing: AbortSignal;
}

export async function dispatch(shared: Shared, route: Route, c: Context<Env>): Promise<Response> {
  if (c.req.method === 'HEAD' && route.streams === true) {
    throw new Problem('method-not-allowed', 'A stream has no HEAD.', {
      headers: { Allow: route.method.toUpperCase() },
    });
  }
  if (route.swift !== undefined) return jsonResponse(await route.swift(swiftAsk(shared, c.env.incoming)));
  const caller = await admit(shared, route, c);
  c.set('caller', caller);
  const { params, query, body } = await readInput(route, c.req.raw, c.req.param());
  const lastsMs = route.lasts(query);
  const release = lastsMs === null ? () => undefined : shared.slots.take(caller?.token.name ?? addressOf(c));
  const life = lifeOf(c, shared.closing);
  let streaming = false;
  try {
    const ask: RawAsk = {
      params,
      query,
      body,
      token: caller?.token ?? null,
      by: (reason) => ({ token: caller?.token.name ?? '', via: 'http', ...(reason === undefined ? {} : { reason }) }),
      header: (name) => c.req.header(name),
      signal: life.signal,
    };
    const answer = await underDeadline(shared, shared.limits.handlerMs + (lastsMs ?? 0), c, () => route.handle(ask));
    streaming = answer.kind === 'stream';
    return respond(shared, c, answer, caller, life, release);
  } finally {
    if (!streaming) {
      release();
      life.abort();
    }
  }
}

function jsonResponse({ status, body, headers }: JsonAnswer): Response {
  return new Response(`${JSON.stringify(body)}\n`, {
    status,
    headers: { 'Content-Type': 'application/json', ...headers },
  });
}

function addressOf(c: Context<Env>): string {
  return c.env.incoming.socket.remoteAddress ?? 'unknown';
}

/** The problem to tell; what nobody foresaw is logged under the request's id. */
export function tell(log: Log, requestId: string, error: unknown): Problem {
  const known = problemOf(error);
  if (known !== null) return known;
  log.error({ requestId, error: wordsOf(error), err: error }, 'a request failed in a way that nobody foresaw');
  return internalProblem(requestId);
}

async function admit(shared: Shared, route: Route, c: Context<Env>): Promise<Caller | null> {
  if (route.scope === 'agent') throw new Error(`${route.path} is for agents, and has to be swift`);
  if (route.scope === 'open') {
    if (route.uncounted !== true) shared.addresses.take(addressOf(c));
    return null;
  }
  const header = c.req.header('authorization') ?? null;
  const caller = await underDeadline(shared, shared.limits.handlerMs, c, () =>
    identify(shared.control, header, addressOf(c), shared.failures),
  );
  shared.tokens.take(caller.token.name);
  demand(caller, { scope: route.scope, fleet: c.req.param('fleet') ?? null, allFleets: route.allFleets === true });
  return caller;
}

/** Aborts with the client or the server. Listeners go when it has ended, so that `closing` does not collect them. */
function lifeOf(c: Context<Env>, closing: AbortSignal): AbortController {
  const life = new AbortController();
  const end = (): void => life.abort();
  const client = c.req.raw.signal;
  for (const signal of [client, closing]) {
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true, signal: life.signal });
  }
  return life;
}

async function underDeadline<T>(shared: Shared, ms: number, c: Context<Env>, work: () => Promise<T>): Promise<T> {
  let late = false;
  try {
    return await withDeadline(shared.clock, ms, `${c.req.method} ${c.req.path}`, async () => {
      try {
        return await work();
      } catch (error) {
        if (late)
          shared.log.warn(
            { requestId: c.get('requestId'), error: wordsOf(error), err: error },
            'a handler failed after its client was told that it takes too long',
          );
        throw error;
      }
    });
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    late = true;
    shared.log.warn({ requestId: c.get('requestId'), ms }, 'a handler had no answer in time');
    throw unavailable(
      `There was no answer within ${ms} ms. What was asked goes on and may still take effect: look before asking again.`,
    );
  }
}

function respond(
  shared: Shared,
  c: Context<Env>,
  answer: Answer,
  caller: Caller | null,
  life: AbortController,
  release: () => void,
): Response {
  switch (answer.kind) {
    case 'json':
      return jsonResponse(answer);
    case 'text':
      return new Response(answer.text, { headers: { 'Content-Type': answer.type } });
    case 'empty':
      return new Response(null, { status: 204 });
    case 'stream': {
      const requestId = c.get('requestId');
      const stream = flow(answer.source, {
        clock: shared.clock,
        beatMs: shared.limits.beatMs,
        life,
        allowed: async () => caller === null || (await shared.control.identify(caller.presented)) !== null,
        problem: (error) => tell(shared.log, requestId, error),
        cut: () => c.env.outgoing.destroy(),
        ended: () => {
          release();
          shared.log.debug({ requestId }, 'a stream ended');
        },
      });
      return new Response(stream, { headers: { 'Content-Type': answer.type, 'X-Accel-Buffering': 'no' } });
    }
  }
}
