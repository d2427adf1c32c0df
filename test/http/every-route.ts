/** Every route with whom it demands and a request that it grants: written by hand, so that a scope cannot change unseen. */
import type { Ask } from './server-under-test.ts';

export interface RouteCase {
  readonly method: string;
  /** As in the document. */
  readonly path: string;
  readonly scope: 'open' | 'agent' | 'read' | 'operate' | 'admin';
  readonly allFleets?: true;
  /** The fleet that the request is about; default `alpha`. */
  readonly fleet?: string;
  readonly query?: string;
  readonly body?: Ask['body'];
  readonly status?: number;
}

const instance = '/v1/fleets/{fleet}/instances/{name}';

export const EVERY_ROUTE: readonly RouteCase[] = [
  { method: 'GET', path: '/healthz', scope: 'open' },
  { method: 'GET', path: '/readyz', scope: 'open' },
  { method: 'GET', path: '/metrics', scope: 'read', allFleets: true },
  { method: 'GET', path: '/openapi.json', scope: 'open' },
  { method: 'GET', path: '/schema/manifest.json', scope: 'open' },
  { method: 'PUT', path: '/v1/fleets/{fleet}', scope: 'operate', body: 'version: 1\n' },
  { method: 'GET', path: '/v1/fleets', scope: 'read' },
  { method: 'GET', path: '/v1/fleets/{fleet}', scope: 'read' },
  { method: 'GET', path: '/v1/fleets/{fleet}/manifest', scope: 'read' },
  { method: 'DELETE', path: '/v1/fleets/{fleet}', scope: 'admin', fleet: 'empty', status: 204 },
  { method: 'POST', path: '/v1/fleets/{fleet}/hold', scope: 'operate', body: { reason: 'night' } },
  { method: 'POST', path: '/v1/fleets/{fleet}/release', scope: 'operate' },
  { method: 'POST', path: '/v1/fleets/{fleet}/override', scope: 'admin', body: { rollout: true } },
  { method: 'GET', path: '/v1/fleets/{fleet}/instances', scope: 'read' },
  { method: 'GET', path: instance, scope: 'read' },
  { method: 'GET', path: `${instance}/why`, scope: 'read' },
  { method: 'GET', path: `${instance}/logs`, scope: 'read' },
  { method: 'GET', path: `${instance}/stats`, scope: 'read' },
  { method: 'POST', path: `${instance}/exec`, scope: 'operate', body: { command: ['ls'] } },
  { method: 'DELETE', path: instance, scope: 'operate', status: 202 },
  { method: 'POST', path: `${instance}/reconcile`, scope: 'operate', status: 202 },
  { method: 'POST', path: `${instance}/stop`, scope: 'operate', status: 202 },
  { method: 'POST', path: `${instance}/resume`, scope: 'operate', status: 202 },
  { method: 'POST', path: `${instance}/restart`, scope: 'operate', status: 202 },
  { method: 'POST', path: `${instance}/wake`, scope: 'operate', status: 202 },
  { method: 'POST', path: `${instance}/sleep`, scope: 'operate', status: 409 },
  {
    method: 'POST',
    path: '/v1/fleets/{fleet}/commands',
    scope: 'operate',
    body: { verb: 'stop', select: {} },
    status: 202,
  },
  { method: 'GET', path: '/v1/fleets/{fleet}/events', scope: 'read' },
  { method: 'GET', path: '/v1/fleets/{fleet}/watch', scope: 'read' },
  { method: 'POST', path: '/v1/fleets/{fleet}/debug/reconcile-dry-run', scope: 'read' },
  { method: 'GET', path: '/v1/fleets/{fleet}/log', scope: 'read' },
  { method: 'POST', path: '/v1/fleets/{fleet}/debug/replay-events', scope: 'read', body: {} },
  { method: 'GET', path: '/v1/fleets/{fleet}/orphans', scope: 'read' },
  { method: 'GET', path: '/v1/fleets/{fleet}/volumes', scope: 'read' },
  { method: 'DELETE', path: '/v1/fleets/{fleet}/volumes/{volume}', scope: 'admin' },
  { method: 'POST', path: '/v1/fleets/{fleet}/orphans/prune', scope: 'admin', body: { expected: 1 } },
  { method: 'GET', path: '/v1/fleets/{fleet}/secrets', scope: 'read' },
  { method: 'PUT', path: '/v1/fleets/{fleet}/secrets/{name}', scope: 'operate', body: { value: 'sk-12345678' } },
  { method: 'DELETE', path: '/v1/fleets/{fleet}/secrets/{name}', scope: 'operate', status: 204 },
  { method: 'POST', path: `${instance}/token`, scope: 'operate', status: 201 },
  { method: 'POST', path: '/v1/heartbeat', scope: 'agent' },
  {
    method: 'POST',
    path: '/v1/tokens',
    scope: 'admin',
    allFleets: true,
    body: { name: 'ci', scope: 'read' },
    status: 201,
  },
  { method: 'GET', path: '/v1/tokens', scope: 'admin', allFleets: true },
  { method: 'GET', path: '/v1/log-level', scope: 'admin', allFleets: true },
  { method: 'PUT', path: '/v1/log-level', scope: 'admin', allFleets: true, body: { level: 'debug' } },
  { method: 'DELETE', path: '/v1/tokens/{name}', scope: 'admin', allFleets: true, status: 204 },
];

/** All but those for agents, whose tokens are of another kind (`agents.test.ts`). */
export const OPERATOR_ROUTES = EVERY_ROUTE.flatMap((route) =>
  route.scope === 'agent' ? [] : [{ ...route, scope: route.scope }],
);

/** The path of the granted request. */
export function pathOf(route: RouteCase): string {
  const name = route.path.startsWith('/v1/tokens') ? 'reader' : 'one';
  return route.path
    .replace('{fleet}', route.fleet ?? 'alpha')
    .replace('{name}', name)
    .replace('{volume}', 'holdfast-data');
}

export function titleOf(route: RouteCase): string {
  return `${route.method} ${route.path}`;
}
