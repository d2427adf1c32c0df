/**
 * The doors that every request passes before anything is looked up: a control plane that runs commands must be safe from
 * the browser next to it (DESIGN §19).
 *
 *  1. DNS rebinding: only names that were configured are served; a name that merely resolves to us is refused.
 *  2. CSRF and agents' own pages (L75): a request that a page of another origin caused is refused, even of another port of
 *     this host; there are no CORS headers, so no other page reads an answer either.
 *  3. Tokens in URLs end up in logs and histories: they are refused, so that nobody gets used to them.
 */
import type { IncomingMessage } from 'node:http';
import { ALLOWED_HOSTS } from './limits.ts';
import { Problem } from './problem.ts';

const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Names under which tokens travel elsewhere. */
const TOKEN_KEYS: ReadonlySet<string> = new Set([
  'token',
  'access_token',
  'accesstoken',
  'auth',
  'authorization',
  'bearer',
  'api_key',
  'apikey',
  'key',
  'password',
  'secret',
]);

export const SECURITY_HEADERS: { readonly [name: string]: string } = {
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

/** Returns the check of one request; it throws the problem. `allowedHosts` are names, with a port or for any port. */
export function createGuard(allowedHosts: readonly string[]): (incoming: IncomingMessage, url: string) => void {
  if (allowedHosts.length > ALLOWED_HOSTS) throw new RangeError(`more than ${ALLOWED_HOSTS} allowedHosts`);
  const allowed: ReadonlySet<string> = new Set(allowedHosts.map((name) => name.toLowerCase()));
  return (incoming, url) => {
    const host = (incoming.headers.host ?? '').toLowerCase();
    const target = new URL(url);
    checkHost(host, incoming.socket.localPort, allowed);
    // An absolute request target (`GET http://other/ HTTP/1.1`) overrides the Host header in RFC 9112 §3.2.2.
    if (portless(target.host) !== portless(host)) throw foreignHost(target.host);
    checkOrigin(incoming, host);
    for (const key of target.searchParams.keys()) {
      if (TOKEN_KEYS.has(key.toLowerCase())) {
        throw new Problem(
          'token-in-url',
          `The query has "${key}". Send the token as "Authorization: Bearer <token>"; if this one was real, it is now in logs: replace it.`,
        );
      }
    }
  };
}

function checkHost(host: string, port: number | undefined, allowed: ReadonlySet<string>): void {
  const [name, hostPort] = splitHost(host);
  if (allowed.has(host) || allowed.has(name)) return;
  if (LOOPBACK_NAMES.has(name) && (hostPort ?? '80') === String(port)) return;
  throw foreignHost(host);
}

function foreignHost(host: string): Problem {
  return new Problem(
    'foreign-host',
    `"${host.slice(0, 255)}" is none of the names served here: localhost, 127.0.0.1 and [::1] with the listening port. Others are listed under allowedHosts in holdfast.yaml.`,
  );
}

function checkOrigin(incoming: IncomingMessage, host: string): void {
  const { origin } = incoming.headers;
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    throw new Problem(
      'foreign-origin',
      `A page of "${origin.slice(0, 255)}" asked for this; only pages that come from here may.`,
    );
  }
  // `same-site` is another port of this host, such as the wake proxy where agents serve their own pages (L75).
  const site = incoming.headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw new Problem(
      'foreign-origin',
      `A ${site.slice(0, 32)} page asked for this; only pages that come from here may.`,
    );
  }
}

function splitHost(host: string): readonly [name: string, port: string | null] {
  const found = /^(\[[0-9a-f:.]+\]|[^:]*)(?::(\d{1,5}))?$/.exec(host);
  return found === null ? ['', null] : [found[1] ?? '', found[2] ?? null];
}

/** `URL` leaves out a default port that the header may name. */
function portless(host: string): string {
  return host.replace(/:80$/, '');
}
