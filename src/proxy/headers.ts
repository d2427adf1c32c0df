/**
 * Headers on their way through.
 *
 *  1. What speaks of one connection (RFC 9110 §7.6.1) stays on it; how long a body is, is said anew for each side.
 *  2. An agent never sees a token or a cookie of ours, in whatever header it travels.
 *  3. What the agent is told of the client (`X-Forwarded-…`) is what we saw, or what a proxy beside us says.
 *  4. An agent's answer sets no cookie of ours and none for its neighbours, and takes no hold of the shared origin (L75).
 */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Address } from './address.ts';

const OF_ONE_CONNECTION: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Answered, or said anew, by us. */
const NOT_TOWARDS_AGENT: ReadonlySet<string> = new Set(['holdfast-token', 'expect', 'forwarded', 'host', 'cookie']);
const OF_PROXIES = /^(x-forwarded-|x-real-ip$)/;

/** Would hold for every agent behind this origin, or for the API under the same host name. */
const NOT_TOWARDS_CLIENT: ReadonlySet<string> = new Set([
  'alt-svc',
  'clear-site-data',
  'service-worker-allowed',
  'set-cookie',
  'strict-transport-security',
]);

/** Carries our token where the agent wants `Authorization` for itself. */
const TOKEN_HEADER = 'holdfast-token';
const OUR_TOKEN = /hf_[\w-]{43}/;
const OUR_BEARER = /^bearer +(hf_[\w-]+)\s*$/i;
const OUR_COOKIE = /^\s*(__(host|secure)-)?holdfast/i;

/** Our token, wherever it is accepted. */
export function presentedToken(headers: IncomingHttpHeaders): string | null {
  const own = headers[TOKEN_HEADER];
  if (typeof own === 'string') return own.trim();
  return OUR_BEARER.exec(headers.authorization ?? '')?.[1] ?? null;
}

/** Tokens in URLs end up in logs and histories, the agent's included. */
export function hasTokenInUrl(url: string): boolean {
  const plain = url.replace(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return OUR_TOKEN.test(plain);
}

export function towardsAgent(incoming: IncomingMessage, address: Address, at: string): OutgoingHttpHeaders {
  const { headers: seen, socket } = incoming;
  const headers: OutgoingHttpHeaders = {};
  const beside = isLoopback(socket.remoteAddress);
  for (const [name, value] of endToEnd(seen)) {
    // Some servers read `a_b` as `a-b`.
    const plain = name.replaceAll('_', '-');
    if (NOT_TOWARDS_AGENT.has(plain) || carriesOurs(plain, value)) continue;
    if (OF_PROXIES.test(plain) && !(beside && plain === name)) continue;
    headers[name] = value;
  }
  const cookies = (seen.cookie ?? '').split(';').filter((one) => one.trim() !== '' && !OUR_COOKIE.test(one));
  if (cookies.length > 0 && !OUR_TOKEN.test(cookies.join(';'))) headers['cookie'] = cookies.join(';').trim();
  headers['host'] = at;
  const before = beside ? seen['x-forwarded-for'] : undefined;
  headers['x-forwarded-for'] = [before, socket.remoteAddress].filter(Boolean).join(', ');
  headers['x-forwarded-host'] = (beside ? seen['x-forwarded-host'] : undefined) ?? seen.host ?? '';
  headers['x-forwarded-proto'] = beside && seen['x-forwarded-proto'] === 'https' ? 'https' : 'http';
  headers['x-forwarded-prefix'] = address.prefix;
  frame(headers, seen);
  return headers;
}

/** The agent's answer, as it may be passed on. */
export function towardsClient(seen: IncomingHttpHeaders, prefix: string): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of endToEnd(seen)) if (!NOT_TOWARDS_CLIENT.has(name)) headers[name] = value;
  const cookies = (seen['set-cookie'] ?? []).filter((one) => !OUR_COOKIE.test(one));
  if (cookies.length > 0) headers['set-cookie'] = cookies.map((cookie) => ownCookie(cookie, prefix));
  return headers;
}

/** Does a body come with it? */
export function hasBody({ 'transfer-encoding': coding, 'content-length': length }: IncomingHttpHeaders): boolean {
  return coding !== undefined || (length !== undefined && Number(length) > 0);
}

/** Any coding but `chunked` would be lost on the way, and the body with it. */
export function isPlainlyFramed({ 'transfer-encoding': coding }: IncomingHttpHeaders): boolean {
  return coding === undefined || coding.trim().toLowerCase() === 'chunked';
}

/**
 * Never left to what the client's headers may have removed: a body whose length nobody says would be read as the next request.
 */
function frame(headers: OutgoingHttpHeaders, seen: IncomingHttpHeaders): void {
  delete headers['content-length'];
  if (seen['transfer-encoding'] !== undefined) headers['transfer-encoding'] = 'chunked';
  else if (seen['content-length'] !== undefined) headers['content-length'] = seen['content-length'];
}

/** Without what belongs to one connection, the headers that `Connection` named included. */
function endToEnd(headers: IncomingHttpHeaders): [name: string, value: string | string[]][] {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  return Object.entries(headers).filter(
    (entry): entry is [string, string | string[]] =>
      entry[1] !== undefined && !OF_ONE_CONNECTION.has(entry[0]) && !named.has(entry[0]),
  );
}

function carriesOurs(name: string, value: string | string[]): boolean {
  const text = [value].flat().join(',');
  if (OUR_TOKEN.test(text)) return true;
  if (name !== 'authorization') return false;
  const basic = /^basic +([\w+/=-]+)/i.exec(text)?.[1];
  return (
    OUR_BEARER.test(text) || (basic !== undefined && OUR_TOKEN.test(Buffer.from(basic, 'base64').toString('latin1')))
  );
}

/** Sent back to this agent alone, and not to other ports of this host. */
function ownCookie(cookie: string, prefix: string): string {
  const [pair = '', ...attributes] = cookie.split(';');
  const path = attributes.map((one) => /^\s*path\s*=\s*(\/.*)$/i.exec(one)?.[1]?.trim()).findLast(Boolean);
  const rest = attributes.filter((one) => !/^\s*(path|domain)\s*(=|$)/i.test(one));
  // An agent that heeds X-Forwarded-Prefix has done it already.
  const scope = path === undefined || path === '/' ? '/' : path;
  const own = scope === prefix || scope.startsWith(`${prefix}/`) ? scope : `${prefix}${scope}`;
  return [pair, ...rest, ` Path=${own}`].join(';');
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(127\.|::1$|::ffff:127\.)/.test(address);
}
