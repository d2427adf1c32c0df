/**
 * The HTTP face: `createApp` puts routes, doors and problems together; `listen` gives it a socket.
 *
 * Promises: whatever comes in, what goes out is an answer of the API or an RFC 9457 problem, with the security headers;
 * nothing that a request carries besides method, path and the token's *name* is logged.
 */
import { randomUUID } from 'node:crypto';
import { Hono } from 'hono';
import type { Clock } from '../ports/clock.ts';
import type { Control } from '../runtime/api.ts';
import { type Log, silentLog } from '../runtime/log.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { dispatch, type Env, type Shared, tell } from './dispatch.ts';
import { createGuard, SECURITY_HEADERS } from './guard.ts';
import { DEFAULT_LIMITS, type HttpLimits } from './limits.ts';
import { openApiDocument } from './openapi.ts';
import { Problem, problemResponse } from './problem.ts';
import { createBuckets, createSlots } from './rates.ts';
import type { Route } from './route.ts';
import { createSwift } from './swift.ts';
import { allRoutes } from './routes/index.ts';

export { listen, type Listening } from './listen.ts';

export interface AppOptions {
  readonly log?: Log;
  /** Names besides the loopback ones under which this server is asked, with a port or for any port. */
  readonly allowedHosts?: readonly string[];
  readonly limits?: Partial<HttpLimits>;
  readonly clock?: Clock;
}

export interface App {
  readonly hono: Hono<Env>;
  /** What goes past the router; `false`: it does not. */
  readonly swift: ReturnType<typeof createSwift>;
  readonly routes: readonly Route[];
  /** The OpenAPI 3.1 document. */
  readonly document: object;
  readonly log: Log;
  /** Ends streams and waits; requests that are being answered are finished. */
  close(): void;
  readonly closing: AbortSignal;
}

export function createApp(control: Control, options: AppOptions = {}): App {
  const log = options.log ?? silentLog;
  const clock = options.clock ?? systemClock;
  const limits: HttpLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const nowMs = (): number => clock.mono();
  const closing = new AbortController();
  const shared: Shared = {
    control,
    clock,
    log,
    limits,
    tokens: createBuckets(limits.perToken, 'requests of one token', nowMs),
    addresses: createBuckets(limits.perAddress, 'requests of one address', nowMs),
    failures: createBuckets(limits.failedAuth, 'wrong tokens of one address', nowMs),
    slots: createSlots(limits.longRequests, limits.longRequestsPerToken),
    closing: closing.signal,
  };

  const hono = new Hono<Env>();
  const guard = createGuard(options.allowedHosts ?? []);
  frame(hono, shared, guard);

  const documented: { document: object } = { document: {} };
  const routes = allRoutes(control, () => documented.document);
  for (const route of routes)
    hono.on(route.method.toUpperCase(), honoPath(route.path), (c) => dispatch(shared, route, c));
  refuseOtherMethods(hono, routes);
  hono.notFound((c) =>
    problemResponse(
      new Problem('not-found', `There is no ${c.req.path.slice(0, 255)} here; /openapi.json lists what there is.`),
    ),
  );
  documented.document = openApiDocument(routes, control.version);

  return {
    hono,
    swift: createSwift(shared, guard, routes),
    routes,
    document: documented.document,
    log,
    close: () => closing.abort(),
    closing: closing.signal,
  };
}

/** What surrounds every request: its id, the doors, problems for errors, security headers, one line in the log. */
function frame(hono: Hono<Env>, shared: Shared, guard: ReturnType<typeof createGuard>): void {
  hono.use('*', async (c, next) => {
    const began = shared.clock.mono();
    c.set('requestId', randomUUID());
    c.set('caller', null);
    try {
      guard(c.env.incoming, c.req.url);
      await next();
    } catch (error) {
      c.res = problemResponse(tell(shared.log, c.get('requestId'), error));
    }
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) c.res.headers.set(name, value);
    c.res.headers.set('X-Request-Id', c.get('requestId'));
    if (shared.closing.aborted) c.res.headers.set('Connection', 'close');
    const { status } = c.res;
    const line = {
      requestId: c.get('requestId'),
      method: c.req.method,
      path: c.req.path.slice(0, 512),
      status,
      ms: Math.round(shared.clock.mono() - began),
      token: c.get('caller')?.token.name ?? null,
    };
    if (status >= 500) shared.log.warn(line, 'answered');
    else if (c.req.method === 'GET' || c.req.method === 'HEAD') shared.log.debug(line, 'answered');
    else shared.log.info(line, 'answered');
  });
  // Inside the frame, so that what a handler throws still gets its headers and its line.
  hono.onError((error, c) => problemResponse(tell(shared.log, c.get('requestId'), error)));
}

function refuseOtherMethods(hono: Hono<Env>, routes: readonly Route[]): void {
  for (const path of new Set(routes.map((route) => route.path))) {
    const offered = routes.filter((route) => route.path === path).map((route) => route.method.toUpperCase());
    const allow = offered.sort().join(', ');
    hono.all(honoPath(path), (c) =>
      problemResponse(
        new Problem('method-not-allowed', `${c.req.method} is not offered here, only ${allow}.`, {
          headers: { Allow: allow },
        }),
      ),
    );
  }
}

/** /v1/fleets/{fleet} → /v1/fleets/:fleet */
function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}
