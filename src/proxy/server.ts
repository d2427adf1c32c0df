/**
 * The wake proxy: traffic for agents, on a listener and an origin of its own, so that a page served by an agent is never a
 * page of the control plane (L75).
 *
 *  1. A request for a sleeper is held, the sleeper woken once for all of them (`runtime/wake`), the request forwarded when it
 *     is ready; beyond bounds and time the answer is 503 with `Retry-After`.
 *  2. A token with the scope `operate` is needed unless the path is declared `expose: … auth: none`.
 *  3. Bytes stream both ways as they come; nothing is buffered whole, nothing is sent twice.
 *  4. The instance counts as working while a request is open, and no longer: whatever ends a request closes its visit.
 *  5. An agent is not trusted: nothing that it answers can break this process, or reach its neighbours through this origin.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { wordsOf } from '../core/error-words.ts';
import type { ExposeSpec } from '../core/model.ts';
import type { TokenView } from '../runtime/api.ts';
import type { Log } from '../runtime/log.ts';
import { brokenAnswer } from './answer.ts';
import {
  CHECK_CONNECTIONS_MS,
  DEFAULT_LIMITS,
  HEADER_BYTES,
  HEADERS_TIMEOUT_MS,
  KEEP_ALIVE_MS,
  MAX_CONNECTIONS,
  PIPELINED,
  type ProxyLimits,
} from './limits.ts';
import { pass, type Passing } from './pass.ts';
import { createAllowance } from './rates.ts';
import { isWebSocket, upgrade } from './upgrade.ts';

export interface ProxyWorld {
  readonly wake: Passing['wake'];
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

export async function startProxy(
  world: ProxyWorld,
  { host, port }: { readonly host: string; readonly port: number },
  limits: ProxyLimits = DEFAULT_LIMITS,
): Promise<Proxy> {
  const closing = new AbortController();
  const passing: Passing = {
    ...world,
    limits,
    allowedHosts: new Set(world.allowedHosts.map((name) => name.toLowerCase())),
    wrongTokens: createAllowance(limits.wrongTokens, () => performance.now()),
    closing: closing.signal,
  };
  const server = createServer({
    maxHeaderSize: HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    // A request lasts as long as something moves (`idleMs`): uploads and streams have no other end.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
    // Refused by us, with a problem.
    requireHostHeader: false,
    shouldUpgradeCallback: isWebSocket,
  });
  server.maxConnections = MAX_CONNECTIONS;
  const switched = serve(server, passing);
  await listening(server, host, port);
  server.on('error', (error) =>
    world.log.error({ error: wordsOf(error), err: error }, 'the listening socket of the wake proxy failed'),
  );
  const at = server.address() as AddressInfo;
  const shown = at.address.includes(':') ? `[${at.address}]` : at.address;
  return {
    url: `http://${shown}:${at.port}`,
    port: at.port,
    close() {
      closing.abort();
      return closed(server, switched, limits.closeGraceMs);
    },
  };
}

/** Returns the connections that are no HTTP any more, which the server has forgotten. */
function serve(server: Server, passing: Passing): ReadonlySet<Duplex> {
  const open = new Map<Duplex, number>();
  const switched = new Set<Duplex>();
  const onRequest = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const { socket } = incoming;
    const before = open.get(socket) ?? 0;
    // Node reads on while answers are due, without a bound of its own.
    if (before >= PIPELINED) {
      socket.destroy();
      return;
    }
    open.set(socket, before + 1);
    void pass(passing, incoming, outgoing).finally(() => {
      const left = (open.get(socket) ?? 1) - 1;
      if (left > 0) open.set(socket, left);
      else open.delete(socket);
    });
  };
  server.on('connection', (socket) => socket.setMaxListeners(4 * PIPELINED));
  server.on('request', onRequest);
  server.on('checkContinue', onRequest);
  server.on('upgrade', (incoming, socket, head) => {
    switched.add(socket);
    socket.once('close', () => switched.delete(socket));
    // Node hands out what it accepted, a TCP connection.
    void upgrade(passing, incoming, socket as Socket, head);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // Behind a request that is being answered these bytes would be taken for a part of that answer.
    if (socket.writable && !open.has(socket)) socket.end(brokenAnswer(error));
    else socket.destroy();
  });
  return switched;
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new Error(
          `The wake proxy cannot listen on ${host}:${port}: ${wordsOf(error)}. Choose another address with --proxy-listen.`,
          { cause: error },
        ),
      ),
    );
    server.listen({ host, port, exclusive: true }, resolve);
  });
  server.removeAllListeners('error');
}

async function closed(server: Server, switched: ReadonlySet<Duplex>, graceMs: number): Promise<void> {
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    const late = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(late);
      resolve();
    });
    server.closeIdleConnections();
    for (const socket of switched) socket.destroy();
  });
}
