/**
 * Gives the app a socket. Promises: what keeps it from listening is said in one sentence that names the cure; slow, huge
 * or broken requests are ended with a problem; `close` lets what is being answered finish, for a bounded time.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener, RequestError } from '@hono/node-server';
import { wordsOf } from '../core/error-words.ts';
import {
  CHECK_CONNECTIONS_MS,
  CLOSE_GRACE_MS,
  CONNECTIONS,
  HEADER_BYTES,
  HEADERS_TIMEOUT_MS,
  KEEP_ALIVE_MS,
  REQUEST_TIMEOUT_MS,
} from './limits.ts';
import { SECURITY_HEADERS } from './guard.ts';
import { Problem, PROBLEM_TYPE, problemDocument, problemResponse } from './problem.ts';
import type { App } from './server.ts';

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

export interface Listening {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly server: Server;
  /** Ends streams, refuses new connections, waits at most `graceMs` for the rest. */
  close(graceMs?: number): Promise<void>;
}

export async function listen(app: App, { host, port }: ListenOptions): Promise<Listening> {
  const answer = getRequestListener((request, env) => app.hono.fetch(request, env), {
    errorHandler: (error) => {
      if (error instanceof RequestError) return framed(new Problem('bad-request', `${error.message}.`));
      app.log.error({ error: wordsOf(error), err: error }, 'a request failed outside of every handler');
      return framed(new Problem('internal', 'The request could not be handled; the log of the server says more.'));
    },
  });
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_CONNECTIONS_MS,
      maxHeaderSize: HEADER_BYTES,
      // Answered by us, with a problem.
      requireHostHeader: false,
    },
    (incoming, outgoing) => {
      if (!app.swift(incoming, outgoing)) void answer(incoming, outgoing);
    },
  );
  server.maxConnections = CONNECTIONS;
  server.on('clientError', refuseBroken);
  server.on('drop', () =>
    app.log.warn({ connections: CONNECTIONS }, 'a connection was refused: there are as many as there may be'),
  );

  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(cannotListen(error, host, port)));
    server.listen({ host, port, exclusive: true }, resolve);
  });
  server.removeAllListeners('error');
  server.on('error', (error) => app.log.error({ error: wordsOf(error), err: error }, 'the listening socket failed'));

  const address = server.address() as AddressInfo;
  const shown = address.address.includes(':') ? `[${address.address}]` : address.address;
  return {
    host: address.address,
    port: address.port,
    url: `http://${shown}:${address.port}`,
    server,
    close: (graceMs = CLOSE_GRACE_MS) => close(app, server, graceMs),
  };
}

async function close(app: App, server: Server, graceMs: number): Promise<void> {
  if (!server.listening) return;
  app.close();
  await new Promise<void>((resolve) => {
    const late = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(late);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const where = `${host}:${port}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new Error(
        `${where} is already in use, perhaps by another Holdfast; stop that one or choose another address with --listen.`,
        { cause: error },
      );
    case 'EACCES':
      return new Error(`This user may not listen on ${where}; choose a port from 1024 up with --listen.`, {
        cause: error,
      });
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new Error(`${host} is no address of this machine; choose one with --listen.`, { cause: error });
    default:
      return new Error(`Cannot listen on ${where}: ${wordsOf(error)}`, { cause: error });
  }
}

/** What node's parser gives up on has no request, hence no handler: the answer is written by hand. */
function refuseBroken(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const problem =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new Problem('headers-too-large', `Request line and headers have at most ${HEADER_BYTES} bytes.`)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new Problem('request-timeout', 'The request did not arrive in time.')
        : new Problem('bad-request', 'This is not HTTP as it is spoken here.');
  const document = problemDocument(problem);
  const body = `${JSON.stringify(document)}\n`;
  const head = [
    `HTTP/1.1 ${problem.status} ${String(document['title'])}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    ...Object.entries(SECURITY_HEADERS).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function framed(problem: Problem): Response {
  const response = problemResponse(problem);
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.headers.set(name, value);
  return response;
}
