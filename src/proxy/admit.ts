/**
 * Who may, and where to. A token with the scope `operate` is needed unless the path is declared `expose: … auth: none`; no
 * cookie is ever one (L75). Whoever is refused learns nothing of what is there, and a store that cannot tell refuses (L71).
 */
import type { IncomingMessage } from 'node:http';
import type { ExposeSpec } from '../core/model.ts';
import type { TokenView } from '../runtime/api.ts';
import { withDeadline } from '../runtime/deadline.ts';
import { systemClock } from '../runtime/system-clock.ts';
import { addressOf, type Address } from './address.ts';
import { Answer } from './answer.ts';
import { exposureOf } from './exposure.ts';
import { hasTokenInUrl, isPlainlyFramed, presentedToken } from './headers.ts';
import { RETRY_AFTER_S, TOKEN_CHARS, TOKEN_CHECK_MS } from './limits.ts';
import type { Allowance } from './rates.ts';

export interface Gate {
  readonly allowedHosts: ReadonlySet<string>;
  readonly wrongTokens: Allowance;
  identify(token: string): Promise<TokenView | null>;
  exposed(fleet: string, instance: string): readonly ExposeSpec[];
}

export interface Admitted {
  readonly address: Address;
  /** null: the first one published. */
  readonly port: number | null;
}

/** Throws the `Answer` for whoever is not let through. */
export async function admit(gate: Gate, incoming: IncomingMessage): Promise<Admitted> {
  const url = incoming.url ?? '';
  const address = addressOf(url);
  checkHost(gate, incoming.headers.host ?? '');
  if (address === null) throw new Answer(404, 'this is the wake proxy: agents are at /i/{fleet}/{instance}/');
  if (address.authority !== null) checkHost(gate, address.authority);
  if (hasTokenInUrl(url))
    throw new Answer(
      400,
      'a token does not belong in a URL; send it as a header. If this one was real, it is now in logs: replace it',
    );
  if (!isPlainlyFramed(incoming.headers)) throw new Answer(501, 'of transfer codings only "chunked" is known here');
  const exposure = exposureOf(gate.exposed(address.fleet, address.instance), address);
  const admitted = { address, port: address.port ?? exposure?.port ?? null };
  if (exposure?.auth !== 'none') demand(await known(gate, incoming), address.fleet);
  return admitted;
}

async function known(gate: Gate, incoming: IncomingMessage): Promise<TokenView> {
  const token = presentedToken(incoming.headers);
  if (token === null) {
    throw unauthorized(
      gate,
      incoming,
      'send a token as "Authorization: Bearer hf_…", or as "Holdfast-Token" where the agent wants Authorization for itself',
    );
  }
  const view = token.length > TOKEN_CHARS ? null : await identified(gate, token);
  if (view === null) throw unauthorized(gate, incoming, 'the token is none of ours, or has expired');
  return view;
}

async function identified(gate: Gate, token: string): Promise<TokenView | null> {
  try {
    return await withDeadline(systemClock, TOKEN_CHECK_MS, 'the check of a token', () => gate.identify(token));
  } catch (error) {
    throw new Answer(503, 'tokens cannot be checked now', RETRY_AFTER_S, error);
  }
}

function unauthorized(gate: Gate, incoming: IncomingMessage, message: string): Answer {
  const seconds = gate.wrongTokens(incoming.socket.remoteAddress ?? '');
  return seconds === null ? new Answer(401, message) : new Answer(429, `too many tries without a valid token`, seconds);
}

function demand({ name, scope, fleets }: TokenView, fleet: string): void {
  if (scope === 'read')
    throw new Answer(403, `passing on traffic needs the scope "operate"; the token "${name}" has "read"`);
  if (fleets !== null && !fleets.includes(fleet))
    throw new Answer(403, `the token "${name}" is not for the fleet "${fleet}"`);
}

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Only names that are ours: a name that merely resolves to us (DNS rebinding) is refused. */
function checkHost({ allowedHosts }: Gate, given: string): void {
  const host = given.toLowerCase();
  const name = host.replace(/:\d{1,5}$/, '');
  if (LOOPBACK_NAMES.has(name) || allowedHosts.has(host) || allowedHosts.has(name)) return;
  throw new Answer(
    421,
    `"${name.slice(0, 100)}" is not a name of this proxy; add it to allowedHosts in holdfast.yaml if it should be`,
  );
}
