/**
 * What is said instead of forwarding: RFC 9457 problems. They name what the reader can do; addresses, ports and errors of the
 * inside go to the log only.
 */
import { type OutgoingHttpHeaders, STATUS_CODES, type ServerResponse } from 'node:http';
import { wordsOf } from '../core/error-words.ts';
import type { Log } from '../runtime/log.ts';
import { NotAwake } from '../runtime/wake.ts';
import { RETRY_AFTER_S } from './limits.ts';

export class Answer extends Error {
  override readonly name = 'Answer';
  readonly status: number;
  readonly retryAfterSeconds: number | null;
  constructor(status: number, message: string, retryAfterSeconds: number | null = null, cause?: unknown) {
    super(message, { cause });
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

const STATUS = {
  unknown: 404,
  stopped: 503,
  failed: 503,
  crowded: 503,
  timeout: 503,
  'no-port': 502,
  deaf: 502,
} as const satisfies { readonly [kind in NotAwake['kind']]: number };

function answerOf(error: unknown): Answer {
  if (error instanceof Answer) return error;
  if (error instanceof NotAwake)
    return new Answer(STATUS[error.kind], error.message, error.retryAfterSeconds, error.cause);
  return new Answer(502, 'the agent closed the connection, or what it answered is no HTTP', RETRY_AFTER_S, error);
}

/** `what` is logged with it. Never throws. */
export function refuse(log: Log, outgoing: ServerResponse, what: object, error: unknown): void {
  const answer = answerOf(error);
  const { status, message, retryAfterSeconds, cause } = answer;
  if (status >= 500)
    log.info(
      { ...what, status, message, ...(cause instanceof Error && { cause: wordsOf(cause) }) },
      'a request was not passed on',
    );
  if (outgoing.headersSent || outgoing.destroyed) {
    // The answer has begun: cutting the connection is the only honest way to say that it is not whole.
    outgoing.destroy();
    return;
  }
  const body = Buffer.from(
    `${JSON.stringify({ type: 'urn:holdfast:problem:not-passed-on', title: 'The request was not passed on', status, detail: message })}\n`,
  );
  const headers: OutgoingHttpHeaders = {
    'content-type': 'application/problem+json',
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(retryAfterSeconds === null ? {} : { 'retry-after': String(retryAfterSeconds) }),
    ...(status === 401 ? { 'www-authenticate': 'Bearer realm="holdfast"' } : {}),
  };
  // The phrase, too: an agent's that could not be written is still there.
  outgoing.writeHead(status, STATUS_CODES[status] ?? '', headers);
  outgoing.end(body);
}

/** For what the parser gave up on: there is no request, hence the answer is written by hand. */
export function brokenAnswer(error: NodeJS.ErrnoException): string {
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
}
