/**
 * The real proxy on a free loopback port, in front of an agent that the test writes (an HTTP server, or a TCP server that may
 * say anything), with a door that only counts: every visit opened must be closed, once.
 *
 * `raw` speaks to it byte by byte, since what is tested here is what no well-behaved client would send.
 */
import assert from 'node:assert/strict';
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect, createServer as createTcp, type Server as TcpServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { ExposeSpec } from '../../src/core/model.ts';
import { DEFAULT_LIMITS, type ProxyLimits } from '../../src/proxy/limits.ts';
import { startProxy } from '../../src/proxy/server.ts';
import type { TokenView } from '../../src/runtime/api.ts';
import type { Connect } from '../../src/runtime/wake.ts';
import { until } from '../support/e2e.ts';

export const TOKEN = `hf_${'a'.repeat(43)}`;
export const READER = `hf_${'r'.repeat(43)}`;
export const ELSEWHERE = `hf_${'e'.repeat(43)}`;
const TOKENS: { readonly [token: string]: Pick<TokenView, 'name' | 'scope' | 'fleets'> } = {
  [TOKEN]: { name: 'ops', scope: 'operate', fleets: null },
  [READER]: { name: 'reader', scope: 'read', fleets: null },
  [ELSEWHERE]: { name: 'elsewhere', scope: 'operate', fleets: ['other'] },
};
const TIMES = { createdAt: '2026-01-01T00:00:00.000Z', expiresAt: null };
const PATIENCE_MS = 10_000;

export interface Options {
  readonly exposed?: readonly ExposeSpec[];
  readonly limits?: Partial<ProxyLimits>;
  readonly allowedHosts?: readonly string[];
  readonly identify?: (token: string) => Promise<TokenView | null>;
  /** Awaited by every visit before it connects. */
  readonly ready?: (signal: AbortSignal) => Promise<void>;
}

export interface Subject {
  readonly port: number;
  readonly url: string;
  /** Where the agent listens. */
  readonly at: string;
  readonly visits: { opened: number; closed: number; readonly ports: (number | null)[] };
  readonly logged: readonly { readonly fields: object; readonly message: string }[];
  /** Sends this as it is; what comes back, until the connection is closed or `enough`. */
  raw(text: string, enough?: (answer: string) => boolean): Promise<string>;
  /** A connection of the test's own. */
  dial(): Socket;
  /** GET and the like with a valid token, answered whole. */
  ask(path: string, how?: Ask): Promise<Answer>;
  /** Until every visit is closed. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export interface Ask {
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string | readonly string[] };
  readonly body?: string | Buffer;
  /** null: none. */
  readonly token?: string | null;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

export async function startSubject(t: TestContext, agent: Server | TcpServer, options: Options = {}): Promise<Subject> {
  const at = await listen(t, agent);
  const visits = { opened: 0, closed: 0, ports: [] as (number | null)[] };
  const logged: { fields: object; message: string }[] = [];
  const note = (fields: object, message: string): void => void logged.push({ fields, message });
  const proxy = await startProxy(
    {
      wake: {
        visit(_fleet, _instance, port) {
          visits.opened += 1;
          visits.ports.push(port);
          return {
            async reach<T>(to: Connect<T>, signal: AbortSignal) {
              await options.ready?.(signal);
              return await to(at, false, signal);
            },
            close: () => void (visits.closed += 1),
          };
        },
      },
      log: { debug: note, info: note, warn: note, error: note },
      allowedHosts: options.allowedHosts ?? [],
      identify:
        options.identify ??
        ((token) => Promise.resolve(TOKENS[token] === undefined ? null : { ...TOKENS[token], ...TIMES })),
      exposed: () => options.exposed ?? [],
    },
    { host: '127.0.0.1', port: 0 },
    { ...DEFAULT_LIMITS, closeGraceMs: 100, ...options.limits },
  );
  t.after(() => proxy.close());
  const subject: Subject = {
    port: proxy.port,
    url: proxy.url,
    at,
    visits,
    logged,
    dial() {
      const socket = connect({ host: '127.0.0.1', port: proxy.port });
      socket.on('error', () => undefined);
      t.after(() => socket.destroy());
      return socket;
    },
    raw: (text, enough) => said(subject.dial(), text, enough),
    ask: (path, how) => ask(proxy.port, path, how),
    settled: () => until('every visit is closed', () => visits.closed === visits.opened).then(() => undefined),
    close: () => proxy.close(),
  };
  return subject;
}

async function listen(t: TestContext, server: Server | TcpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function said(socket: Socket, text: string, enough: (answer: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const late = setTimeout(() => end(new Error(`no end to this answer: ${answer}`)), PATIENCE_MS);
    const end = (error?: Error): void => {
      clearTimeout(late);
      socket.destroy();
      if (error === undefined) resolve(answer);
      else reject(error);
    };
    socket.setEncoding('latin1').on('data', (more: string) => {
      answer += more;
      if (enough(answer)) end();
    });
    socket.once('close', () => end());
    socket.write(text, 'latin1');
  });
}

/** Reads to the end like somebody with little time: what is on its way at the end must not be lost. Returns how much came. */
export async function readSlowly(socket: Socket): Promise<number> {
  let bytes = 0;
  for await (const part of socket) {
    bytes += (part as Buffer).length;
    await pause(1);
  }
  return bytes;
}

function ask(
  port: number,
  path: string,
  { method = 'GET', headers = {}, body, token = TOKEN }: Ask = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const request = httpRequest(
    {
      host: '127.0.0.1',
      port,
      path,
      method,
      agent: false,
      headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers } as {
        [name: string]: string;
      },
    },
    (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more: string) => (text += more));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    },
  );
  request.on('error', reject);
  request.setTimeout(PATIENCE_MS, () => request.destroy(new Error(`${method} ${path} was not answered`)));
  request.end(body);
  return promise;
}

/** An agent that answers each request with what it saw of it. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export function mirror(seen: Seen[] = [], more: { readonly [name: string]: string | string[] } = {}): Server {
  return createServer((incoming, outgoing: ServerResponse) => {
    let body = '';
    incoming.setEncoding('utf8').on('data', (text: string) => (body += text));
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming;
      seen.push({ method, url, headers, body });
      outgoing.writeHead(200, { 'content-type': 'application/json', ...more });
      outgoing.end(JSON.stringify(seen.at(-1)));
    });
  });
}

/** An agent that takes any connection, and says these bytes once it has heard the end of a request's head. */
export function parrot(words: string | ((socket: Socket) => void), heard: string[] = []): TcpServer {
  return createTcp((socket) => {
    let text = '';
    const index = heard.push('') - 1;
    socket.on('error', () => undefined);
    socket.setEncoding('latin1').on('data', (more: string) => {
      const before = text.includes('\r\n\r\n');
      text += more;
      heard[index] = text;
      if (before || !text.includes('\r\n\r\n')) return;
      if (typeof words === 'string') socket.write(words, 'latin1');
      else words(socket);
    });
  });
}

export const mirrored = (answer: Answer): Seen => {
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text) as Seen;
};
