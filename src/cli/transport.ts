/**
 * Calls of one server with one token: requests built, answers read, pages followed, problems thrown as `ProblemFailure`.
 *
 * Answers are trusted to have the shape that the API promises; anything that is not even JSON is not a Holdfast.
 */
import type { Json } from '../core/model.ts';
import type { Page } from '../runtime/api.ts';
import type { Endpoint } from './discover.ts';
import { ProblemFailure, Unreachable, type Problem } from './failure.ts';
import { exchange, openStream, translate, type Answer, type Exchange } from './http.ts';
import { CALL_DEADLINE_MS, PAGES, PROBLEM_BYTES } from './limits.ts';

/** Left out: null, undefined and false. A list is a repeated parameter. */
export type Query = { readonly [name: string]: string | number | boolean | readonly string[] | null | undefined };

export interface Call {
  readonly query?: Query;
  readonly json?: Json;
  readonly yaml?: string;
  readonly deadlineMs?: number;
  readonly headers?: { readonly [name: string]: string };
  /** Ends the call earlier than the command. */
  readonly signal?: AbortSignal;
}

export interface Transport {
  readonly endpoint: Endpoint;
  readonly call: <T>(method: string, path: string, options?: Call) => Promise<T>;
  /** Every page of a list. */
  readonly list: <T>(path: string, query?: Query) => Promise<readonly T[]>;
  /** The answer whatever its status. */
  readonly exchange: (method: string, path: string) => Promise<Answer>;
  /** The body of a good answer as it comes; ends after `quietMs` without a byte. */
  readonly stream: (path: string, options: Call, quietMs: number | null, method?: string) => AsyncGenerator<Uint8Array>;
}

export function createTransport(endpoint: Endpoint, signal: AbortSignal): Transport {
  function ask(method: string, path: string, call: Call): Exchange {
    const url = new URL(path.slice(1), endpoint.url);
    for (const [name, value] of Object.entries(call.query ?? {})) {
      if (value == null || value === false) continue;
      for (const each of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(each));
    }
    const body = call.yaml ?? (call.json === undefined ? null : JSON.stringify(call.json));
    const headers = {
      accept: 'application/json',
      ...(endpoint.token === null ? {} : { authorization: `Bearer ${endpoint.token}` }),
      ...(body === null ? {} : { 'content-type': call.yaml === undefined ? 'application/json' : 'application/yaml' }),
      ...call.headers,
    };
    return {
      method,
      url,
      headers,
      body,
      deadlineMs: call.deadlineMs ?? CALL_DEADLINE_MS,
      signal: call.signal ?? signal,
    };
  }

  async function call<T>(method: string, path: string, options: Call = {}): Promise<T> {
    const answer = await exchange(ask(method, path, options));
    if (answer.status >= 400) throw problemOf(answer, endpoint);
    if (answer.status === 204 || answer.text === '') return undefined as T;
    return parse(answer, endpoint) as T;
  }

  async function list<T>(path: string, query: Query = {}): Promise<readonly T[]> {
    const items: T[] = [];
    let cursor: string | null = null;
    for (let pages = 0; pages < PAGES; pages++) {
      const page: Page<T> = await call<Page<T>>('GET', path, { query: { ...query, cursor } });
      items.push(...page.items);
      if (page.next === null) return items;
      cursor = page.next;
    }
    throw new Unreachable('too-large', `${endpoint.url.origin}${path} has more than ${PAGES} pages`);
  }

  async function* stream(
    path: string,
    options: Call,
    quietMs: number | null,
    method = 'GET',
  ): AsyncGenerator<Uint8Array> {
    const asked = ask(method, path, options);
    const { status, headers, body } = await openStream(asked, quietMs);
    try {
      if (status >= 400) throw problemOf({ status, headers, text: await readSome(body) }, endpoint);
      yield* body as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw translate(error, asked, null);
    } finally {
      body.destroy();
    }
  }

  return { endpoint, call, list, stream, exchange: (method, path) => exchange(ask(method, path, {})) };
}

// ── details ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Throws where it is no JSON. The caller knows the shape. */
export function parse(answer: Answer, endpoint: Endpoint): unknown {
  try {
    return JSON.parse(answer.text) as unknown;
  } catch {
    throw new Unreachable(
      'no-holdfast',
      `What answers at ${endpoint.url.origin} is no Holdfast (it does not speak JSON); is HOLDFAST_URL right?`,
    );
  }
}

/** The server's problem as it is; only where the CLI knows more (which token it sent) does it say more. */
export function problemOf(answer: Answer, endpoint: Endpoint): Error {
  const problem = asProblem(answer.text);
  if (answer.status === 401) {
    const detail =
      endpoint.token === null
        ? `${endpoint.url.origin} wants a token: set HOLDFAST_TOKEN, or run this below the folder that \`holdfast up\` runs in.`
        : `${endpoint.url.origin} does not accept the token from ${endpoint.tokenFrom}: it was dropped, has expired, or belongs to another server.`;
    return new ProblemFailure({ type: 'about:blank', title: 'Unauthorized', ...problem, status: 401, detail });
  }
  if (problem !== null) return new ProblemFailure({ ...problem, status: answer.status });
  return new Unreachable(
    'no-holdfast',
    `${endpoint.url.origin} answers ${answer.status} without saying why; is it a Holdfast? HOLDFAST_URL or the endpoint file may be wrong.`,
  );
}

function asProblem(text: string): Problem | null {
  try {
    const value = JSON.parse(text) as Problem | null;
    return typeof value === 'object' && typeof value?.title === 'string' ? value : null;
  } catch {
    return null; // a proxy's page of HTML, for example: what it says is not for us
  }
}

/** A problem is short; whatever else comes with an error is not read to its end. */
async function readSome(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > PROBLEM_BYTES) break;
  }
  return Buffer.concat(chunks).toString('utf8');
}
