/**
 * A real server on a free loopback port in front of the fake control, and a client that can say what `fetch` may not:
 * any Host, any Origin, half a request, a reader that stops reading.
 */
import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, type IncomingMessage, request as httpRequest } from 'node:http';
import type { TestContext } from 'node:test';
import { type App, createApp, listen, type Listening } from '../../src/http/server.ts';
import type { HttpLimits } from '../../src/http/limits.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { createFakeControl, type FakeControl } from '../support/fake-control.ts';

const PATIENCE_MS = 10_000;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The parsed body; fails the test when it is no JSON. */
  readonly json: Record<string, unknown>;
}

export interface Ask {
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
  /** An object is sent as JSON. */
  readonly body?: string | Buffer | object;
  /** Does not say how long the body is. */
  readonly chunked?: boolean;
}

export interface LogLine {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly message: string;
}

export interface Subject {
  readonly control: FakeControl;
  readonly app: App;
  readonly listening: Listening;
  readonly clock: ManualClock;
  readonly lines: readonly LogLine[];
  readonly ask: (method: string, path: string, ask?: Ask) => Promise<Answer>;
  readonly stream: (path: string, ask?: Ask) => Promise<Reading>;
}

export interface Options {
  readonly limits?: Partial<HttpLimits>;
  readonly allowedHosts?: readonly string[];
}

/** Closed when the test ends. Its clock stands still until the test moves it. */
export async function start(t: TestContext, options: Options = {}): Promise<Subject> {
  const control = createFakeControl();
  const clock = manualClock();
  const lines: LogLine[] = [];
  const note = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields: { ...fields }, message });
  const log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
  const app = createApp(control, { log, clock, ...options });
  const listening = await listen(app, { host: '127.0.0.1', port: 0 });
  t.after(() => listening.close(0));
  return {
    control,
    app,
    listening,
    clock,
    lines,
    ask: (method, path, ask = {}) => send(listening.port, method, path, ask).then(read),
    stream: (path, ask = {}) => send(listening.port, 'GET', path, ask).then(readingOf),
  };
}

export function send(port: number, method: string, path: string, ask: Ask): Promise<IncomingMessage> {
  const { token = 'admin-token', body } = ask;
  const raw = typeof body === 'string' || Buffer.isBuffer(body) || body === undefined ? body : JSON.stringify(body);
  const headers = {
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...(typeof body === 'object' && !Buffer.isBuffer(body) ? { 'content-type': 'application/json' } : {}),
    ...(raw === undefined || ask.chunked === true ? {} : { 'content-length': String(Buffer.byteLength(raw)) }),
    ...ask.headers,
  };
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false }, resolve);
    request.on('error', reject);
    if (ask.chunked === true) request.write(raw);
    request.end(ask.chunked === true ? undefined : raw);
  });
}

async function read(message: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return {
    status: message.statusCode ?? 0,
    headers: message.headers,
    text,
    get json() {
      return JSON.parse(text) as Record<string, unknown>;
    },
  };
}

/** An answer that is being read. */
export interface Reading {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Resolves once the text so far contains the words. */
  has(words: string): Promise<void>;
  /** Resolves with how it ended: `end`, or the error of a connection that was cut. */
  readonly ended: Promise<'end' | 'cut'>;
  pause(): void;
  hangUp(): void;
}

function readingOf(message: IncomingMessage): Reading {
  let text = '';
  message.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  const ended = new Promise<'end' | 'cut'>((resolve) => {
    message.on('end', () => resolve('end'));
    message.on('error', () => resolve('cut'));
    message.on('close', () => resolve('cut'));
  });
  return {
    status: message.statusCode ?? 0,
    headers: message.headers,
    get text() {
      return text;
    },
    has: (words) => until(() => text.includes(words), `the stream to say ${JSON.stringify(words)}`),
    ended,
    pause: () => void message.pause(),
    hangUp: () => void message.destroy(),
  };
}

/** Waits for a condition, turn by turn of the event loop, under a deadline. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`waited ${PATIENCE_MS} ms for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export interface ManualClock extends Clock {
  advance(ms: number): void;
}

function manualClock(): ManualClock {
  let now = 0;
  const timers = new Set<{ readonly at: number; readonly run: () => void }>();
  return {
    wall: () => now,
    mono: () => now,
    after(delayMs, run) {
      const timer = { at: now + delayMs, run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    advance(ms) {
      now += ms;
      for (const timer of [...timers].sort((a, b) => a.at - b.at)) {
        if (timer.at <= now && timers.delete(timer)) timer.run();
      }
    },
  };
}

/** Asserts an RFC 9457 problem and returns it. */
export function problem(answer: Answer, status: number): Record<string, unknown> {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], 'application/problem+json');
  const { json } = answer;
  assert.equal(json['status'], status);
  for (const member of ['type', 'title', 'detail'])
    assert.ok(typeof json[member] === 'string' && json[member] !== '', `${member} is missing`);
  assert.ok(Array.isArray(json['errors']));
  assert.doesNotMatch(answer.text, /\bat .*\.ts:\d+/, 'a stack trace went out');
  return json;
}
