/**
 * Headers on their way through. What speaks of this connection only (RFC 9110 §7.6.1) stays here, and so does everything of
 * ours: an agent never sees an operator's token or cookie.
 */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import type { Address } from './address.ts';

const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Carries our token where the agent wants `Authorization` for itself. */
export const TOKEN_HEADER = 'holdfast-token';
const OUR_COOKIE = /^\s*holdfast/i;
const OUR_BEARER = /^bearer +(hf_[\w-]+)\s*$/i;

/** Our token, wherever it travels. */
export function presentedToken(headers: IncomingHttpHeaders): string | null {
  const own = headers[TOKEN_HEADER];
  if (typeof own === 'string') return own.trim();
  return OUR_BEARER.exec(headers.authorization ?? '')?.[1] ?? null;
}

export function towardsAgent(incoming: IncomingMessage, address: Address, at: string): OutgoingHttpHeaders {
  const headers = endToEnd(incoming.headers);
  delete headers[TOKEN_HEADER];
  if (OUR_BEARER.test(incoming.headers.authorization ?? '')) delete headers.authorization;
  const cookies = (incoming.headers.cookie ?? '')
    .split(';')
    .filter((cookie) => cookie.trim() !== '' && !OUR_COOKIE.test(cookie));
  if (cookies.length > 0) headers.cookie = cookies.join(';').trim();
  else delete headers.cookie;
  headers.host = at;
  headers['x-forwarded-host'] = incoming.headers.host ?? '';
  headers['x-forwarded-proto'] = 'http';
  headers['x-forwarded-prefix'] = address.prefix;
  const before = incoming.headers['x-forwarded-for'];
  headers['x-forwarded-for'] = [before, incoming.socket.remoteAddress].filter(Boolean).join(', ');
  return headers;
}

/** Without what belongs to one connection, the headers that `Connection` names included. */
export function endToEnd(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.has(name) && !named.has(name)));
}
