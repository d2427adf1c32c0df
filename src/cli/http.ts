/**
 * One HTTP exchange over node:http. Not `fetch`: that gives up on headers and on silence after five minutes, and both a
 * long wait and the logs of a quiet agent take longer.
 *
 * Every exchange has a deadline: for a stream, until its headers are there; after that it ends by its signal, by the
 * other side, or after `quietMs` without a byte.
 */
import * as http from 'node:http';
import * as https from 'node:https';
import { wordsOf } from '../core/error-words.ts';
import { Failure, ProblemFailure, Unreachable } from './failure.ts';
import { ANSWER_BYTES } from './limits.ts';

export interface Exchange {
  readonly method: string;
  readonly url: URL;
  readonly headers: { readonly [name: string]: string };
  readonly body: string | null;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | null;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
}

export interface StreamAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: http.IncomingMessage;
}

/** The whole answer, whatever its status. Throws `Unreachable`, or what the signal was aborted with. */
export async function exchange(ask: Exchange): Promise<Answer> {
  const deadline = AbortSignal.timeout(ask.deadlineMs);
  const signal = ask.signal === null ? deadline : AbortSignal.any([deadline, ask.signal]);
  try {
    const { status, headers, body } = await send(ask, signal);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > ANSWER_BYTES) {
        body.destroy();
        throw new Unreachable('too-large', `${where(ask)} answers with more than ${ANSWER_BYTES} bytes`);
      }
      chunks.push(chunk);
    }
    return { status, headers, text: Buffer.concat(chunks).toString('utf8') };
  } catch (error) {
    throw translate(error, ask, deadline);
  }
}

/** The answer's headers, and its body as it comes. */
export async function openStream(ask: Exchange, quietMs: number | null): Promise<StreamAnswer> {
  const late = new AbortController();
  const timer = setTimeout(() => {
    late.abort(new DOMException('late', 'TimeoutError'));
  }, ask.deadlineMs);
  try {
    const signal = ask.signal === null ? late.signal : AbortSignal.any([late.signal, ask.signal]);
    const answer = await send(ask, signal);
    if (quietMs !== null) {
      answer.body.setTimeout(quietMs, () => {
        answer.body.destroy(new Unreachable('quiet', `${where(ask)} sent nothing for ${quietMs / 1_000} s`));
      });
    }
    return answer;
  } catch (error) {
    throw translate(error, ask, late.signal);
  } finally {
    clearTimeout(timer);
  }
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function send(ask: Exchange, signal: AbortSignal): Promise<StreamAnswer> {
  return new Promise((resolve, reject) => {
    const { request } = ask.url.protocol === 'https:' ? https : http;
    const sending = request(ask.url, { method: ask.method, headers: ask.headers, signal }, (body) => {
      resolve({ status: body.statusCode ?? 0, headers: body.headers, body });
    });
    sending.on('error', reject);
    sending.end(ask.body ?? undefined);
  });
}

/** An error of a socket in words that help; what the caller aborted with is left as it is. */
export function translate(error: unknown, ask: Exchange, deadline: AbortSignal | null): unknown {
  if (error instanceof Failure || error instanceof ProblemFailure) return error;
  if (ask.signal?.aborted === true) return ask.signal.reason;
  const server = ask.url.origin;
  if (deadline?.aborted === true) {
    const seconds = Math.round(ask.deadlineMs / 1_000);
    return new Unreachable(
      'timeout',
      `${where(ask)} was not answered within ${seconds} s; is the server overloaded? \`holdfast doctor\` looks`,
    );
  }
  const { code, message } = reasonOf(error);
  switch (code) {
    case 'ECONNREFUSED':
      return new Unreachable(
        'unreachable',
        `Nothing answers at ${server}; is Holdfast running? Start it with \`holdfast up\`.`,
      );
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new Unreachable(
        'unreachable',
        `There is no host ${ask.url.hostname} to be found (${code}); is HOLDFAST_URL right?`,
      );
    case 'ECONNRESET':
    case 'EPIPE':
      return new Unreachable('cut', `${where(ask)} was cut off by the server; what it did is in \`holdfast events\``);
    default:
      return new Unreachable('unreachable', `${where(ask)} failed: ${message}${code === '' ? '' : ` (${code})`}`);
  }
}

/** A host with several addresses fails with one error for each; they agree more often than not. */
function reasonOf(error: unknown): { code: string; message: string } {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  const code = first instanceof Error ? ((first as NodeJS.ErrnoException).code ?? '') : '';
  return { code, message: wordsOf(first) };
}

function where(ask: Exchange): string {
  return `${ask.method} ${ask.url.origin}${ask.url.pathname}`;
}
