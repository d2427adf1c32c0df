/**
 * The wake proxy: traffic for agents, on a listener and an origin of its own, so that a page served by an agent is never a
 * page of the control plane (L75).
 *
 *  1. A request for a sleeper is held, the sleeper woken once for all of them (`runtime/wake`), the request forwarded when it
 *     is ready; beyond bounds and time the answer is 503 with `Retry-After`.
 *  2. A token with the scope `operate` is needed unless the path is declared `expose: … auth: none`.
 *  3. Bytes stream both ways as they come; nothing is buffered whole, nothing is sent twice.
 *  4. The instance counts as working while a request is open, and no longer: whatever ends a request closes its visit.
 */
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream';
import type { ExposeSpec } from '../core/model.ts';
import type { TokenView } from '../runtime/api.ts';
import type { Log } from '../runtime/log.ts';
import { NotAwake, type Visit, type Wake } from '../runtime/wake.ts';
import { addressOf, type Address } from './address.ts';
import { connectTo } from './connect.ts';
import { endToEnd, presentedToken, towardsAgent } from './headers.ts';
import { CLOSE_GRACE_MS, HEADER_BYTES, HEADERS_TIMEOUT_MS, IDLE_MS, MAX_CONNECTIONS } from './limits.ts';

export interface ProxyWorld {
  readonly wake: Wake;
  readonly log: Log;
  readonly allowedHosts: readonly string[];
  identify(token: string): Promise<TokenView | null>;
  /** What the instance declares as exposed; empty for one that is not there. */
  exposed(fleet: string, instance: string): readonly ExposeSpec[];
}

export interface Proxy {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Said instead of forwarding. */
class Answer extends Error {
  readonly status: number;
  readonly retryAfterSeconds: number | null;
  constructor(status: number, message: string, retryAfterSeconds: number | null = null) {
    super(message);
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

const STATUS = { unknown: 404, stopped: 503, failed: 503, crowded: 503, timeout: 503, 'no-port': 502 } as const;

export async function startProxy(world: ProxyWorld, { host, port }: { host: string; port: number }): Promise<Proxy> {
  const server = createServer({ maxHeaderSize: HEADER_BYTES, headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: 0 });
  server.maxConnections = MAX_CONNECTIONS;
  server.on('request', (incoming, outgoing) => void pass(world, incoming, outgoing));
  server.on('upgrade', (incoming, socket, head) => void upgrade(world, incoming, socket, head));
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new Error(
          `The wake proxy cannot listen on ${host}:${port}: ${error.message}. Choose another address with --proxy-listen.`,
        ),
      ),
    );
    server.listen({ host, port, exclusive: true }, resolve);
  });
  const at = server.address() as AddressInfo;
  const shown = at.address.includes(':') ? `[${at.address}]` : at.address;
  return { url: `http://${shown}:${at.port}`, port: at.port, close: () => close(server) };
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    const late = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(late);
      resolve();
    });
    server.closeIdleConnections();
  });
}

// ── one request ─────────────────────────────────────────────────────────────────────────────────────────────────────

async function pass(world: ProxyWorld, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  outgoing.once('close', () => gone.abort());
  let visit: Visit | null = null;
  try {
    const address = await admit(world, incoming);
    visit = world.wake.visit(address.fleet, address.instance, portFor(world, address));
    const at = await visit.ready(gone.signal);
    await forward(incoming, outgoing, address, at, gone.signal);
  } catch (error) {
    refuse(world, outgoing, gone.signal, error);
  } finally {
    visit?.close();
  }
}

/** Resolves when the answer is through, or the connection is over. */
async function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  address: Address,
  at: string,
  signal: AbortSignal,
): Promise<void> {
  const socket = await connectTo(at, signal);
  await new Promise<void>((resolve, reject) => {
    const request = httpRequest({
      createConnection: () => socket,
      method: incoming.method,
      path: address.rest,
      headers: towardsAgent(incoming, address, at),
      setHost: false,
    });
    const end = (error?: Error | null): void => {
      socket.destroy();
      if (error) reject(error);
      else resolve();
    };
    request.setTimeout(IDLE_MS, () => request.destroy(new Error(`nothing moved for ${IDLE_MS / 60_000} min`)));
    request.on('error', end);
    request.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 502, response.statusMessage, endToEnd(response.headers));
      outgoing.flushHeaders();
      pipeline(response, outgoing, end);
    });
    signal.addEventListener('abort', () => end(), { once: true });
    pipeline(incoming, request, (error) => {
      if (error && !signal.aborted) end(error);
    });
  });
}

