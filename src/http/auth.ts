/**
 * Who asks, and whether they may: `Authorization: Bearer`, scopes read < operate < admin, and the fleets of a token.
 *
 * Promises: no token, a wrong one and a store that cannot tell are all refused (L71); a refusal names what is missing; what
 * is refused for its fleet is refused whether or not that fleet exists.
 */
import type { Control, TokenView } from '../runtime/api.ts';
import { TOKEN_CHARS } from './limits.ts';
import { Problem } from './problem.ts';
import type { Buckets } from './rates.ts';

export type Scope = TokenView['scope'];

const RANK: { readonly [S in Scope]: number } = { read: 0, operate: 1, admin: 2 };

export interface Caller {
  readonly token: TokenView;
  /** The presented token, kept only to ask again while a stream lasts. Never logged. */
  readonly presented: string;
}

/** What a route demands. `fleet`: the one in the path; null: the route is about all of them. */
export interface Demand {
  readonly scope: Scope;
  readonly fleet: string | null;
  /** Its answer spans fleets: a token for some of them is refused. */
  readonly allFleets: boolean;
}

/** Asks first, counts later: only wrong tokens use up the allowance for wrong tokens. */
export async function identify(
  control: Control,
  header: string | null,
  address: string,
  failures: Buckets,
): Promise<Caller> {
  if (header === null) {
    failures.take(address);
    throw unauthorized('Send a token as "Authorization: Bearer <token>".', 'Bearer realm="holdfast"');
  }
  const presented = /^bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(header)?.[1];
  const token = presented === undefined || presented.length > TOKEN_CHARS ? null : await control.identify(presented);
  if (token === null || presented === undefined) {
    failures.take(address);
    throw unauthorized('The token is none of ours, or has expired.', 'Bearer realm="holdfast", error="invalid_token"');
  }
  return { token, presented };
}

export function demand(caller: Caller, wanted: Demand): void {
  const { name, scope, fleets } = caller.token;
  if (RANK[scope] < RANK[wanted.scope]) {
    throw forbidden(`This needs the scope "${wanted.scope}"; the token "${name}" has "${scope}".`, wanted.scope);
  }
  if (fleets === null) return;
  if (wanted.allFleets)
    throw forbidden(`This is about all fleets; the token "${name}" is only for some.`, wanted.scope);
  if (wanted.fleet !== null && !fleets.includes(wanted.fleet)) {
    throw forbidden(`The token "${name}" is not for the fleet "${wanted.fleet.slice(0, 63)}".`, wanted.scope);
  }
}

export function mayFleet(token: TokenView, fleet: string): boolean {
  return token.fleets === null || token.fleets.includes(fleet);
}

function unauthorized(detail: string, challenge: string): Problem {
  return new Problem('unauthorized', detail, { headers: { 'WWW-Authenticate': challenge } });
}

function forbidden(detail: string, scope: Scope): Problem {
  return new Problem('forbidden', detail, {
    headers: { 'WWW-Authenticate': `Bearer realm="holdfast", error="insufficient_scope", scope="${scope}"` },
  });
}