async function upgrade(world: ProxyWorld, incoming: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
  const gone = new AbortController();
  client.once('close', () => gone.abort());
  client.on('error', () => client.destroy());
  let visit: Visit | null = null;
  try {
    const address = await admit(world, incoming);
    visit = world.wake.visit(address.fleet, address.instance, portFor(world, address));
    const at = await visit.ready(gone.signal);
    const agent = await connectTo(at, gone.signal);
    const headers = {
      ...towardsAgent(incoming, address, at),
      connection: 'Upgrade',
      upgrade: incoming.headers.upgrade,
    };
    const lines = Object.entries(headers).flatMap(([name, value]) =>
      [value].flat().map((one) => `${name}: ${String(one)}`),
    );
    agent.write(`${incoming.method ?? 'GET'} ${address.rest} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    if (head.length > 0) agent.write(head);
    await joined(client, agent);
  } catch (error) {
    if (!gone.signal.aborted && client.writable) {
      const { status, message, retryAfterSeconds } = answerOf(error);
      const retry = retryAfterSeconds === null ? '' : `Retry-After: ${retryAfterSeconds}\r\n`;
      client.end(
        `HTTP/1.1 ${status} ${status === 503 ? 'Service Unavailable' : 'Refused'}\r\n${retry}Connection: close\r\nContent-Type: text/plain\r\n\r\n${message}\n`,
      );
    }
  } finally {
    visit?.close();
  }
}

/** Two streams as one, until either ends. */
function joined(client: Duplex, agent: Socket): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      client.destroy();
      agent.destroy();
      resolve();
    };
    agent.setTimeout(IDLE_MS, end);
    for (const stream of [client, agent]) stream.on('error', end).on('close', end);
    client.pipe(agent);
    agent.pipe(client);
  });
}

// ── who may, and where to ───────────────────────────────────────────────────────────────────────────────────────────

async function admit(world: ProxyWorld, incoming: IncomingMessage): Promise<Address> {
  checkHost(world, incoming);
  const address = addressOf(incoming.url ?? '');
  if (address === null) throw new Answer(404, 'this is the wake proxy: agents are at /i/{fleet}/{instance}/');
  if (exposedAt(world, address)?.auth === 'none') return address;
  const token = presentedToken(incoming.headers);
  if (token === null)
    throw new Answer(
      401,
      'send a token as "Authorization: Bearer hf_…", or as "Holdfast-Token" where the agent wants Authorization for itself',
    );
  const known = await world.identify(token);
  if (known === null) throw new Answer(401, 'the token is none of ours, or has expired');
  if (known.scope === 'read')
    throw new Answer(403, `passing on traffic needs the scope "operate"; the token "${known.name}" has "read"`);
  if (known.fleets !== null && !known.fleets.includes(address.fleet))
    throw new Answer(403, `the token "${known.name}" is not for the fleet "${address.fleet}"`);
  return address;
}

/** Only names that are ours: a name that merely resolves to us (DNS rebinding) is refused. */
function checkHost(world: ProxyWorld, incoming: IncomingMessage): void {
  const host = (incoming.headers.host ?? '').toLowerCase();
  const name = host.replace(/:\d+$/, '');
  if (
    ['localhost', '127.0.0.1', '[::1]'].includes(name) ||
    world.allowedHosts.includes(host) ||
    world.allowedHosts.includes(name)
  )
    return;
  throw new Answer(
    421,
    `"${name.slice(0, 100)}" is not a name of this proxy; add it to allowedHosts in holdfast.yaml if it should be`,
  );
}

/** The declared exposure that covers this path: the longest that does. */
function exposedAt(world: ProxyWorld, { fleet, instance, rest, port }: Address): ExposeSpec | null {
  const path = normalised(rest);
  if (path === null) return null;
  const covering = world
    .exposed(fleet, instance)
    .filter(
      (expose) =>
        (port === null || port === expose.port) &&
        (path === expose.path || path.startsWith(expose.path.endsWith('/') ? expose.path : `${expose.path}/`)),
    );
  return covering.sort((a, b) => b.path.length - a.path.length)[0] ?? null;
}

/** null for a path that an agent might read otherwise than we do (`..`, encoded slashes): such a one is never exempt. */
function normalised(rest: string): string | null {
  const path = rest.replace(/\?.*$/, '');
  return /(^|\/)\.{1,2}(\/|$)|%2e|%2f|%5c|\\|\/\//i.test(path) ? null : path;
}

const portFor = (world: ProxyWorld, address: Address): number | null =>
  address.port ?? exposedAt(world, address)?.port ?? null;

// ── saying no ───────────────────────────────────────────────────────────────────────────────────────────────────────

function answerOf(error: unknown): { status: number; message: string; retryAfterSeconds: number | null } {
  if (error instanceof Answer) return error;
  if (error instanceof NotAwake)
    return { status: STATUS[error.kind], message: error.message, retryAfterSeconds: error.retryAfterSeconds };
  const message = error instanceof Error ? error.message : String(error);
  return { status: 502, message: `the agent did not answer: ${message}`, retryAfterSeconds: 1 };
}

function refuse(world: ProxyWorld, outgoing: ServerResponse, gone: AbortSignal, error: unknown): void {
  if (gone.aborted) return;
  const { status, message, retryAfterSeconds } = answerOf(error);
  if (outgoing.headersSent) {
    // The answer has begun: cutting the connection is the only honest way to say that it is not whole.
    outgoing.destroy();
    return;
  }
  if (status >= 500) world.log.info({ status, message }, 'a request could not be passed on');
  outgoing.writeHead(status, {
    'content-type': 'application/problem+json',
    ...(retryAfterSeconds !== null && { 'retry-after': String(retryAfterSeconds) }),
    ...(status === 401 && { 'www-authenticate': 'Bearer realm="holdfast"' }),
    connection: 'close',
  });
  outgoing.end(`${JSON.stringify({ type: 'about:blank', title: 'Not passed on', status, detail: message })}\n`);
}
